"""The stream of a session, as sessions see it."""

from __future__ import annotations

from typing import Protocol

from wsd.logs import ConnectionLog
from wsd.protocols.xmpp.clientinfo import ClientInfo


class BoundStream(Protocol):
    """The stream of a session."""

    @property
    def client(self) -> ClientInfo:
        """What is known of the client."""

    @property
    def log(self) -> ConnectionLog:
        """The log of the connection."""

    def write(self, xml: str) -> None:
        """Send."""

    def ping(self, payload: bytes) -> None:
        """Send a ping of the WebSocket."""

    def supplant(self) -> None:
        """End without the session: it has ended, or another stream has taken it over."""
