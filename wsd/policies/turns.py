"""Long work in steps: one step in each turn of the reactor, so that nobody waits for more than one step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

Step = Callable[[], bool]
"""Does a piece of the work. Returns whether any is left."""


class Turns:
    """Runs the steps of several tasks in turn."""

    log = Logger(namespace="wsd")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: deque[Step] = deque()

    def add(self, step: Step) -> None:
        """Call the step once in each turn of the reactor, from the next one on, until nothing is left to do."""
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
