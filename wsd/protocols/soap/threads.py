"""The pool of threads in which functions run that block."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from wsd.policies.pool import Pool

_MOST_REPLACED = 4
"""Limit of the threads if some hang, as a multiple of the route's `threads`."""


class Threads:
    """
    A route's own bounded pool; its queue is bounded by the open calls that each connection may have.

    Work that hangs in a thread cannot be stopped. Once it is cancelled, another thread takes its place.
    """

    def __init__(self, reactor: Any, most: int) -> None:
        self._reactor = reactor
        self._most = most
        self._hanging = 0
        self._pool = Pool(reactor, most, "soap")

    def start(self) -> None:
        """Begin; threads are made when there is work."""
        self._pool.start()

    def stop(self) -> Deferred[None]:
        """Fires when the present work is done, or its time is over."""
        return self._pool.end()

    def run(self, work: Callable[..., Any], arguments: dict[str, Any]) -> Deferred[Any]:
        """Do the work on the pool. Work that is cancelled before it has begun is not done."""
        job = _Job(work, arguments)
        done: Deferred[Any] = deferToThreadPool(self._reactor, self._pool, job.do)
        done.addErrback(self._cancelled, job)
        return done

    def _cancelled(self, failure: Failure, job: _Job) -> Failure:
        if failure.check(CancelledError) and job.abandon(lambda: self._reactor.callFromThread(self._replace, -1)):
            self._replace(1)
        return failure

    def _replace(self, change: int) -> None:
        self._hanging += change
        self._pool.adjustPoolsize(0, min(self._most + self._hanging, _MOST_REPLACED * self._most))
        if change > 0:
            # Otherwise the new thread would get no queued work until more is added.
            self._pool.startAWorker()


class _Job:
    """A piece of work that may be abandoned."""

    def __init__(self, work: Callable[..., Any], arguments: dict[str, Any]) -> None:
        self._work = work
        self._arguments = arguments
        self._lock = Lock()
        self._isRunning = False
        self._isAbandoned = False
        self._ended: Callable[[], None] | None = None

    def do(self) -> Any:
        """Do the work, in the thread."""
        with self._lock:
            if self._isAbandoned:
                return None
            self._isRunning = True
        try:
            return self._work(**self._arguments)
        finally:
            with self._lock:
                self._isRunning = False
            if self._ended is not None:
                self._ended()

    def abandon(self, ended: Callable[[], None]) -> bool:
        """Abandon the work. Returns whether it is running; then `ended` is called in its thread when it ends."""
        with self._lock:
            self._isAbandoned = True
            if self._isRunning:
                self._ended = ended
            return self._isRunning
