"""One WebSocket of a client of topics.wsd.v1."""

from __future__ import annotations

from typing import Protocol

from wsd.client.connection import ClientConnection

SUBPROTOCOL = "topics.wsd.v1"


class TopicsReceiver(Protocol):
    """Who is given the messages: the link."""

    def received(self, payload: bytes, isBinary: bool) -> None:
        """A message of the server's."""


class TopicsConnection(ClientConnection):
    """Gives each message to the link."""

    showsHeads = False
    link: TopicsReceiver
    code: int | None = None

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A message of the server's."""
        self.link.received(payload, isBinary)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection has ended."""
        self.code = code
        super().onClose(wasClean, code, reason)
