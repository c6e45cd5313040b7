"""What is between a WebSocket and the subprotocol that is spoken on it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from twisted.internet.defer import Deferred

from wsd.protocols.blob.errors import BlobError


class BlobPeer(Protocol):
    """The client, as a subprotocol sees it."""

    owner: str
    """The user whose files they are that come from it."""
    source: str
    """Its address, or its /64 for IPv6."""

    @property
    def isOpen(self) -> bool:
        """Whether `send` would send."""

    def send(self, payload: bytes | str) -> None:
        """Send a message: `bytes` are binary, `str` is text."""

    def tell(self, name: str, content: object) -> None:
        """Send a text message: a JSON object with this one key."""

    def refuse(self, error: BlobError) -> None:
        """Send an error, and close the connection with its close code."""

    def hold(self) -> None:
        """Stop reading. Each call needs its `release`."""

    def release(self) -> None:
        """Take back one `hold`."""

    def room(self) -> Deferred[None]:
        """Fires when there is room to send, or when the connection is gone."""


class Subprotocol(Protocol):
    """What a connection speaks."""

    def text(self, message: str) -> Awaitable[None] | None:
        """Called with a text message."""

    def began(self) -> Awaitable[None] | None:
        """Called when a binary message begins."""

    def arrived(self, data: bytes) -> None:
        """Called with the next bytes of the binary message."""

    def ended(self) -> Awaitable[None] | None:
        """Called when the binary message is complete."""

    def gone(self) -> None:
        """Called when the connection is closed or lost."""

    @property
    def isBusy(self) -> bool:
        """Whether a file is being received that would have to be sent again from its beginning."""
