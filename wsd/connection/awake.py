"""The streams that deflate and inflate are large: those that nobody used for some seconds are put away."""

from __future__ import annotations

from collections.abc import Callable

from wsd.frames.deflate import Deflater
from wsd.policies.memory import giveBack
from wsd.policies.timer import Timer

MOST = 2048
"""Connections of a route that keep their streams, 100 to 200 KiB each. Of more, the longest unused are put away."""

_REST = 4.0
"""Seconds between two looks at a connection: it is put away when it was not used in between, so after 4 to 8 s."""

_AT_ONCE = 64
"""Connections looked at in a turn: putting one away, and giving its memory back, takes 20 to 40 us."""

_TRIES = 64
"""Connections looked at to find one that can be put away for another; in the middle of a message none can."""


class Awake:
    """The connections of one route that have streams, the one that was looked at first before the others."""

    __slots__ = ("_giveBack", "_looked", "_timer", "due")

    def __init__(self, timer: Timer, giveBack: Callable[[], None] = giveBack) -> None:
        self.due = -1
        self._timer = timer
        self._giveBack = giveBack
        self._looked: dict[Deflater, float] = {}

    def __len__(self) -> int:
        return len(self._looked)

    def woke(self, deflater: Deflater) -> None:
        """A connection has a stream again."""
        looked, now = self._looked, self._timer.now
        if deflater in looked:
            return
        if len(looked) >= MOST:
            for _ in range(_TRIES):
                if self._look(now):
                    break
        looked[deflater] = now
        self._timer.sooner(self, now + _REST)

    def left(self, deflater: Deflater) -> None:
        """A connection is gone."""
        if self._looked.pop(deflater, None) is not None and not self._looked:
            self._timer.cancel(self)

    def visit(self, now: float) -> None:
        """Look at those whose turn it is, at a few of them at once."""
        due, freed = now, 0
        for _ in range(min(_AT_ONCE, len(self._looked))):
            due = next(iter(self._looked.values())) + _REST
            if due > now:
                break
            freed += self._look(now)
        if freed:
            self._giveBack()
        if self._looked:
            self._timer.schedule(self, max(due, now))

    def _look(self, now: float) -> bool:
        """Put away the one whose turn it is, unless it was used since the last look; says whether it was put away."""
        deflater = next(iter(self._looked))
        del self._looked[deflater]
        if not deflater.used and deflater.sleep():
            return True
        deflater.used = False
        self._looked[deflater] = now
        return False
