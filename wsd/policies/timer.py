"""
Time: a monotonic clock, and one coarse timer for the time-outs of all connections.

Time-outs are kept in buckets; a delayed call for each connection would cost more.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

GRAIN = 0.25
"""Seconds between two checks of the clock. A visit comes late by at most this."""

_STEP = 5.0
"""The most seconds that one turn counts, so that peers are not dropped after the process was suspended."""

_AT_ONCE = 0.01
"""Seconds of visits after which other events of the reactor have their turn. Thousands may be due at the same time."""

_NEVER = -1


def keepTime(reactor: Any) -> None:
    """
    Make a Twisted reactor use the monotonic clock.

    By default it uses the time of day. When that is set, all delayed calls come late, or at once. Pending calls keep
    their remaining time.
    """
    before, reactor.seconds = reactor.seconds, monotonic
    for call in reactor.getDelayedCalls():
        left = call.getTime() - before()
        call.seconds = monotonic
        call.reset(left)


class Timed(Protocol):
    """An item that a `Timer` visits. `due` belongs to the timer, and is -1 at first."""

    due: int

    def visit(self, now: float) -> None:
        """Called when the time has come: check the time-outs, and schedule the next visit."""


class Timer:
    """
    Visits each of many items at about its time.

    Each scheduled item is in one bucket of `GRAIN` seconds. Ten thousand connections with a ping every 25 s cost a
    hundred visits in a turn, and no memory except their place in a set.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, grain: float = GRAIN) -> None:
        self._clock = clock
        self._grain = grain
        self._buckets: dict[int, set[Timed]] = {}
        self._due: deque[tuple[int, set[Timed]]] = deque()
        """Buckets whose time has come, and that still have items."""
        self._later: IDelayedCall | None = None
        """The call that visits those."""
        self._loop = LoopingCall(self._turn)
        self._loop.clock = clock
        self._seen = clock.seconds()
        self._turns = 0
        self.now = 1.0
        """The timer's own seconds, at most one grain behind: precise enough for time-outs, and cheap to read."""
        self.lag = 0.0
        """Seconds by which the last turn was late because the reactor was busy."""

    def precise(self) -> float:
        """Returns the seconds of the clock itself."""
        return self._clock.seconds()

    def start(self) -> None:
        """Begin to check the clock."""
        self._seen = self._clock.seconds()
        self._loop.start(self._grain, now=False)

    def stop(self) -> None:
        """Stop checking the clock."""
        if self._loop.running:
            self._loop.stop()
        if self._later is not None and self._later.active():
            self._later.cancel()

    def schedule(self, item: Timed, when: float) -> None:
        """Visit `item` at `when`, on the clock of `now`, or up to a grain later. Replaces an earlier call."""
        bucket = int(when / self._grain) + 1
        if bucket <= self._turns:
            bucket = self._turns + 1
        if item.due == bucket:
            return
        if item.due != _NEVER:
            self.cancel(item)
        item.due = bucket
        waiting = self._buckets.get(bucket)
        if waiting is None:
            self._buckets[bucket] = {item}
        else:
            waiting.add(item)

    def scheduleBy(self, item: Timed, when: float) -> None:
        """Visit `item` at `when`, unless an earlier visit is scheduled."""
        if item.due == _NEVER or when < (item.due - 1) * self._grain:
            self.schedule(item, when)

    def cancel(self, item: Timed) -> None:
        """Cancel the visit of `item`."""
        if item.due == _NEVER:
            return
        bucket = self._buckets.get(item.due)
        if bucket is not None:
            bucket.discard(item)
            if not bucket:
                del self._buckets[item.due]
        item.due = _NEVER

    def _bucket(self, when: float) -> int:
        return int(when / self._grain)

    def _turn(self) -> None:
        seen = self._clock.seconds()
        elapsed, self._seen = seen - self._seen, seen
        self.lag = max(0.0, elapsed - self._grain)
        self.now = now = self.now + min(max(elapsed, 0.0), _STEP)
        self._turns = last = self._bucket(now)
        self._due.extend((number, self._buckets.pop(number)) for number in sorted(self._buckets) if number <= last)
        if self._later is None or not self._later.active():
            self._visit()

    def _visit(self) -> None:
        """Visit what is due, for some milliseconds; the rest in the next turn of the reactor."""
        end = self._clock.seconds() + _AT_ONCE
        while self._due:
            number, items = self._due[0]
            while items:
                if self._clock.seconds() > end:
                    self._later = self._clock.callLater(0, self._visit)
                    return
                item = items.pop()
                if item.due == number:
                    item.due = _NEVER
                    try:
                        item.visit(self.now)
                    except Exception:
                        self.log.failure("timer.failed")
            self._due.popleft()
