"""What goes between a connection and its handler, whether that runs on a thread or as a coroutine."""

from __future__ import annotations

from enum import Enum, IntEnum, auto
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from wsd.connection import Request
from wsd.frames.codes import Opcode

PAUSE_ABOVE = 256 * 1024
"""Bytes that wait for a handler above which its connection stops reading."""
RESUME_AT = 64 * 1024
"""Bytes at which it reads again."""
ITEM_OVERHEAD = 128
"""Bytes that a waiting item is counted with beside its own."""


class ItemKind(IntEnum):
    """What a handler can take: a message or a control frame by its opcode, or what became of the connection."""

    TEXT = Opcode.TEXT
    BINARY = Opcode.BINARY
    CLOSE = Opcode.CLOSE
    PING = Opcode.PING
    PONG = Opcode.PONG
    OPENED = 16
    FAULT = 17
    """The peer broke a rule of the protocol; the content is the exception for the handler."""
    LOST = 18
    """The connection is gone; the content is a `ConnectionEnd`. It can be taken again and again."""


QueueItem = tuple[int, Any]
"""An `ItemKind`, and its content."""


class Activity(Enum):
    """What a handler is doing; a daemon that stops waits for those that are working."""

    SILENT = auto()
    """It has not received a message."""
    WAITING = auto()
    """It waits for the next message."""
    WORKING = auto()
    """It has received a message, and has not asked for the next yet."""


class PeerState(Enum):
    """Whether something can be sent to the peer."""

    READING = auto()
    FULL = auto()
    """Too much waits to be sent to it."""
    GONE = auto()


class ConnectionEnd(NamedTuple):
    """How a connection ended: the peer's code and reason, and whether both sides have closed."""

    code: int
    reason: str
    isClean: bool


class OutgoingFrame(NamedTuple):
    """A frame to be sent."""

    payload: bytes
    opcode: int
    isLast: bool = True


class HandlerEndpoint(Protocol):
    """The connection, as far as what runs its handler uses it."""

    request: Request

    @property
    def remoteAddress(self) -> tuple[str, int]:
        """The peer's address and port."""

    @property
    def localAddress(self) -> tuple[str, int]:
        """The daemon's address and port."""

    def hold(self) -> None:
        """Stop reading."""

    def release(self) -> None:
        """Read again."""

    def room(self) -> Deferred[None]:
        """Fires when the others have had their turn and the peer reads."""

    def sendPiece(self, frame: OutgoingFrame) -> None:
        """Send a frame."""

    def writeRaw(self, data: bytes) -> None:
        """Send bytes as they are."""

    def closeWith(self, code: int | None, reason: bytes) -> None:
        """Close, or answer the peer's close."""

    def finish(self, code: int | None) -> None:
        """The handler has returned."""

    def hangUp(self) -> None:
        """End the connection without a close."""

    def handlerFailed(self, failure: Failure, path: str) -> None:
        """Log an exception of the handler."""

    def handshakeFailed(self, failure: Failure) -> None:
        """Log an exception of the handshake's hook."""
