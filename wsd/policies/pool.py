"""
Threads for blocking work: one pool for the daemon, divided into shares.

Each user of the pool has a share with bounds of its own, so that work that hangs in one share never holds up another.
All bookkeeping is done on the reactor's thread; a thread only does the work that it is handed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.metrics import Metrics, ShareCounters

_T = TypeVar("_T")

PATIENCE = 5.0
"""Seconds for work that is still running when its share stops."""

MOST_WAITING = 10_000
"""Limit of the waiting jobs of a share that names no other."""

_MOST_REPLACED = 4
"""Limit of a share's threads when some of them hang, as a multiple of `threads`."""


class PoolFull(Exception):
    """Too many jobs of a share wait for a thread."""


class JobTimedOut(Exception):
    """A job was not done in time, and its caller does not wait any longer. A thread may still be at it."""


class JobState(Enum):
    """Where a job is."""

    waiting = auto()
    running = auto()
    abandoned = auto()
    """It runs on a thread, but nobody waits for it."""
    done = auto()


class Job:
    """A piece of work, and the Deferred of its caller."""

    __slots__ = ("_result", "_work", "done", "late", "share", "state")

    def __init__(self, share: PoolShare, work: Callable[[], Any]) -> None:
        self.share = share
        self.state = JobState.waiting
        self.done: Deferred[Any] = Deferred(lambda _: share.abandon(self))
        self.late: IDelayedCall | None = None
        self._work = work
        self._result: Any = None

    def do(self) -> None:
        """Do the work; called on a thread."""
        try:
            self._result = self._work()
        except BaseException:
            self._result = Failure()

    def tell(self) -> None:
        """Fire the caller's Deferred with the result."""
        self.done.callback(self._result)


class BlockingPool:
    """
    The threads of the daemon's blocking work.

    A thread is made when a job needs one and none is idle. Threads do not keep the process alive: work that hangs ends
    with the process.
    """

    def __init__(self, reactor: Any, metrics: Metrics) -> None:
        self.reactor = reactor
        self._metrics = metrics
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        """Jobs for idle threads; None ends a thread."""
        self._idle = 0
        self._mostIdle = 0
        """The sum of the threads that the open shares may use."""
        self._shares: set[PoolShare] = set()

    def share(
        self, user: str, route: str, *, threads: int, waiting: int = MOST_WAITING, timeout: float | None = None
    ) -> PoolShare:
        """
        A share of the pool: at most `threads` of its jobs run at a time, and at most `waiting` others wait.

        With a `timeout`, callers wait at most so many seconds for a job. Do without where a job that is finished late
        does harm, as a late write to a file does.
        """
        return PoolShare(self, user, self._metrics.share(user, route), threads, waiting, timeout)

    def opened(self, share: PoolShare, threads: int) -> None:
        """A share has its first job."""
        self._shares.add(share)
        self._mostIdle += threads

    def closed(self, share: PoolShare, threads: int) -> None:
        """A share takes no more jobs."""
        if share in self._shares:
            self._shares.remove(share)
            self._mostIdle -= threads
            while self._idle > self._mostIdle:
                self._idle -= 1
                self._jobs.put(None)

    def begin(self, job: Job) -> None:
        """Hand a job to a thread, which calls `ended` on the reactor's thread."""
        if self._idle:
            self._idle -= 1
        else:
            Thread(target=self._work, name="wsd-pool", daemon=True).start()
        self._jobs.put(job)

    def _work(self) -> None:
        """Do jobs, on a thread of the pool."""
        while (job := self._jobs.get()) is not None:
            job.do()
            self.reactor.callFromThread(self._freed, job)
            # While this thread waits, it does not keep what the job held.
            del job

    def _freed(self, job: Job) -> None:
        """A thread is done with a job; a thread beyond what the shares may use ends."""
        if self._idle < self._mostIdle:
            self._idle += 1
        else:
            self._jobs.put(None)
        job.share.ended(job)

    def close(self) -> None:
        """End the pool at once. Whoever is to wait for jobs that still run stops their share before."""
        for share in list(self._shares):
            share.close()


class _ShareState(Enum):
    unused = auto()
    """There has been no job yet."""
    open = auto()
    stopping = auto()
    """Jobs are still accepted, since the last ones may need others to finish."""
    closed = auto()


