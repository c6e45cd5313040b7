"""ClientInfo: what the WebSocket and the route know of a client."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """A client before it has sent anything."""

    address: str
    """The account of `wsd.policies.admission`: an IPv4 address, or the network of an IPv6 address."""
    isSafe: bool
    """Whether a password may be sent in the clear."""
    isLocal: bool
    """Whether the client is on this machine, without a proxy in between."""
    closing: float
    """Seconds to wait for the client's <close/>."""
    web: str = ""
    """Scheme and authority of the URLs by which the client reaches the daemon: "https://chat.example.com"."""
