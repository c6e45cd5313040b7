"""Long work in steps: one step a turn of the reactor, whoever asked for it, so that nobody waits for more than one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

Step = Callable[[], bool]
"""Does some of the work, and says whether more is left."""


class Turns:
    """Those who have something to do, one after the other and around again."""

    log = Logger(namespace="wsd")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: deque[Step] = deque()

    def add(self, step: Step) -> None:
        """Call it, beginning with the next turn of the reactor, until it has nothing left to do."""
        self._waiting.append(step)
        if len(self._waiting) == 1:
            self._clock.callLater(0, self._turn)

    def _turn(self) -> None:
        step = self._waiting[0]
        try:
            isLeft = step()
        except Exception:
            self.log.failure("a step failed")
            isLeft = False
        self._waiting.popleft()
        if isLeft:
            self._waiting.append(step)
        if self._waiting:
            self._clock.callLater(0, self._turn)
