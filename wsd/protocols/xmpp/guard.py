"""Guard: how often a login may fail, by address and by user, before the next is not even looked at."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

_KEPT = 10_000
"""Names that are remembered; beyond it those are let go whose failures have worn off."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many failures at once, and one more every so many seconds."""

    burst: int
    seconds: float


BY_ADDRESS = Rate(10, 1.0)
BY_USER = Rate(50, 1.0)
"""Larger: one address alone cannot shut a user out, since it is stopped before."""


class Guard:
    """Counts failures that wear off with time."""

    def __init__(self, clock: IReactorTime, rate: Rate) -> None:
        self._clock = clock
        self._rate = rate
        self._failures: dict[str, tuple[float, float]] = {}

    def admits(self, name: str) -> bool:
        """Whether another try may be looked at."""
        return self._level(name) < self._rate.burst

    def failed(self, name: str) -> None:
        """A try has failed."""
        if len(self._failures) >= _KEPT:
            self._failures = {each: kept for each, kept in self._failures.items() if self._level(each) > 0}
        self._failures[name] = (self._level(name) + 1, self._clock.seconds())

    def _level(self, name: str) -> float:
        if name not in self._failures:
            return 0.0
        level, then = self._failures[name]
        return max(0.0, level - (self._clock.seconds() - then) / self._rate.seconds)
