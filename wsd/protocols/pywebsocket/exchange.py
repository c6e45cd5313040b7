"""What a connection and its handler pass to each other, for handlers on threads and for coroutines."""

from __future__ import annotations

from enum import Enum, IntEnum, auto
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from wsd.connection import Request
from wsd.frames.codes import Opcode

PAUSE_ABOVE = 256 * 1024
"""With more bytes queued for a handler, its connection stops reading."""
COUNTED_ABOVE = 4096
"""With more bytes queued, they count as memory in use. Most queues have one small item, for a moment."""
RESUME_AT = 64 * 1024
"""With no more than so many bytes queued, it resumes reading."""
ITEM_OVERHEAD = 128
"""Bytes that each queued item counts beside those of its content."""


class ItemKind(IntEnum):
    """The kinds of items in a handler's queue: messages and control frames by their opcodes, and events."""

    TEXT = Opcode.TEXT
    BINARY = Opcode.BINARY
    CLOSE = Opcode.CLOSE
    PING = Opcode.PING
    PONG = Opcode.PONG
    OPENED = 16
    FAULT = 17
    """The peer violated the protocol; the content is the exception for the handler."""
    LOST = 18
    """The connection is gone; the content is a `ConnectionEnd`. This item stays in the queue."""


TEXT, BINARY, CLOSE, PING, PONG, OPENED, FAULT, LOST = ItemKind
"""The members as names of the module, as for the enums below: Python 3.11 looks them up in a class slowly."""

QueueItem = tuple[int, Any]
"""An `ItemKind`, and the content of the item."""


class Activity(Enum):
    """What a handler is doing. A daemon that stops waits for handlers that are working."""

    SILENT = auto()
    """It has not received a message."""
    WAITING = auto()
    """It waits for the next message."""
    WORKING = auto()
    """It has received a message, and has not yet asked for the next."""


SILENT, WAITING, WORKING = Activity


class PeerState(Enum):
    """Whether the peer can be sent something."""

    READING = auto()
    FULL = auto()
    """The send buffer is full."""
    GONE = auto()


READING, FULL, GONE = PeerState


class ConnectionEnd(NamedTuple):
    """How a connection ended: the peer's code and reason, and whether both sides have closed."""

    code: int
    reason: str
    isClean: bool


class OutgoingFrame(NamedTuple):
    """A frame to send."""

    payload: bytes
    opcode: int
    isLast: bool = True


class HandlerEndpoint(Protocol):
    """The connection as the runner of its handler sees it."""

    request: Request
    subprotocol: str | None

    @property
    def clock(self) -> IReactorTime:
        """The clock."""

    @property
    def remoteAddress(self) -> tuple[str, int]:
        """The peer's address and port."""

    @property
    def localAddress(self) -> tuple[str, int]:
        """The daemon's address and port."""

    def hold(self) -> None:
        """Stop reading."""

    def release(self) -> None:
        """Resume reading."""

    def noteQueued(self, size: int) -> None:
        """Called with the bytes that are queued for the handler, if they are many, or were."""

    def room(self) -> Deferred[None]:
        """Fires when other connections have had their turn and the send buffer has room."""

    def sendPiece(self, frame: OutgoingFrame) -> None:
        """Send a frame."""

    def writeRaw(self, data: bytes) -> None:
        """Send bytes unchanged."""

    def closeWith(self, code: int | None, reason: bytes) -> None:
        """Close, or answer the peer's close."""

    def finish(self, code: int | None) -> None:
        """Called when the handler has returned."""

    def hangUp(self) -> None:
        """End the connection without a close frame."""

    def handlerFailed(self, failure: Failure, path: str) -> None:
        """Log an exception of the handler."""

    def handshakeFailed(self, failure: Failure) -> None:
        """Log why the handler refused the handshake."""
