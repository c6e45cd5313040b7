"""A connection to a handler: it runs the handler at its path, on a thread or as a coroutine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from wsd.connection import Accept, Connection, Request
from wsd.frames.codes import CloseCode, Opcode
from wsd.frames.heads import frameHead
from wsd.frames.writing import LEAST_DEFLATED
from wsd.metrics import Cause
from wsd.policies.budget import MemoryUse
from wsd.protocols.pywebsocket.api._stream_exceptions import (
    InvalidFrameException,
    InvalidUTF8Exception,
    UnsupportedFrameException,
)
from wsd.protocols.pywebsocket.awaited import CoroutineRunner
from wsd.protocols.pywebsocket.blocking import BlockingRunner
from wsd.protocols.pywebsocket.bytewise import BytewiseRunner
from wsd.protocols.pywebsocket.exchange import (
    BINARY,
    CLOSE,
    FAULT,
    LOST,
    OPENED,
    PING,
    PONG,
    TEXT,
    ConnectionEnd,
    OutgoingFrame,
)
from wsd.protocols.pywebsocket.handlers import RESUMING

_RSV1 = 0x40
"""The bit of a compressed message in the first byte of its first frame (RFC 7692 6)."""
_MAX_CONTROL = 125
"""The largest payload of a control frame (RFC 6455 5.5)."""

_FAULTS: Mapping[int, type[Exception]] = {
    CloseCode.UNSUPPORTED_DATA: UnsupportedFrameException,
    CloseCode.INVALID_DATA: InvalidUTF8Exception,
}
"""The exceptions that a handler gets, by the code that the connection is closed with."""


class HandlerConnection(Connection):
    """A connection and its handler."""

    factory: Any
    explains = namesId = False
    _runner: Any = None
    _peerCloses = False
    """Whether the peer's close frame has come and is not answered yet."""
    _wroteRaw = False
    """Whether the handler has sent bytes that are perhaps not whole frames."""

    async def opening(self, request: Request) -> Accept | None:
        """Run the handshake of the handler at this path."""
        self.factory.access.check(request.head)
        handler, uri = self.factory.find(request)
        if handler.readsBytes:
            request.takeRaw(BytewiseRunner(self, handler, self.factory.threads, uri))
            return None
        runner = (
            CoroutineRunner(self, handler, uri)
            if handler.isAsync
            else BlockingRunner(self, handler, self.factory.threads, uri)
        )
        accept = await runner.opening()
        self._runner = runner
        return accept

    def noteQueued(self, size: int) -> None:
        """Called with the bytes that are queued for the handler, if they are many, or were."""
        self.noteMemory(MemoryUse.queues, size)

    @property
    def remoteAddress(self) -> tuple[str, int]:
        """The peer's address and port."""
        return self.peer.address, self.peer.port

    @property
    def localAddress(self) -> tuple[str, int]:
        """The daemon's address and port."""
        host = self.transport.getHost()
        return getattr(host, "host", ""), getattr(host, "port", 0)

    # -- moving to a new process ----------------------------------------------------------------------------------

    @property
    def canMove(self) -> bool:
        """Whether the handler is a coroutine that waits for a message, and says how to go on in a new process."""
        return isinstance(self._runner, CoroutineRunner) and not self._peerCloses and self._runner.canMove

    def saveState(self) -> Any:
        """What the handler wants to know in the new process."""
        return self._runner.saveState()

    def restoreState(self, state: Any, version: int) -> None:
        """Let the handler of this path go on."""
        handler, uri = self.factory.find(self.request)
        if not handler.canMove:
            raise ValueError(f"{handler.path} has no {RESUMING}, so it cannot go on with a connection")
        self._runner = CoroutineRunner(self, handler, uri)
        self._runner.resume(state)

    # -- receiving ------------------------------------------------------------------------------------------------

    def opened(self) -> None:
        """Called when the connection is open. Start the handler."""
        self._runner.put(OPENED, None)

    def received(self, payload: bytes, isBinary: bool) -> None:
        """Called with a message for the handler."""
        self._runner.put(BINARY if isBinary else TEXT, payload, len(payload))

    def onPing(self, payload: bytes) -> None:
        """Called by Autobahn with a ping. It is the handler's if that has a hook for pings."""
        if self._runner.wants(PING):
            self._runner.put(PING, payload, len(payload))
        else:
            super().onPing(payload)

    def onPong(self, payload: bytes) -> None:
        """Called by Autobahn with a pong. It is the handler's if that has a hook for pongs."""
        super().onPong(payload)
        if self._runner.wants(PONG):
            self._runner.put(PONG, payload, len(payload))

    @property
    def isBusy(self) -> bool:
        """Whether the handler has received a message and has not yet asked for the next."""
        return super().isBusy or (self._runner is not None and self._runner.isBusy)

    def full(self) -> None:
        """Called when the send buffer is full: the handler's next send waits."""
        self._runner.full(True)

    def drained(self) -> None:
        """Called when the send buffer has room again: a send that waits goes on."""
        self._runner.full(False)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Tell the handler, even if the connection was not open yet."""
        isClean = self.wasClean
        super().connectionLost(reason)
        if self._runner is not None:
            code = CloseCode.NO_STATUS_RECEIVED if self.remoteCloseCode is None else self.remoteCloseCode
            code = code if isClean else CloseCode.ABNORMAL_CLOSURE
            self._runner.end(LOST, ConnectionEnd(code, self.remoteCloseReason or "", isClean))

    # -- closing --------------------------------------------------------------------------------------------------

    def faulted(self, code: int, reason: str) -> int:
        """Called when the peer violates the protocol. Handlers expect 1003 for reserved bits and opcodes."""
        isHeader = code == CloseCode.PROTOCOL_ERROR and self.current_frame is None
        if isHeader and _isUnknownFrame(self.data, self._perMessageCompress is not None):
            code = CloseCode.UNSUPPORTED_DATA
        if self._runner is not None:
            self._runner.end(FAULT, _FAULTS.get(code, InvalidFrameException)(reason))
        return code

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        """Autobahn answers a close at once. Here the handler answers it, after the messages that came before it."""
        if isReply and self.state == self.STATE_OPEN and not self._peerCloses:
            self._peerCloses = True
            self._runner.put(CLOSE, (self.remoteCloseCode, self.remoteCloseReason))
        else:
            super().sendCloseFrame(code, reasonUtf8, isReply)

    def dropConnection(self, abort: bool = False) -> None:
        """Autobahn ends the connection after its answer. Here the handler has yet to answer."""
        if not self._peerCloses or abort or self.state != self.STATE_OPEN:
            super().dropConnection(abort)

    def closeWith(self, code: int | None, reason: bytes) -> None:
        """Send the handler's close, or its answer to the peer's."""
        if self.state != self.STATE_OPEN:
            return
        if self._peerCloses:
            self.sendCloseFrame(code, reason, isReply=True)
            self.dropConnection()
        else:
            self.noteCause(Cause.closed)
            self.sendCloseFrame(code, reason)

    def finish(self, code: int | None) -> None:
        """Called when the handler has returned. For None, or after a failure amid raw bytes, no close frame is sent."""
        if code is None or (self._wroteRaw and code == CloseCode.INTERNAL_ERROR):
            self.hangUp()
        else:
            self.closeWith(code, b"")

    def hangUp(self) -> None:
        """End the connection without a close frame, after everything before it is sent."""
        self.noteCause(Cause.aborted)
        self._peerCloses = self.wasClean = False
        if self.state == self.STATE_CONNECTING:
            self.request.takeRaw(_HangUp())
        else:
            self.dropConnection()

    def handlerFailed(self, failure: Failure, path: str) -> None:
        """Log an exception of the handler, with the line of its file."""
        self.noteCause(Cause.internal_error)
        self.log.failure(
            "the handler failed at {file}:{line}",
            failure,
            event="handler.error",
            file=path,
            line=_lineOf(failure, path),
        )

    def handshakeFailed(self, failure: Failure) -> None:
        """Log why the handler refused the handshake."""
        self.log.info("the handler refused: {reason}", event="handler.refused", reason=failure.getErrorMessage())

    # -- sending --------------------------------------------------------------------------------------------------

    def sendPiece(self, frame: OutgoingFrame) -> None:
        """Send a frame. With deflate, every unfragmented message is compressed, however short it is."""
        if self.state != self.STATE_OPEN:
            return
        payload, opcode, isLast = frame
        if opcode >= PING:
            self.frames.write(frameHead(opcode, len(payload)) + payload)
            return
        deflater = self._perMessageCompress
        if opcode == Opcode.CONTINUATION or not isLast:
            self.frames.writeInTurn(frameHead(opcode, len(payload), isLast) + payload)
        elif deflater is None or len(payload) >= LEAST_DEFLATED or self.frames.isBusy:
            self.send(payload, opcode == BINARY)
        else:
            self.frames.countOut(len(payload))
            payload = deflater.deflate(payload)
            self.frames.write(frameHead(opcode, len(payload), True, True) + payload)

    def writeRaw(self, data: bytes) -> None:
        """Send bytes unchanged."""
        self._wroteRaw = True
        if self.state == self.STATE_CONNECTING:
            self.transport.write(data)
        elif self.state == self.STATE_OPEN:
            self.frames.writeInTurn(data)


class _HangUp(Protocol):
    """Takes over the TCP stream, and ends it."""

    def connectionMade(self) -> None:
        """Called when the stream is handed over."""
        assert self.transport is not None
        self.transport.loseConnection()


def _isUnknownFrame(head: bytes, isDeflated: bool) -> bool:
    """
    Whether a reserved bit or opcode (RFC 6455 5.2) is the only fault of a frame.

    `head` begins with a frame in which Autobahn has found a fault.
    """
    rsv, opcode, isMasked = head[0] & 0x70, head[0] & 0xF, head[1] & 0x80
    if rsv and not (isDeflated and rsv == _RSV1):
        return True
    if opcode < Opcode.CLOSE:
        return bool(isMasked and opcode > Opcode.BINARY)
    return bool(isMasked and opcode > Opcode.PONG and head[0] & 0x80 and head[1] & 0x7F <= _MAX_CONTROL)


def _lineOf(failure: Failure, path: str) -> int:
    """Returns the innermost line of a file in a traceback; 0 if there is none."""
    return next((line for _, file, line, _, _ in reversed(failure.frames) if file == path), 0)
