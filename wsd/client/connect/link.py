"""The connection of a session: tells the session what comes, and is held and filled by it."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from wsd.client.connection import ClientConnection
from wsd.client.show import size
from wsd.config.values import printable
from wsd.frames.codes import CloseCode

_MEANINGS = {int(code): code.name.lower().replace("_", " ") for code in CloseCode}


def describeClose(code: int | None, reason: str) -> str:
    """A close code with its meaning, and the reason."""
    if code is None:
        return "no code"
    meaning = f" ({_MEANINGS[code]})" if code in _MEANINGS else ""
    return f"{code}{meaning}" + (f": {printable(reason)}" if reason else "")


class ConnectionUser(Protocol):
    """What a connection tells."""

    def received(self, payload: bytes, isBinary: bool) -> None:
        """A message."""

    def controlled(self, text: str) -> None:
        """A control frame, described by a text."""

    def drained(self) -> None:
        """More can be sent."""

    def failing(self) -> None:
        """The connection is being closed because of a fault of the server's."""


@implementer(IPushProducer)
class SessionConnection(ClientConnection):
    """A connection whose messages go to its `user`. It is a producer of its own transport, which tells it to pause."""

    closingTimeout: ClassVar[float] = 0
    user: ConnectionUser

    def __init__(self) -> None:
        super().__init__()
        self.isOpen = False
        self.isFull = False
        """Whether what was sent has not left yet."""
        self.closing: tuple[int | None, str] | None = None
        """The code and the reason of the server's close frame."""

    def hold(self, held: bool) -> None:
        """Stop or resume reading from the server."""
        transport: Any = self.transport
        if self.closed.called:
            return
        if held:
            transport.pauseProducing()
        else:
            transport.resumeProducing()

    def abort(self) -> None:
        """End the connection at once."""
        transport: Any = self.transport
        transport.abortConnection()

    # -- as a producer of the transport -------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self.isFull = True

    def resumeProducing(self) -> None:
        """The transport's buffer has room."""
        self.isFull = False
        self.user.drained()

    def stopProducing(self) -> None:
        """The transport is lost."""

    # -- events -------------------------------------------------------------------------------------------------------

    def onOpen(self) -> None:
        """Called when messages may be sent."""
        self.isOpen = True
        self.registerProducer(self, True)
        super().onOpen()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Called for each message."""
        self.user.received(payload, isBinary)

    def onPing(self, payload: bytes) -> None:
        """Called for a ping; it is answered."""
        super().onPing(payload)
        self.user.controlled(f"ping {_data(payload)}")

    def onPong(self, payload: bytes) -> None:
        """Called for a pong."""
        self.user.controlled(f"pong {_data(payload)}")

    def onCloseFrame(self, code: int | None, reasonRaw: bytes | None) -> bool | None:
        """Called for the server's close frame, which begins the close or answers ours."""
        failed: bool | None = super().onCloseFrame(code, reasonRaw)  # type: ignore[arg-type]
        self.isOpen = False
        if self.fault is None:
            self.closing = code, (reasonRaw or b"").decode("utf-8", "replace")
            self.user.controlled(f"close {describeClose(*self.closing)}")
        return failed

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Begin the closing handshake."""
        self.isOpen = False
        super().close(code, reason)

    def _fail_connection(self, code: int = CloseCode.GOING_AWAY, reason: str = "going away") -> None:
        self.isOpen = False
        super()._fail_connection(code, reason)
        self.user.failing()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Called at the end."""
        self.isOpen = False
        super().onClose(wasClean, code, reason)


def _data(payload: bytes) -> str:
    """The data of a ping or pong, which is text or not."""
    try:
        return f'"{printable(payload.decode())}"'
    except UnicodeDecodeError:
        return f"{payload.hex(' ')} ({size(payload)})"