class PoolShare:
    """
    One user's part of the pool. Its jobs begin in the order of the calls; with one thread they are done in that order.

    A running job cannot be stopped. When its Deferred is cancelled, or its time is over, another thread takes its place
    until it ends, up to four times `threads`.
    """

    log = Logger(namespace="wsd")

    def __init__(
        self,
        pool: BlockingPool,
        user: str,
        counters: ShareCounters,
        threads: int,
        waiting: int,
        timeout: float | None,
    ) -> None:
        self.user = user
        self._pool = pool
        self._counters = counters
        self._threads = threads
        self._mostWaiting = waiting
        self._timeout = timeout
        self._state = _ShareState.unused
        self._queue: deque[Job] = deque()
        self._running: set[Job] = set()
        self._abandoned = 0
        """How many of the running jobs nobody waits for."""
        self._stopped: list[Deferred[None]] = []
        self._patience: IDelayedCall | None = None

    @property
    def pending(self) -> int:
        """The number of jobs that run or wait."""
        return len(self._running) + len(self._queue)

    @property
    def limit(self) -> int:
        """The number of jobs that may run now."""
        return min(self._threads + self._abandoned, _MOST_REPLACED * self._threads)

    def run(self, work: Callable[..., _T], /, *arguments: Any, **named: Any) -> Deferred[_T]:
        """
        Do the work on a thread.

        Fails with what the work raises, with PoolFull, with JobTimedOut, or with CancelledError if the share has
        stopped.
        """
        if self._state is _ShareState.closed:
            return fail(CancelledError())
        if self._state is _ShareState.unused:
            self._state = _ShareState.open
            self._pool.opened(self, self._threads)
        if len(self._queue) >= self._mostWaiting and len(self._running) >= self.limit:
            return fail(PoolFull(f"more than {self._mostWaiting} jobs wait already; try again later"))
        job = Job(self, partial(work, *arguments, **named))
        if self._timeout is not None:
            job.late = self._pool.reactor.callLater(self._timeout, self._timedOut, job)
        self._queue.append(job)
        self._counters.waiting += 1
        self._next()
        return job.done

    def _next(self) -> None:
        while self._queue and len(self._running) < self.limit:
            job = self._queue.popleft()
            self._counters.waiting -= 1
            self._counters.threads += 1
            self._running.add(job)
            job.state = JobState.running
            self._pool.begin(job)

    def ended(self, job: Job) -> None:
        """A thread has done the job."""
        self._running.remove(job)
        self._counters.threads -= 1
        if job.state is JobState.abandoned:
            self._abandoned -= 1
        if self._state is not _ShareState.closed:
            self._next()
        if job.state is JobState.running:
            self._finish(job)
            job.tell()
        if self._state is _ShareState.stopping and not self.pending:
            self.close()

    def abandon(self, job: Job) -> None:
        """The caller does not wait for the job any longer."""
        if job.state is JobState.waiting:
            self._queue.remove(job)
            self._counters.waiting -= 1
            self._finish(job)
        elif job.state is JobState.running:
            self._finish(job)
            job.state = JobState.abandoned
            self._abandoned += 1
            if self._state is not _ShareState.closed:
                self._next()

    def _finish(self, job: Job) -> None:
        job.state = JobState.done
        if job.late is not None and job.late.active():
            job.late.cancel()

    def _timedOut(self, job: Job) -> None:
        self._counters.timeouts += 1
        self.abandon(job)
        job.done.errback(JobTimedOut(f"this was not done within {self._timeout:g} seconds"))

    # -- the end --------------------------------------------------------------------------------------------------

    def stop(self) -> Deferred[None]:
        """Fires when all jobs are done, or after `PATIENCE`; then the share takes no more."""
        if not self.pending:
            self.close()
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        if self._state is not _ShareState.stopping:
            self._state = _ShareState.stopping
            self._patience = self._pool.reactor.callLater(PATIENCE, self._giveUp)
        return stopped

    def _giveUp(self) -> None:
        self.log.warn(
            "{count} tasks of {name} were not done after {seconds:g} seconds and are abandoned",
            event="pool.left",
            count=self.pending,
            name=self.user,
            seconds=PATIENCE,
        )
        self.close()

    def close(self) -> None:
        """Take no more jobs. Callers that still wait for one get CancelledError."""
        if self._state is _ShareState.closed:
            return
        self._state = _ShareState.closed
        self._pool.closed(self, self._threads)
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        for job in [*self._queue, *self._running]:
            if job.state is not JobState.abandoned:
                job.done.cancel()
        stopped, self._stopped = self._stopped, []
        for each in stopped:
            each.callback(None)
