"""
The threads of handlers that block, and the queues between a connection and its handler.

A handler has a thread for as long as its connection lasts, so these threads are not part of the daemon's pool, which is
for short jobs. If too many items are queued for a handler, its connection stops reading. If too many bytes that it sent
are queued, its next send blocks. Calls from threads are collected, and made on the reactor's thread at one wake-up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import Any, Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.protocols.pywebsocket.api._stream_exceptions import ConnectionTerminatedException
from wsd.protocols.pywebsocket.exchange import (
    BINARY,
    CLOSE,
    COUNTED_ABOVE,
    FULL,
    GONE,
    ITEM_OVERHEAD,
    LOST,
    PAUSE_ABOVE,
    PONG,
    READING,
    RESUME_AT,
    SILENT,
    TEXT,
    WAITING,
    WORKING,
    QueueItem,
)

_UNSENT = 1024 * 1024
"""With more bytes on their way from a handler to the reactor, a send blocks."""
_IDLE = 30.0
"""Seconds after which an idle thread ends."""

_log = Logger(namespace="wsd")


class NoThread(Exception):
    """All threads that the route may have are in use."""


class HandlerThreads:
    """At most `most` threads. An idle one is kept for a while."""

    def __init__(self, reactor: Any, most: int) -> None:
        self._reactor = reactor
        self._most = most
        self._lock = Lock()
        self._idle: list[SimpleQueue[Callable[[], None] | None]] = []
        self._calls: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        """Calls to make on the reactor's thread."""
        self._isScheduled = False
        """Whether the reactor is going to make them."""
        self.busy = 0
        """The number of threads on which a handler runs."""

    def start(self, work: Callable[[], None]) -> None:
        """Do the work on a thread. Raises NoThread."""
        with self._lock:
            if self.busy >= self._most:
                raise NoThread
            self.busy += 1
            idle = self._idle.pop() if self._idle else None
        if idle is not None:
            idle.put(work)
        else:
            Thread(target=self._run, args=(work,), name="wsd handler", daemon=True).start()

    def _run(self, work: Callable[[], None] | None) -> None:
        mine: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        while work is not None:
            try:
                work()
            except BaseException:
                _log.failure("a handler's thread failed", Failure(), event="handler.error")
            work = None
            with self._lock:
                self.busy -= 1
                self._idle.append(mine)
            try:
                work = mine.get(timeout=_IDLE)
            except Empty:
                with self._lock:
                    if mine in self._idle:
                        self._idle.remove(mine)
                        return
                work = mine.get()

    def stop(self) -> None:
        """End the idle threads. A thread whose handler still runs ends with the process."""
        with self._lock:
            idle, self._idle = self._idle, []
        for queue in idle:
            queue.put(None)

    def callFromThread(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Called on a thread. Make a call on the reactor's thread, after all earlier ones."""
        self._calls.append((call, arguments))
        if not self._isScheduled:
            self._isScheduled = True
            self._reactor.callFromThread(self._makeCalls)

    def _makeCalls(self) -> None:
        self._isScheduled = False
        for _ in range(len(self._calls)):
            call, arguments = self._calls.popleft()
            try:
                call(*arguments)
            except Exception:
                _log.failure("a call from a handler failed", Failure(), event="handler.error")
        if self._calls and not self._isScheduled:
            self._isScheduled = True
            self._reactor.callLater(0, self._makeCalls)


class Pausable(Protocol):
    """A connection that can stop reading."""

    def hold(self) -> None:
        """Stop reading."""

    def release(self) -> None:
        """Resume reading."""

    def noteQueued(self, size: int) -> None:
        """Called with the bytes that are queued for the handler, if they are many, or were."""


class ThreadBridge:
    """The queues between one connection, on the reactor, and its handler, on a thread."""

    def __init__(self, threads: HandlerThreads, connection: Pausable) -> None:
        self._threads = threads
        self._connection = connection
        self._items: SimpleQueue[QueueItem] = SimpleQueue()
        self._queued = self._taken = 0
        """All bytes that were ever put, and those that were taken."""
        self._isHeld = False
        """Whether the connection has been told to stop reading."""
        self._isCounted = False
        """Whether the queue counts as memory in use. What it counts as is not exact while the thread takes items."""
        self._sending = Lock()
        self._room = Event()
        self._isWaiting = False
        """Whether a send waits for `_room`."""
        self._submitted = self._sent = 0
        """All bytes that the handler ever sent, and those that the connection has been handed."""
        self._peer = READING
        self._activity = SILENT

    # -- on the reactor -------------------------------------------------------------------------------------------

    def put(self, kind: int, content: Any, size: int = 0) -> None:
        """Queue an item for the handler. If too many bytes are queued, the connection stops reading."""
        self._queued += size + ITEM_OVERHEAD
        self._items.put((kind, content))
        if not self._isHeld and self._queued - self._taken > PAUSE_ABOVE:
            self._isHeld = True
            self._connection.hold()
            self._reconsider()
        if self._queued - self._taken > COUNTED_ABOVE:
            self._isCounted = True
            self._count()

    def _reconsider(self) -> None:
        if self._isHeld and self._queued - self._taken <= RESUME_AT:
            self._isHeld = False
            self._connection.release()

    def _count(self) -> None:
        """Report the bytes in the queue."""
        size = self._queued - self._taken
        self._isCounted = size > COUNTED_ABOVE
        self._connection.noteQueued(size if self._isCounted else 0)

    @property
    def isBusy(self) -> bool:
        """Whether the handler has received a message and has not yet asked for the next."""
        return self._activity is WORKING or (self._activity is WAITING and not self._items.empty())

    def full(self, isFull: bool) -> None:
        """Called when the send buffer is full, and when it has room again."""
        if self._peer is not GONE:
            self._peer = FULL if isFull else READING
        self._makeRoom()

    def end(self, kind: int, content: Any) -> None:
        """Queue the last items: FAULT after a protocol error, and LOST when the connection is gone."""
        if self._peer is not GONE or kind == LOST:
            self._peer = GONE
            self._items.put((kind, content))
            self._makeRoom()

    @property
    def hasEnded(self) -> bool:
        """Whether the connection is gone."""
        return self._peer is GONE

    def _makeRoom(self) -> None:
        if self._isWaiting and not self._isCrowded:
            self._room.set()

    def _send(self, size: int, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            call(*arguments)
        finally:
            self._sent += size
            self._makeRoom()

    # -- on the handler's thread ----------------------------------------------------------------------------------

    def take(self) -> QueueItem:
        """Wait for the next item. The item LOST stays in the queue."""
        if self._activity is WORKING:
            self._activity = WAITING
        item = self._items.get()
        kind, content = item
        if self._activity is WAITING or kind in (TEXT, BINARY):
            self._activity = WORKING
        if kind == LOST:
            self._items.put(item)
            return item
        self._taken += ITEM_OVERHEAD + (len(content) if kind <= PONG and kind != CLOSE else 0)
        if self._isHeld and self._queued - self._taken <= RESUME_AT:
            self._threads.callFromThread(self._reconsider)
        if self._isCounted:
            self._threads.callFromThread(self._count)
        return item

    @property
    def _isCrowded(self) -> bool:
        if self._peer is READING:
            return self._submitted - self._sent > _UNSENT
        return self._peer is FULL

    def send(self, size: int, call: Callable[..., Any], *arguments: Any) -> None:
        """
        Make a call that sends `size` bytes on the reactor's thread. Blocks until there is room for them.

        Raises ConnectionTerminatedException if the connection is gone. It blocks no longer than the route's
        `stall_timeout`, after which a peer that takes nothing is dropped.
        """
        with self._sending:
            while self._isCrowded:
                self._isWaiting = True
                self._room.clear()
                if self._isCrowded:
                    self._room.wait()
                self._isWaiting = False
            if self.hasEnded:
                raise ConnectionTerminatedException("the connection is closed")
            self._submitted += size
            self._threads.callFromThread(self._send, size, call, arguments)

    def callFromThread(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Make a call on the reactor's thread, after all earlier ones."""
        self._threads.callFromThread(call, *arguments)
