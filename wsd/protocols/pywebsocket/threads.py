"""
The threads of handlers that block, and the queues each way between a connection and its handler.

A handler has its thread for as long as its connection lasts, so that these threads are no part of the daemon's pool for
short jobs. If more waits for a handler than it takes, its connection stops reading; if too much of what it sent waits,
its next send blocks. A thread never calls the reactor: it leaves its calls to the reactor's thread, which makes all of
them at one wake-up.
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
"""Bytes on their way from a handler to the reactor above which a send waits."""
_IDLE = 30.0
"""Seconds after which a thread that has nothing to do ends."""

_log = Logger(namespace="wsd")


class NoThread(Exception):
    """All threads that the route may have are in use."""


class HandlerThreads:
    """At most `most` threads, which are kept for a while when they are free."""

    def __init__(self, reactor: Any, most: int) -> None:
        self._reactor = reactor
        self._most = most
        self._lock = Lock()
        self._free: list[SimpleQueue[Callable[[], None] | None]] = []
        self._left: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._woken = False
        self.busy = 0
        """The number of threads in which a handler runs."""

    def start(self, work: Callable[[], None]) -> None:
        """Do the work on a thread. Raises NoThread."""
        with self._lock:
            if self.busy >= self._most:
                raise NoThread
            self.busy += 1
            free = self._free.pop() if self._free else None
        if free is not None:
            free.put(work)
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
                self._free.append(mine)
            try:
                work = mine.get(timeout=_IDLE)
            except Empty:
                with self._lock:
                    if mine in self._free:
                        self._free.remove(mine)
                        return
                work = mine.get()

    def stop(self) -> None:
        """End the free threads. A thread whose handler still runs ends with the process."""
        with self._lock:
            free, self._free = self._free, []
        for queue in free:
            queue.put(None)

    def leave(self, call: Callable[..., Any], *arguments: Any) -> None:
        """From a thread: have this called on the reactor's thread, after the calls that were left before."""
        self._left.append((call, arguments))
        if not self._woken:
            self._woken = True
            self._reactor.callFromThread(self._take)

    def _take(self) -> None:
        self._woken = False
        for _ in range(len(self._left)):
            call, arguments = self._left.popleft()
            try:
                call(*arguments)
            except Exception:
                _log.failure("what a handler asked for failed", Failure(), event="handler.error")
        if self._left and not self._woken:
            self._woken = True
            self._reactor.callLater(0, self._take)


class Pausable(Protocol):
    """A connection that can stop reading."""

    def hold(self) -> None:
        """Stop reading."""

    def release(self) -> None:
        """Read again."""


class ThreadBridge:
    """The queues between one connection, on the reactor, and its handler, on a thread."""

    def __init__(self, threads: HandlerThreads, connection: Pausable) -> None:
        self._threads = threads
        self._connection = connection
        self._items: SimpleQueue[QueueItem] = SimpleQueue()
        self._came = self._taken = 0
        """Bytes that were put and taken."""
        self._isHeld = False
        """Whether the connection has been told to stop reading."""
        self._sending = Lock()
        self._room = Event()
        self._waits = False
        """Whether a send waits for room."""
        self._left = self._done = 0
        """Bytes that sends have left for the reactor's thread, and those that it has handed to the connection."""
        self._peer = READING
        self._activity = SILENT

    # -- on the reactor -------------------------------------------------------------------------------------------

    def put(self, kind: int, content: Any, size: int = 0) -> None:
        """Queue something for the handler. If too much waits, the connection stops reading."""
        self._came += size + ITEM_OVERHEAD
        self._items.put((kind, content))
        if not self._isHeld and self._came - self._taken > PAUSE_ABOVE:
            self._isHeld = True
            self._connection.hold()
            self._reconsider()

    def _reconsider(self) -> None:
        if self._isHeld and self._came - self._taken <= RESUME_AT:
            self._isHeld = False
            self._connection.release()

    @property
    def isBusy(self) -> bool:
        """Whether the handler has received a message and has not yet asked for the next."""
        return self._activity is WORKING or (self._activity is WAITING and not self._items.empty())

    def full(self, isFull: bool) -> None:
        """Too much waits to be sent to the peer, or not any more."""
        if self._peer is not GONE:
            self._peer = FULL if isFull else READING
        self._makeRoom()

    def end(self, kind: int, content: Any) -> None:
        """Called with the fault of the peer, and when the connection is gone. A handler that waits is told so."""
        if self._peer is not GONE or kind == LOST:
            self._peer = GONE
            self._items.put((kind, content))
            self._makeRoom()

    @property
    def hasEnded(self) -> bool:
        """Whether the connection is gone."""
        return self._peer is GONE

    def _makeRoom(self) -> None:
        if self._waits and not self._isCrowded:
            self._room.set()

    def _do(self, size: int, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            call(*arguments)
        finally:
            self._done += size
            self._makeRoom()

    # -- on the handler's thread ----------------------------------------------------------------------------------

    def take(self) -> QueueItem:
        """The next item, waited for. The end of the connection can be taken again and again."""
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
        if self._isHeld and self._came - self._taken <= RESUME_AT:
            self._threads.leave(self._reconsider)
        return item

    @property
    def _isCrowded(self) -> bool:
        if self._peer is READING:
            return self._left - self._done > _UNSENT
        return self._peer is FULL

    def send(self, size: int, call: Callable[..., Any], *arguments: Any) -> None:
        """
        Have the connection send `size` bytes, once there is room for them.

        Raises ConnectionTerminatedException if the connection is gone. It waits no longer than the route's
        `stall_timeout`, after which a peer that takes nothing is dropped.
        """
        with self._sending:
            while self._isCrowded:
                self._waits = True
                self._room.clear()
                if self._isCrowded:
                    self._room.wait()
                self._waits = False
            if self.hasEnded:
                raise ConnectionTerminatedException("the connection is gone")
            self._left += size
            self._threads.leave(self._do, size, call, arguments)

    def leave(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Have this called on the reactor's thread, after what was sent."""
        self._threads.leave(call, *arguments)
