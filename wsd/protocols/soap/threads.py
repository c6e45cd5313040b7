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
"""Times as many threads as the route has, when some of them hang."""


class Threads:
    """
    A bounded pool of a route's own; what waits for it is bounded by the calls a connection may have open.

    Nothing can end work that hangs in its thread. Once it is cancelled, another thread takes the place of that one.
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
        """Fires when what is being done is done, or has had its time."""
        return self._pool.end()

    def run(self, work: Callable[..., Any], arguments: dict[str, Any]) -> Deferred[Any]:
        """Do it on the pool; to cancel it, when it has not begun, is to leave it out."""
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
            # What waits is not given to it otherwise, before something else comes.
            self._pool.startAWorker()


class _Job:
    """Some work, of which one may lose interest."""

    def __init__(self, work: Callable[..., Any], arguments: dict[str, Any]) -> None:
        self._work = work
        self._arguments = arguments
        self._lock = Lock()
        self._isRunning = False
        self._isAbandoned = False
        self._ended: Callable[[], None] | None = None

    def do(self) -> Any:
        """In the thread."""
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
        """Nobody waits for it any more. Whether it is running: then `ended` is called in its thread when it ends."""
        with self._lock:
            self._isAbandoned = True
            if self._isRunning:
                self._ended = ended
            return self._isRunning
