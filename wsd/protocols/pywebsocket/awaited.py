"""Handlers that are coroutines: each runs on the reactor, without a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import isawaitable
from time import perf_counter
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from wsd.connection import Accept
from wsd.frames.fast import TURN_SECONDS
from wsd.protocols.pywebsocket.answers import Abort, answer, closeAnswer, closeOf, refusalOf
from wsd.protocols.pywebsocket.api import common
from wsd.protocols.pywebsocket.api._stream_exceptions import ConnectionTerminatedException
from wsd.protocols.pywebsocket.exchange import (
    BINARY,
    CLOSE,
    COUNTED_ABOVE,
    FAULT,
    FULL,
    GONE,
    ITEM_OVERHEAD,
    LOST,
    OPENED,
    PAUSE_ABOVE,
    PING,
    PONG,
    READING,
    RESUME_AT,
    SILENT,
    TEXT,
    WAITING,
    WORKING,
    HandlerEndpoint,
    QueueItem,
)
from wsd.protocols.pywebsocket.handlers import Handler
from wsd.protocols.pywebsocket.request import HandlerRequest
from wsd.protocols.pywebsocket.stream import HandlerStream


async def _awaited(value: Any) -> Any:
    """Returns the result of a hook, which may or may not be a coroutine."""
    return await value if isawaitable(value) else value


class AwaitedStream(HandlerStream):
    """`request.ws_stream` of a coroutine: its methods are awaited, and messages can be iterated over."""

    def __init__(self, request: HandlerRequest, runner: CoroutineRunner) -> None:
        super().__init__(request)
        self._runner = runner

    def __aiter__(self) -> AwaitedStream:
        """`async for message in request.ws_stream`, until the peer closes."""
        return self

    async def __anext__(self) -> str | bytes:
        """The next message."""
        message = await self.receive_message()
        if message is None:
            raise StopAsyncIteration
        return message

    async def send_message(self, message: Any, end: bool = True, binary: bool = False) -> None:
        """Send a message, or with `end=False` a fragment of one. Waits while the send buffer is full."""
        for piece in self._pieces(message, end, binary):
            await self._runner.room()
            self._runner.connection.sendPiece(piece)

    async def send_ping(self, body: Any, binary: bool = False) -> None:
        """Send a ping."""
        piece = self._ping(body)
        await self._runner.room()
        self._runner.connection.sendPiece(piece)

    async def receive_message(self) -> str | bytes | None:
        """Wait for the next message. Returns None if the peer has closed."""
        self._checkMayReceive()
        while True:
            item = kind, content = await self._runner.take()
            if kind in (TEXT, BINARY):
                return self._message(item)
            if kind == CLOSE:
                await self._answer(*content)
                return None
            if kind == PING:
                await _awaited(self._request.on_ping_handler(self._request, content))
            elif kind == PONG:
                await _awaited(self._request.on_pong_handler(self._request, content))
            else:
                self._lost(item)
                return None

    async def _answer(self, code: int | None, reason: str | None) -> None:
        self._peerClosed(code, reason)
        if not self._request.server_terminated:
            hook = self._runner.handler.closing
            returned = await _awaited(hook and hook(self._request))
            self._runner.connection.closeWith(*self._beginClose(*closeAnswer(returned)))

    async def close_connection(
        self, code: int | None = common.STATUS_NORMAL_CLOSURE, reason: Any = "", wait_response: bool = True
    ) -> None:
        """Close. With `wait_response` wait until the peer has closed too."""
        if self._request.server_terminated:
            return
        self._runner.connection.closeWith(*self._beginClose(code, reason))
        if wait_response and code not in (common.STATUS_GOING_AWAY, common.STATUS_PROTOCOL_ERROR):
            while not self._request.client_terminated:
                item = await self._runner.take()
                if item[0] == CLOSE:
                    self._peerClosed(*item[1])
                elif item[0] in (FAULT, LOST):
                    self._lost(item)


class AwaitedConnection:
    """`request.connection` of a coroutine."""

    def __init__(self, connection: HandlerEndpoint) -> None:
        self._connection = connection
        self.remote_addr = connection.remoteAddress
        self.local_addr = connection.localAddress

    def write(self, data: bytes) -> None:
        """Send bytes unchanged, before the answer to the handshake or between messages."""
        self._connection.writeRaw(bytes(memoryview(data)))

    def read(self, length: int) -> bytes:
        """Raises OSError: only a handler on a thread can read bytes."""
        raise OSError("a coroutine does not read bytes: await request.ws_stream.receive_message()")


class CoroutineRunner:
    """Runs the coroutine of one connection, and queues the items that it has not taken yet."""

    def __init__(self, connection: HandlerEndpoint, handler: Handler, uri: str) -> None:
        self.connection = connection
        self.handler = handler
        self._request = HandlerRequest(connection.request, uri, AwaitedConnection(connection))
        self._items: deque[tuple[int, QueueItem]] = deque()
        self._size = 0
        self._isCounted = False
        """Whether the queue counts as memory in use."""
        self._isHeld = False
        """Whether the connection has been told to stop reading."""
        self._peer = READING
        self._activity = SILENT
        self._taking: Deferred[None] | None = None
        self._sending: list[Deferred[None]] = []
        self._running: Deferred[None] | None = None
        self._began = 0.0
        """When the handler's turn on the reactor began. Its turns are short, however much it sends."""

    async def opening(self) -> Accept | None:
        """Run the handshake's hook. Raises Refused."""
        try:
            await _awaited(self.handler.handshake(self._request))
            return answer(self._request)
        except CancelledError:
            raise
        except Exception as error:
            self.connection.handshakeFailed(Failure())
            refusal = refusalOf(error)
            if isinstance(refusal, Abort):
                self.connection.hangUp()
                return None
            raise refusal from error

    # -- receiving ------------------------------------------------------------------------------------------------

    def put(self, kind: int, content: Any, size: int = 0) -> None:
        """Queue an item for the handler. If too many bytes are queued, the connection stops reading."""
        if kind == OPENED:
            self._began = perf_counter()
            self._running = Deferred.fromCoroutine(self._transfer(partial(self.handler.transfer, self._request)))
            return
        self._items.append((size + ITEM_OVERHEAD, (kind, content)))
        self._size += size + ITEM_OVERHEAD
        if self._size > PAUSE_ABOVE and not self._isHeld:
            self._isHeld = True
            self.connection.hold()
        self._wake()
        if self._size > COUNTED_ABOVE:
            self._count()

    @property
    def isBusy(self) -> bool:
        """Whether the handler has received a message and has not yet asked for the next."""
        return self._activity is WORKING

    def wants(self, kind: int) -> bool:
        """Whether the handler has a hook for items of this kind, which is PING or PONG."""
        request = self._request
        return (request.on_ping_handler if kind == PING else request.on_pong_handler) is not None

    def _wake(self) -> None:
        taking, self._taking = self._taking, None
        if taking is not None:
            if self._activity is WAITING:
                self._activity = WORKING
            taking.callback(None)

    async def take(self) -> QueueItem:
        """Wait for the next item. The item LOST stays in the queue."""
        while not self._items:
            if self._activity is WORKING:
                self._activity = WAITING
            self._taking = Deferred()
            await self._taking
            self._began = perf_counter()
        size, item = self._items[0]
        if item[0] == LOST:
            return item
        self._items.popleft()
        if item[0] in (TEXT, BINARY):
            self._activity = WORKING
        self._size -= size
        if self._isCounted:
            self._count()
        if self._isHeld and self._size <= RESUME_AT:
            self._isHeld = False
            self.connection.release()
        return item

    def _count(self) -> None:
        """Report the bytes in the queue."""
        self._isCounted = self._size > COUNTED_ABOVE
        self.connection.noteQueued(self._size if self._isCounted else 0)

    def end(self, kind: int, content: Any) -> None:
        """
        Queue the last items: FAULT after a protocol error, and LOST when the connection is gone.

        A handler that waits takes them. With LOST, any other handler is cancelled.
        """
        if self._peer is GONE and kind != LOST:
            return
        self._peer = GONE
        self._items.append((0, (kind, content)))
        isWaiting = self._taking is not None or bool(self._sending)
        self._resumeSending()
        self._wake()
        if kind == LOST and not isWaiting and self._running is not None:
            self._running.cancel()

    # -- moving to a new process ----------------------------------------------------------------------------------

    @property
    def canMove(self) -> bool:
        """Whether the handler waits for a message, and can go on in a new process."""
        request = self._request
        isOpen = not request.client_terminated and not request.server_terminated
        return self.handler.canMove and isOpen and self._taking is not None and not self._items

    def saveState(self) -> Any:
        """What the handler wants to know in the new process."""
        return None if self.handler.saving is None else self.handler.saving(self._request)

    def resume(self, state: Any) -> None:
        """Go on in a new process, in the next turn of the reactor: nothing may be sent now."""
        resuming = self.handler.resuming
        assert resuming is not None
        self._request.ws_protocol = self.connection.subprotocol

        def begin() -> None:
            self._began = perf_counter()
            self._running = Deferred.fromCoroutine(self._transfer(partial(resuming, self._request, state)))

        self.connection.clock.callLater(0, begin)

    # -- sending --------------------------------------------------------------------------------------------------

    def full(self, isFull: bool) -> None:
        """Called when the send buffer is full, and when it has room again."""
        if self._peer is not GONE:
            self._peer = FULL if isFull else READING
        if not isFull:
            self._resumeSending()

    def _resumeSending(self) -> None:
        sending, self._sending = self._sending, []
        for each in sending:
            each.callback(None)

    async def room(self) -> None:
        """Wait until the send buffer has room. Raises ConnectionTerminatedException if the connection is gone."""
        if perf_counter() - self._began > TURN_SECONDS and self._peer is not GONE:
            await self.connection.room()
            self._began = perf_counter()
        while self._peer is FULL:
            waiting: Deferred[None] = Deferred()
            self._sending.append(waiting)
            await waiting
        if self._peer is GONE:
            raise ConnectionTerminatedException("the connection is closed")

    async def _transfer(self, transfer: Callable[[], Awaitable[Any]]) -> None:
        request, connection = self._request, self.connection
        request.ws_stream = AwaitedStream(request, self)
        code: int | None = common.STATUS_NORMAL_CLOSURE
        try:
            await transfer()
        except CancelledError:
            code = None
        except GeneratorExit:
            # Nobody waits for it any more: the connection has moved, or the process ends.
            raise
        except BaseException as error:
            code = closeOf(error)
            if code == common.STATUS_INTERNAL_ENDPOINT_ERROR:
                connection.handlerFailed(Failure(), self.handler.path)
        if not request.server_terminated or code is None:
            connection.finish(code)
