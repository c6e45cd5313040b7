"""Guard: limits how often logins may fail, by address and by user."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

_KEPT = 10_000
"""Limit of the names remembered; beyond it, names whose failures have worn off are forgotten."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` failures at once, and one more every `seconds`."""

    burst: int
    seconds: float


BY_ADDRESS = Rate(10, 1.0)
BY_USER = Rate(50, 1.0)
"""The higher limit: a single address is stopped before it can lock a user out."""


class Guard:
    """Counts failures, which wear off with time."""

    def __init__(self, clock: IReactorTime, rate: Rate) -> None:
        self._clock = clock
        self._rate = rate
        self._failures: dict[str, tuple[float, float]] = {}

    def admits(self, name: str) -> bool:
        """Whether another attempt is allowed."""
        return self._level(name) < self._rate.burst

    def failed(self, name: str) -> None:
        """Called when an attempt has failed."""
        if len(self._failures) >= _KEPT:
            self._failures = {each: kept for each, kept in self._failures.items() if self._level(each) > 0}
        self._failures[name] = (self._level(name) + 1, self._clock.seconds())

    def _level(self, name: str) -> float:
        if name not in self._failures:
            return 0.0
        level, then = self._failures[name]
        return max(0.0, level - (self._clock.seconds() - then) / self._rate.seconds)
