"""Long work in steps: one step in each turn of the reactor, so that others wait for one step at most."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

Step = Callable[[], bool]
"""Does a piece of the work. Returns whether there is more to do."""


class Turns:
    """Runs several tasks, a step of one after a step of another."""

    log = Logger(namespace="wsd")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: deque[Step] = deque()

    def add(self, step: Step) -> None:
        """Add a task: call `step` in later turns of the reactor, until it returns False."""
        self._waiting.append(step)
        if len(self._waiting) == 1:
            self._clock.callLater(0, self._turn)

    def _turn(self) -> None:
        step = self._waiting[0]
        try:
            isLeft = step()
        except Exception:
            self.log.failure("a step of a long task failed")
            isLeft = False
        self._waiting.popleft()
        if isLeft:
            self._waiting.append(step)
        if self._waiting:
            self._clock.callLater(0, self._turn)
