"""Tasks that are repeated while the daemon runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger


class PeriodicTasks:
    """Calls each of some functions again and again. One that fails is logged, and not called again."""

    log = Logger(namespace="wsd")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._loops: list[LoopingCall] = []

    def add(self, seconds: float, call: Callable[[], Any]) -> None:
        """Call this now, and every so many seconds."""
        loop = LoopingCall(call)
        loop.clock = self._clock
        loop.start(seconds).addErrback(lambda failure: self.log.failure("a periodic task failed", failure))
        self._loops.append(loop)

    def stop(self) -> None:
        """Call none of them any more."""
        for loop in self._loops:
            if loop.running:
                loop.stop()
