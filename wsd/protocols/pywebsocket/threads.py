"""
The threads that handlers block: a bounded pool, and a queue each way between a connection and its handler.

Towards the handler, the connection stops reading when more waits than the handler takes. From it, a send waits while
too much has not gone. A thread never calls the reactor: it leaves what is to be done, and one wake-up serves all that
was left since the last.
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

TEXT, BINARY, CLOSE, PING, PONG, OPENED, FAULT, LOST = 1, 2, 8, 9, 10, 16, 17, 18
"""What is in the queue to a handler: an opcode, or what became of the connection."""

Item = tuple[int, Any]

PAUSE_ABOVE = 256 * 1024
"""Bytes that wait for a handler above which its connection reads no more."""
RESUME_AT = 64 * 1024
"""Bytes at which it reads again."""
ITEM_OVERHEAD = 128
"""What a waiting message takes beside its bytes."""
_UNSENT = 1024 * 1024
"""Bytes on their way from a handler to the reactor above which a send waits."""
_IDLE = 30.0
"""Seconds after which a thread that has nothing to do ends."""

_log = Logger(namespace="wsd")


class NoThread(Exception):
    """As many handlers run as may."""


class Threads:
    """At most `most` threads, kept for a while when they are free; what they leave is done on the reactor."""

    def __init__(self, reactor: Any, most: int) -> None:
        self._reactor = reactor
        self._most = most
        self._lock = Lock()
        self._free: list[SimpleQueue[Callable[[], None] | None]] = []
        self._left: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._woken = False
        self.busy = 0
        """Threads in which a handler runs."""

    def start(self, work: Callable[[], None]) -> None:
        """Do this on a thread. Raises NoThread."""
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
        """Let the free threads end; one whose handler still runs ends with the process."""
        with self._lock:
            free, self._free = self._free, []
        for queue in free:
            queue.put(None)

    def leave(self, call: Callable[..., Any], *arguments: Any) -> None:
        """From a thread: have this called on the reactor, after what was left before."""
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


class Held(Protocol):
    """A connection, as its line sees it."""

    def hold(self) -> None:
        """Read no more."""

    def release(self) -> None:
        """Read again."""


class Line:
    """The queues between one connection, on the reactor, and its handler, on a thread."""

    def __init__(self, threads: Threads, connection: Held) -> None:
        self._threads = threads
        self._connection = connection
        self._items: SimpleQueue[Item] = SimpleQueue()
        self._came = self._taken = 0
        self._isHeld = False
        self._sending = Lock()
        self._room = Event()
        self._waits = False
        self._left = self._done = 0
        self._isFull = False
        self._hasTaken = self._isTaking = False
        self.hasEnded = False

    # -- on the reactor -------------------------------------------------------------------------------------------

    def put(self, kind: int, content: Any, size: int = 0) -> None:
        """Something for the handler; too much of it holds the connection."""
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
        return self._hasTaken and not (self._isTaking and self._items.empty())

    def full(self, isFull: bool) -> None:
        """Whether too much waits for the peer."""
        self._isFull = isFull
        self._makeRoom()

    def end(self, kind: int, content: Any) -> None:
        """The connection is gone: whoever waits hears of it."""
        if not self.hasEnded:
            self.hasEnded = True
            self._items.put((kind, content))
            self._makeRoom()

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

    def take(self) -> Item:
        """What has come, waited for; the end comes again and again."""
        self._isTaking = True
        item = self._items.get()
        self._isTaking = False
        kind, content = item
        self._hasTaken = self._hasTaken or kind in (TEXT, BINARY)
        if kind == LOST:
            self._items.put(item)
            return item
        self._taken += ITEM_OVERHEAD + (len(content) if kind <= PONG and kind != CLOSE else 0)
        if self._isHeld and self._came - self._taken <= RESUME_AT:
            self._threads.leave(self._reconsider)
        return item

    @property
    def _isCrowded(self) -> bool:
        return not self.hasEnded and (self._isFull or self._left - self._done > _UNSENT)

    def send(self, size: int, call: Callable[..., Any], *arguments: Any) -> None:
        """
        Have the connection send something of so many bytes, when there is room.

        Raises ConnectionTerminatedException when it is gone. How long that may take is the route's `stall_timeout`: a
        peer that takes nothing for so long is dropped.
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
        """Have this done on the reactor, after what was sent."""
        self._threads.leave(call, *arguments)
