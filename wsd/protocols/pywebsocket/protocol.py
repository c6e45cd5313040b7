"""
A route of handlers: each connection runs the handler of its path, on a thread or as a coroutine.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource

from wsd.config import ConfigError
from wsd.connection import Accept, Connection, Factory, Refused, Request
from wsd.frames.codes import CloseCode, Opcode
from wsd.frames.heads import frameHead
from wsd.frames.writing import LEAST_DEFLATED
from wsd.head import decodedPath
from wsd.metrics import Cause
from wsd.protocols.pywebsocket.access import BasicAuth
from wsd.protocols.pywebsocket.api._stream_exceptions import (
    InvalidFrameException,
    InvalidUTF8Exception,
    UnsupportedFrameException,
)
from wsd.protocols.pywebsocket.awaited import Awaited
from wsd.protocols.pywebsocket.blocking import Blocking
from wsd.protocols.pywebsocket.bytewise import Bytewise
from wsd.protocols.pywebsocket.cgi import Programs
from wsd.protocols.pywebsocket.documents import DocumentRoot
from wsd.protocols.pywebsocket.exchange import ConnectionEnd, ItemKind, OutgoingFrame
from wsd.protocols.pywebsocket.handlers import Handler
from wsd.protocols.pywebsocket.options import HandlerOptions
from wsd.protocols.pywebsocket.threads import HandlerThreads

_LOOK = 1.0
"""Seconds between two looks at the files."""
_RSV1, _MAX_CONTROL = 0x40, 125
"""The bit of a compressed message (RFC 7692 6), and the longest control frame (RFC 6455 5.5)."""
_LOADING = 60.0
"""Seconds that a look, with the loading of what has changed, may take."""

_FAULTS: Mapping[int, type[Exception]] = {
    CloseCode.UNSUPPORTED_DATA: UnsupportedFrameException,
    CloseCode.INVALID_DATA: InvalidUTF8Exception,
}


class HandlerConnection(Connection):
    """One connection and its handler."""

    factory: HandlerFactory
    explains = False
    _talk: Any = None
    _peerCloses = False
    _wroteRaw = False

    async def opening(self, request: Request) -> Accept | None:
        """Ask the handler."""
        self.factory.access.check(request.head)
        handler, uri = self.factory.find(request)
        if handler.readsBytes:
            request.takeRaw(Bytewise(self, handler, self.factory.threads, uri))
            return None
        talk = Awaited(self, handler, uri) if handler.isAsync else Blocking(self, handler, self.factory.threads, uri)
        accept = await talk.opening()
        self._talk = talk
        return accept

    @property
    def remoteAddress(self) -> tuple[str, int]:
        """The peer's address and port."""
        return self.peer.address, self.peer.port

    @property
    def localAddress(self) -> tuple[str, int]:
        """The daemon's address and port."""
        host = self.transport.getHost()
        return getattr(host, "host", ""), getattr(host, "port", 0)

    # -- what comes -----------------------------------------------------------------------------------------------

    def opened(self) -> None:
        """The handler's turn begins."""
        self._talk.put(ItemKind.OPENED, None)

    def received(self, payload: bytes, isBinary: bool) -> None:
        """A message for the handler."""
        self._talk.put(ItemKind.BINARY if isBinary else ItemKind.TEXT, payload, len(payload))

    def onPing(self, payload: bytes) -> None:
        """A ping, which a handler may want."""
        if self._talk.wants(ItemKind.PING):
            self._talk.put(ItemKind.PING, payload, len(payload))
        else:
            super().onPing(payload)

    def onPong(self, payload: bytes) -> None:
        """A pong, which a handler may want."""
        if self._talk.wants(ItemKind.PONG):
            self._talk.put(ItemKind.PONG, payload, len(payload))

    @property
    def isBusy(self) -> bool:
        """Whether the handler has received something and has not yet asked for more."""
        return super().isBusy or (self._talk is not None and self._talk.isBusy)

    def full(self) -> None:
        """The handler's next send waits."""
        self._talk.full(True)

    def drained(self) -> None:
        """It goes on."""
        self._talk.full(False)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Tell the handler, also while the connection is not open yet."""
        isClean = self.wasClean
        super().connectionLost(reason)
        if self._talk is not None:
            code = 1005 if self.remoteCloseCode is None else self.remoteCloseCode
            self._talk.end(
                ItemKind.LOST, ConnectionEnd(code if isClean else 1006, self.remoteCloseReason or "", isClean)
            )

    # -- the end --------------------------------------------------------------------------------------------------

    def faulted(self, code: int, reason: str) -> int:
        """The handler gets an exception for what the peer sent. Handlers expect 1003 for frames that nobody knows."""
        isHead = code == CloseCode.PROTOCOL_ERROR and self.current_frame is None
        if isHead and _isUnknownFrame(self.data, self._perMessageCompress is not None):
            code = CloseCode.UNSUPPORTED_DATA
        if self._talk is not None:
            self._talk.end(ItemKind.FAULT, _FAULTS.get(code, InvalidFrameException)(reason))
        return code

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        """Autobahn answers a close at once. Here the handler answers it, after it has received what came before."""
        if isReply and self.state == self.STATE_OPEN and not self._peerCloses:
            self._peerCloses = True
            self._talk.put(ItemKind.CLOSE, (self.remoteCloseCode, self.remoteCloseReason))
        else:
            super().sendCloseFrame(code, reasonUtf8, isReply)

    def dropConnection(self, abort: bool = False) -> None:
        """Autobahn ends the connection after its answer. Here the answer is still to come."""
        if not self._peerCloses or abort or self.state != self.STATE_OPEN:
            super().dropConnection(abort)

    def closeWith(self, code: int | None, reason: bytes) -> None:
        """The handler's close, or its answer to the peer's."""
        if self.state != self.STATE_OPEN:
            return
        if self._peerCloses:
            self.sendCloseFrame(code, reason, isReply=True)
            self.dropConnection()
        else:
            self.noteCause(Cause.closed)
            self.sendCloseFrame(code, reason)

    def finish(self, code: int | None) -> None:
        """The handler has returned. None ends the connection without a close: its own bytes may be half a frame."""
        if code is None or (self._wroteRaw and code == 1011):
            self.hangUp()
        else:
            self.closeWith(code, b"")

    def hangUp(self) -> None:
        """End the connection without a close, after what was sent."""
        self.noteCause(Cause.aborted)
        self._peerCloses = self.wasClean = False
        if self.state == self.STATE_CONNECTING:
            self.request.takeRaw(_HangUp())
        else:
            self.dropConnection()

    def handlerFailed(self, failure: Failure, path: str) -> None:
        """Log an exception of the handler, with its line in the handler's file."""
        self.noteCause(Cause.internal_error)
        self.log.failure(
            "the handler failed at {file}:{line}",
            failure,
            event="handler.error",
            file=path,
            line=_lineOf(failure, path),
        )

    def handshakeFailed(self, failure: Failure) -> None:
        """Log an exception of the handshake's hook."""
        self.log.info("the handler refused: {reason}", event="handler.refused", reason=failure.getErrorMessage())

    # -- what is sent ---------------------------------------------------------------------------------------------

    def sendPiece(self, frame: OutgoingFrame) -> None:
        """Send a frame. If deflate was agreed on, a whole message is deflated, however short it is."""
        if self.state != self.STATE_OPEN:
            return
        payload, opcode, isLast = frame
        if opcode >= ItemKind.PING:
            self.frames.write(frameHead(opcode, len(payload)) + payload)
            return
        deflater = self._perMessageCompress
        if opcode == 0 or not isLast:
            self.frames.writeInTurn(frameHead(opcode, len(payload), isLast) + payload)
        elif deflater is None or len(payload) >= LEAST_DEFLATED or self.frames.isBusy:
            self.send(payload, opcode == ItemKind.BINARY)
        else:
            traffic = self.factory.counters.traffic
            traffic.messagesOut += 1
            traffic.bytesOut += len(payload)
            payload = deflater.deflate(payload)
            self.frames.write(frameHead(opcode, len(payload), True, True) + payload)

    def writeRaw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._wroteRaw = True
        if self.state == self.STATE_CONNECTING:
            self.transport.write(data)
        elif self.state == self.STATE_OPEN:
            self.frames.writeInTurn(data)


