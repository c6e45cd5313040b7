"""Who has sent a request: its true address, and whether it asked for a name of this daemon."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import UNIXAddress

from wsd.head import Head
from wsd.policies.address import Peer, Trust, isLoopback
from wsd.policies.origin import checkHost


def hostOf(address: Any) -> str:
    """The host of a transport's address; "unix" for a unix socket."""
    return "unix" if isinstance(address, UNIXAddress) else str(address.host)


def identify(transport: Any, head: Head, secure: bool, trust: Trust, hosts: tuple[str, ...]) -> Peer:
    """
    Returns the true peer of a request that has come over TLS if `secure`.

    Raises `Refused` (421) if the request names a host that is not in `hosts`, even from this machine.
    """
    address = transport.getPeer()
    host = transport.getHost()
    peer = trust.peer(hostOf(address), getattr(address, "port", 0), secure, head.headers)
    via = getattr(transport, "via", None)
    if via is not None:
        facts = getattr(transport, "facts", None)
        peer = peer._replace(direct=False, via=peer.via or via, proxyId=None if facts is None else facts.id)
    isUnix = isinstance(host, UNIXAddress)
    # No browser can open a unix socket, so only a proxy can bring a request for a foreign name.
    if not isUnix or not peer.direct:
        checkHost(head.host, hosts, isUnix or not isLoopback(host.host))
    return peer
