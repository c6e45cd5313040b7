"""Handlers that block: each runs on one thread from its handshake to its end."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from wsd.connection import Accept, CloseCode, Refused
from wsd.protocols.pywebsocket.answers import Abort, answer, closeAnswer, closeOf, refusalOf
from wsd.protocols.pywebsocket.api import common
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
    HandlerEndpoint,
)
from wsd.protocols.pywebsocket.handlers import Handler
from wsd.protocols.pywebsocket.request import HandlerRequest
from wsd.protocols.pywebsocket.stream import HandlerStream
from wsd.protocols.pywebsocket.threads import HandlerThreads, NoThread, ThreadBridge


class BlockingStream(HandlerStream):
    """`request.ws_stream` of a handler on a thread; more than one thread may use it."""

    def __init__(
        self, request: HandlerRequest, bridge: ThreadBridge, connection: HandlerEndpoint, handler: Handler
    ) -> None:
        super().__init__(request)
        self._bridge = bridge
        self._connection = connection
        self._handler = handler

    def send_message(self, message: Any, end: bool = True, binary: bool = False) -> None:
        """Send a message, or with `end=False` a fragment of one. Blocks while the send buffer is full."""
        for piece in self._pieces(message, end, binary):
            self._bridge.send(len(piece.payload), self._connection.sendPiece, piece)

    def send_ping(self, body: Any, binary: bool = False) -> None:
        """Send a ping."""
        piece = self._ping(body)
        self._bridge.send(len(piece.payload), self._connection.sendPiece, piece)

    def receive_message(self) -> str | bytes | None:
        """Wait for the next message. Returns None if the peer has closed."""
        self._checkMayReceive()
        while True:
            item = kind, content = self._bridge.take()
            if kind in (TEXT, BINARY):
                return self._message(item)
            if kind == CLOSE:
                self._answer(*content)
                return None
            if kind == PING:
                self._request.on_ping_handler(self._request, content)
            elif kind == PONG:
                self._request.on_pong_handler(self._request, content)
            elif kind != OPENED:
                self._lost(item)
                return None

    def _answer(self, code: int | None, reason: str | None) -> None:
        """Answer the peer's close with what the handler's hook returns."""
        self._peerClosed(code, reason)
        if not self._request.server_terminated:
            hook = self._handler.closing
            self._bridge.callFromThread(
                self._connection.closeWith, *self._beginClose(*closeAnswer(hook and hook(self._request)))
            )

    def close_connection(
        self, code: int | None = common.STATUS_NORMAL_CLOSURE, reason: Any = "", wait_response: bool = True
    ) -> None:
        """Close. With `wait_response` wait until the peer has closed too."""
        if self._request.server_terminated:
            return
        self._bridge.callFromThread(self._connection.closeWith, *self._beginClose(code, reason))
        if wait_response and code not in (common.STATUS_GOING_AWAY, common.STATUS_PROTOCOL_ERROR):
            while not self._request.client_terminated:
                item = self._bridge.take()
                if item[0] == CLOSE:
                    self._peerClosed(*item[1])
                elif item[0] in (FAULT, LOST):
                    self._lost(item)


class BlockingConnection:
    """`request.connection` of a handler on a thread."""

    def __init__(self, bridge: ThreadBridge, connection: HandlerEndpoint) -> None:
        self._bridge = bridge
        self._connection = connection
        self.remote_addr = connection.remoteAddress
        self.local_addr = connection.localAddress

    def write(self, data: bytes) -> None:
        """Send bytes unchanged, before the answer to the handshake or between messages."""
        self._bridge.send(len(data), self._connection.writeRaw, bytes(memoryview(data)))

    def read(self, length: int) -> bytes:
        """Raises OSError. A handler that reads bytes says so in its file or a module of its folder (`handlers`)."""
        raise OSError("this handler's file does not read bytes itself: name connection.read in it, in one function")


class BlockingRunner:
    """Runs the handler of one connection on a thread."""

    def __init__(self, connection: HandlerEndpoint, handler: Handler, threads: HandlerThreads, uri: str) -> None:
        self._connection = connection
        self._handler = handler
        self._threads = threads
        self._bridge = ThreadBridge(threads, connection)
        self._request = HandlerRequest(connection.request, uri, BlockingConnection(self._bridge, connection))

    # -- on the reactor -------------------------------------------------------------------------------------------

    async def opening(self) -> Accept | None:
        """Run the handshake's hook. Raises Refused."""
        decided: Deferred[Accept] = Deferred()
        try:
            self._threads.start(lambda: self._run(decided))
        except NoThread:
            raise Refused(503, "all handler threads are in use; try again", [("Retry-After", "5")]) from None
        try:
            return await decided
        except Abort:
            self._connection.hangUp()
            return None
        except CancelledError:
            self._bridge.end(LOST, ConnectionEnd(CloseCode.ABNORMAL_CLOSURE, "", False))
            raise

    def put(self, kind: int, content: Any, size: int = 0) -> None:
        """Queue an item for the handler. If too many bytes are queued, the connection stops reading."""
        self._bridge.put(kind, content, size)

    def wants(self, kind: int) -> bool:
        """Whether the handler has a hook for items of this kind, which is PING or PONG."""
        request = self._request
        return (request.on_ping_handler if kind == PING else request.on_pong_handler) is not None

    @property
    def isBusy(self) -> bool:
        """Whether the handler has received a message and has not yet asked for the next."""
        return self._bridge.isBusy

    def full(self, isFull: bool) -> None:
        """Called when the send buffer is full, and when it has room again."""
        self._bridge.full(isFull)

    def end(self, kind: int, content: Any) -> None:
        """Queue the last items: FAULT after a protocol error, and LOST when the connection is gone."""
        self._bridge.end(kind, content)

    # -- on the thread --------------------------------------------------------------------------------------------

    def _run(self, decided: Deferred[Accept]) -> None:
        try:
            self._handler.handshake(self._request)
            accept = answer(self._request)
        except BaseException as error:
            self._bridge.callFromThread(_decide, decided, Failure(refusalOf(error)), self._connection, Failure())
            return
        self._bridge.callFromThread(_decide, decided, accept)
        if self._bridge.take()[0] == OPENED:
            self._transfer()

    def _transfer(self) -> None:
        request, bridge, connection = self._request, self._bridge, self._connection
        request.ws_stream = BlockingStream(request, bridge, connection, self._handler)
        try:
            self._handler.transfer(request)
            code: int | None = common.STATUS_NORMAL_CLOSURE
        except BaseException as error:
            code = closeOf(error)
            if code == common.STATUS_INTERNAL_ENDPOINT_ERROR:
                bridge.callFromThread(connection.handlerFailed, Failure(), self._handler.path)
        if not request.server_terminated or code is None:
            bridge.callFromThread(connection.finish, code)


def _decide(
    decided: Deferred[Accept],
    result: Accept | Failure,
    connection: HandlerEndpoint | None = None,
    cause: Failure | None = None,
) -> None:
    if connection is not None and cause is not None:
        connection.handshakeFailed(cause)
    if not decided.called:
        decided.callback(result)