class _HangUp(Protocol):
    """Takes the bare stream, and ends it."""

    def connectionMade(self) -> None:
        """End."""
        assert self.transport is not None
        self.transport.loseConnection()


def _isUnknownFrame(head: bytes, isDeflated: bool) -> bool:
    """
    Whether a frame has a reserved bit or opcode (RFC 6455 5.2), and no fault beside that is a protocol error.

    `head` begins with the frame, in which Autobahn has found a fault.
    """
    rsv, opcode, isMasked = head[0] & 0x70, head[0] & 0xF, head[1] & 0x80
    if rsv and not (isDeflated and rsv == _RSV1):
        return True
    if opcode < Opcode.CLOSE:
        return bool(isMasked and opcode > Opcode.BINARY)
    return bool(isMasked and opcode > Opcode.PONG and head[0] & 0x80 and head[1] & 0x7F <= _MAX_CONTROL)


def _lineOf(failure: Failure, path: str) -> int:
    """The innermost line of a file in a traceback."""
    return max((line for _, file, line, _, _ in failure.frames if file == path), default=0)


class HandlerFactory(Factory):
    """The handlers of a folder, at a route."""

    connection = HandlerConnection
    Options = HandlerOptions
    statuses = MappingProxyType({421: 404, 426: 400})
    log = Logger(namespace="wsd")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Raises ConfigError if a handler is broken and `handlers_strict` is set."""
        super().__init__(*arguments, **named)
        options: HandlerOptions = self.options
        self.threads = HandlerThreads(self.clock, options.threads)
        self.handlers = options.folder()
        self._loading = self.pool.share("handlers", self.route.path, threads=1, timeout=_LOADING)
        self._looking: LoopingCall | None = None
        loaded = self.handlers.load()
        if options.handlers_strict and self.handlers.warnings:
            raise ConfigError(f"{self.handlers.warnings[0]}; mend it, or set handlers_strict = false")
        self._tell(loaded)
        self.access = BasicAuth(options.basic_auth)
        self.programs = Programs(self.clock)

    def find(self, request: Request) -> tuple[Handler, str]:
        """The handler of a request, and the URI that it gets. Raises Refused (404)."""
        head, route = request.head, self.route
        own = decodedPath(route.path)
        path = decodedPath(head.path)[len(own) :] if route.prefix else own[own.rindex("/") :]
        handler = self.handlers.find(path)
        if handler is None:
            raise Refused(404, f"no handler answers at {head.path[:80]}")
        return handler, head.path + (f"?{head.query}" if head.query or head.target.endswith("?") else "")

    def started(self) -> Deferred[Any] | None:
        """Begin to look for changed files."""
        self.metrics.setThreads(self.route.path, lambda: self.threads.busy)
        self._looking = LoopingCall(self._look)
        self._looking.clock = self.clock
        self._looking.start(_LOOK, now=False)
        return None

    def _tell(self, loaded: list[str]) -> None:
        for sentence in loaded:
            self.log.info("{sentence}", event="handler.loaded", sentence=sentence)
        for warning in self.handlers.warnings:
            self.log.warn("{sentence}", event="handler.broken", sentence=warning)

    def _look(self) -> Deferred[None]:
        """Load what has changed, on a thread: a handler may block while it is loaded."""

        def look() -> None:
            if self.handlers.hasChanged():
                self._tell(self.handlers.load())

        return self._loading.run(look).addErrback(
            lambda failure: self.log.failure("the handlers cannot be read", failure, event="handler.broken")
        )

    def resource(self) -> IResource | None:
        """The files beside the handlers."""
        options: HandlerOptions = self.options
        if options.document_root is None:
            return None
        return DocumentRoot(
            options.document_root, options.cgi_paths, self.programs, self.access, self.policies.max_message
        )

    def stopped(self) -> Deferred[Any] | None:
        """End the threads and programs."""
        if self._looking is not None:
            self._looking.stop()
        self.programs.stop()
        self.threads.stop()
        return self._loading.stop()
