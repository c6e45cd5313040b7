"""The interfaces between a WebSocket and its subprotocol."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from twisted.internet.defer import Deferred

from wsd.protocols.blob.errors import BlobError


class BlobPeer(Protocol):
    """The connection as its subprotocol sees it."""

    owner: str
    """The user who owns the files of this client."""
    source: str
    """The client's address, or its /64 for IPv6."""

    @property
    def isOpen(self) -> bool:
        """Whether messages can be sent."""

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
    """The subprotocol as its connection sees it."""

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
        """Whether a file is being received that cannot be resumed."""
