"""
Threads for blocking work: one pool for the daemon, divided into shares.

Each user of the pool has a share with its own limits, so that work that hangs in one share never delays another. All
bookkeeping is done on the reactor's thread; the pool's threads only do the work.
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
"""Seconds that a stopping share waits for its jobs."""

MOST_WAITING = 10_000
"""The default limit of a share's waiting jobs."""

_MOST_REPLACED = 4
"""The limit of a share's threads when some of them hang, as a multiple of `threads`."""


class PoolFull(Exception):
    """Raised when too many jobs of a share wait for a thread."""


class JobTimedOut(Exception):
    """Raised when a job was not done in time. A thread may still be working on it."""


class JobState(Enum):
    """The state of a job."""

    waiting = auto()
    running = auto()
    abandoned = auto()
    """It runs on a thread, but its caller has stopped waiting."""
    done = auto()


class Job:
    """A piece of work, and the Deferred of its caller."""

    __slots__ = ("_result", "_work", "begunAt", "done", "late", "share", "state")

    def __init__(self, share: PoolShare, work: Callable[[], Any], begunAt: float) -> None:
        self.share = share
        self.begunAt = begunAt
        """When it was asked for."""
        self.state = JobState.waiting
        self.done: Deferred[Any] = Deferred(lambda _: share.abandon(self))
        self.late: IDelayedCall | None = None
        self._work = work
        self._result: Any = None

    def do(self) -> None:
        """Called on a thread: do the work."""
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
        Returns a new share: at most `threads` of its jobs run at a time, and at most `waiting` others wait.

        With a `timeout`, callers wait at most that many seconds for a job. Do not use one if a job that ends late does
        harm, such as a late write to a file.
        """
        return PoolShare(self, user, self._metrics.share(user, route), threads, waiting, timeout)

    def opened(self, share: PoolShare, threads: int) -> None:
        """Called when a share has its first job."""
        self._shares.add(share)
        self._mostIdle += threads

    def closed(self, share: PoolShare, threads: int) -> None:
        """Called when a share takes no more jobs."""
        if share in self._shares:
            self._shares.remove(share)
            self._mostIdle -= threads
            while self._idle > self._mostIdle:
                self._idle -= 1
                self._jobs.put(None)

    def begin(self, job: Job) -> None:
        """Hand a job to a thread. The share's `ended` is called afterwards, on the reactor's thread."""
        if self._idle:
            self._idle -= 1
        else:
            Thread(target=self._work, name="wsd-pool", daemon=True).start()
        self._jobs.put(job)

    def _work(self) -> None:
        """The loop of each thread: do jobs."""
        while (job := self._jobs.get()) is not None:
            job.do()
            self.reactor.callFromThread(self._freed, job)
            # While this thread waits, it keeps no reference to the job's arguments.
            del job

    def _freed(self, job: Job) -> None:
        """Called when a thread has done a job. Keep the thread if the open shares may use it, or else end it."""
        if self._idle < self._mostIdle:
            self._idle += 1
        else:
            self._jobs.put(None)
        job.share.ended(job)

    def close(self) -> None:
        """Close all shares at once. To wait for the jobs of a share, call its `stop` first."""
        for share in list(self._shares):
            share.close()


class _ShareState(Enum):
    unused = auto()
    """It has had no job yet."""
    open = auto()
    stopping = auto()
    """Jobs are still accepted, since one of the last may need another to finish."""
    closed = auto()


class PoolShare:
    """
    One user's part of the pool. Jobs begin in the order of the calls; with one thread they also end in that order.

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
        """The number of running jobs that are abandoned."""
        self._stopped: list[Deferred[None]] = []
        self._patience: IDelayedCall | None = None

    @property
    def pending(self) -> int:
        """The number of running and waiting jobs."""
        return len(self._running) + len(self._queue)

    @property
    def limit(self) -> int:
        """The number of jobs that may run now."""
        return min(self._threads + self._abandoned, _MOST_REPLACED * self._threads)

    def run(self, work: Callable[..., _T], /, *arguments: Any, **named: Any) -> Deferred[_T]:
        """
        Do the work on a thread. Returns a Deferred of its result.

        It fails with the exception of the work, with PoolFull, with JobTimedOut, or with CancelledError if the share is
        closed.
        """
        if self._state is _ShareState.closed:
            return fail(CancelledError())
        if self._state is _ShareState.unused:
            self._state = _ShareState.open
            self._pool.opened(self, self._threads)
        if len(self._queue) >= self._mostWaiting and len(self._running) >= self.limit:
            return fail(PoolFull(f"more than {self._mostWaiting} jobs are already waiting; try again later"))
        job = Job(self, partial(work, *arguments, **named), self._pool.reactor.seconds())
        if self._timeout is not None:
            job.late = self._pool.reactor.callLater(self._timeout, self._timedOut, job)
        self._queue.append(job)
        self._counters.waiting += 1
        self._next()
        return job.done

    def _next(self) -> None:
        """Begin waiting jobs within the limit."""
        while self._queue and len(self._running) < self.limit:
            job = self._queue.popleft()
            self._counters.waiting -= 1
            self._counters.threads += 1
            self._running.add(job)
            job.state = JobState.running
            self._pool.begin(job)

    def ended(self, job: Job) -> None:
        """Called when a thread has done the job."""
        self._running.remove(job)
        self._counters.threads -= 1
        self._counters.durations.observe(self._pool.reactor.seconds() - job.begunAt)
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
        """Called when the caller stops waiting for the job."""
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
        job.done.errback(JobTimedOut(f"this took longer than {self._timeout:g} seconds"))

    def reopen(self) -> None:
        """Take jobs again after `stop`."""
        if self._state is _ShareState.closed:
            self._state = _ShareState.unused

    # -- the end --------------------------------------------------------------------------------------------------

    def stop(self) -> Deferred[None]:
        """Close the share when all jobs are done, or after `PATIENCE`. Returns a Deferred that fires then."""
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
            "{count} tasks of {name} were abandoned after {seconds:g} seconds",
            event="pool.left",
            count=self.pending,
            name=self.user,
            seconds=PATIENCE,
        )
        self.close()

    def close(self) -> None:
        """Take no more jobs. Callers that are still waiting get CancelledError."""
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
