"""A pool for blocking work without threads: a test says when its jobs are done."""

from __future__ import annotations

from typing import Any

from wsd.metrics import Metrics
from wsd.policies.pool import BlockingPool, Job


class PoolAtOnce(BlockingPool):
    """Jobs are done when they are asked for; while the pool is `slow`, when a test says so."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor, Metrics())
        self.slow = False
        self.begun = 0
        """The number of jobs that have begun."""
        self._due: list[Job] = []
        self._isBusy = False

    def begin(self, job: Job) -> None:
        self.begun += 1
        self._due.append(job)
        if not self.slow and not self._isBusy:
            self.catchUp()

    def doDue(self) -> None:
        """Do what has begun by now."""
        due, self._due = self._due, []
        for job in due:
            self._do(job)

    def catchUp(self) -> None:
        """Do everything, and from now on at once."""
        self.slow, self._isBusy = False, True
        while self._due:
            self._do(self._due.pop(0))
        self._isBusy = False

    @staticmethod
    def _do(job: Job) -> None:
        job.do()
        job.share.ended(job)
