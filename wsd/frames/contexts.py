"""
The zlib contexts of one route's connections. They are large, so contexts that are not used for some seconds are freed.

A context deflates or inflates the messages of one connection, with its sliding window (RFC 7692 7.1.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from wsd.metrics import CompressedBytes

MAX_CONTEXTS = 2048
"""The most connections of a route that keep their contexts, 100 to 200 KiB each. For more, unused ones are freed."""

_INTERVAL = 4.0
"""Seconds between two checks of a connection. Unused contexts are freed after one to two intervals: 4 to 8 s."""

_CHECKED_PER_TURN = 64
"""Connections checked in one turn of the timer: freeing the contexts of one takes 20 to 40 us."""

_TRIES = 64
"""Connections checked to free one's contexts for another's. Within a message they cannot be freed."""


class Contexts(Protocol):
    """The contexts of one connection."""

    used: bool
    """Whether they were used since this was set to False."""

    @property
    def memory(self) -> int:
        """The bytes of memory that they take."""

    def freeContexts(self) -> bool:
        """Free them. Returns False if they are needed to finish a message."""


class Schedule(Protocol):
    """The part of the daemon's timer that is used here."""

    now: float

    def schedule(self, item: DeflateContextCache, when: float) -> None:
        """Call `item.visit` at this time."""

    def scheduleBy(self, item: DeflateContextCache, when: float) -> None:
        """Call `item.visit` at this time, unless an earlier call is scheduled."""

    def cancel(self, item: DeflateContextCache) -> None:
        """Cancel the call."""


class DeflateContextCache:
    """The connections of one route that have contexts, in the order of their last check."""

    __slots__ = ("_checkedAt", "_isTight", "_memory", "_report", "_timer", "_trimHeap", "compressed", "due", "memory")

    def __init__(
        self,
        timer: Schedule,
        trimHeap: Callable[[], None],
        compressed: CompressedBytes | None = None,
        report: Callable[[int], None] = lambda size: None,
        isTight: Callable[[], bool] = lambda: False,
    ) -> None:
        """`report` is called with the bytes of memory of all contexts. While memory `isTight`, few are kept."""
        self.compressed = compressed or CompressedBytes()
        """The bytes that the contexts of these connections have deflated and inflated."""
        self.due = -1
        self._timer = timer
        self._trimHeap = trimHeap
        self._report = report
        self._isTight = isTight
        self._checkedAt: dict[Contexts, float] = {}
        self._memory: dict[Contexts, int] = {}
        self.memory = 0
        """The bytes of memory of all contexts, and of the windows of those that were freed."""

    def __len__(self) -> int:
        return len(self._checkedAt)

    def add(self, contexts: Contexts) -> None:
        """Called when a connection has made a context. If there are too many, another connection's are freed."""
        self.weigh(contexts)
        checkedAt, now = self._checkedAt, self._timer.now
        if contexts in checkedAt:
            return
        if len(checkedAt) >= MAX_CONTEXTS or (checkedAt and self._isTight()):
            for _ in range(_TRIES):
                if self._check(now):
                    break
        checkedAt[contexts] = now
        self._timer.scheduleBy(self, now + _INTERVAL)

    def weigh(self, contexts: Contexts) -> None:
        """Called when a connection has made or freed a context."""
        size = contexts.memory
        before = self._memory.get(contexts, 0)
        if size == before:
            return
        if size:
            self._memory[contexts] = size
        else:
            del self._memory[contexts]
        self.memory += size - before
        self._report(self.memory)

    def relieve(self, size: int) -> None:
        """Called when memory is short: free contexts, the longest unused first, until half of the bytes are free."""
        for contexts in list(self._checkedAt):
            if self.memory <= size // 2:
                break
            if contexts.freeContexts():
                del self._checkedAt[contexts]

    def discard(self, contexts: Contexts) -> None:
        """Called when the connection is gone, and its contexts with it."""
        self.weigh(contexts)
        if self._checkedAt.pop(contexts, None) is not None and not self._checkedAt:
            self._timer.cancel(self)

    def visit(self, now: float) -> None:
        """Called by the timer: check the connections that are due, a few in one turn."""
        due, freed = now, 0
        for _ in range(min(_CHECKED_PER_TURN, len(self._checkedAt))):
            due = next(iter(self._checkedAt.values())) + _INTERVAL
            if due > now:
                break
            freed += self._check(now)
        if freed:
            self._trimHeap()
        if self._checkedAt:
            self._timer.schedule(self, max(due, now))

    def _check(self, now: float) -> bool:
        """Free the contexts that were checked longest ago, if unused since then. Returns whether they were freed."""
        contexts = next(iter(self._checkedAt))
        del self._checkedAt[contexts]
        if not contexts.used and contexts.freeContexts():
            return True
        contexts.used = False
        self._checkedAt[contexts] = now
        return False
