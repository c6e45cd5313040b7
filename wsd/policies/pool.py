"""Threads for blocking work: a bounded pool that stops in bounded time without blocking the reactor."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

_T = TypeVar("_T")

PATIENCE = 5.0
"""Seconds for work that is still running when the pool stops."""


class _Thread(Thread):
    """A daemon thread, which does not keep the process alive."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, daemon=True, **named)


class Pool(ThreadPool):
    """
    Twisted's pool with another way to stop: Twisted's own joins the threads, which blocks the reactor.

    Its threads do not keep the process alive: work that hangs ends with the process.
    """

    log = Logger(namespace="wsd")
    threadFactory = _Thread

    def __init__(self, reactor: Any, most: int, name: str) -> None:
        super().__init__(0, most, name)
        self._reactor = reactor
        self._undone = 0
        self._ended: Deferred[None] | None = None

    def run(self, work: Callable[..., _T], *arguments: Any, **named: Any) -> Deferred[_T]:
        """Do the work on a thread. The Deferred is cancelled if the pool has stopped."""
        done: Deferred[_T] = deferToThreadPool(self._reactor, self, work, *arguments, **named)
        return done

    def callInThreadWithCallback(
        self, onResult: Callable[[bool, Any], object] | None, func: Callable[..., Any], *arguments: Any, **named: Any
    ) -> None:
        """As in Twisted, but to be called on the reactor's thread only."""

        def told(isDone: bool, result: Any) -> None:
            try:
                if onResult is not None:
                    onResult(isDone, result)
            finally:
                self._reactor.callFromThread(self._oneDone)

        if self.joined:
            if onResult is not None:
                onResult(False, Failure(CancelledError()))
            return
        self._undone += 1
        super().callInThreadWithCallback(told, func, *arguments, **named)

    def _oneDone(self) -> None:
        self._undone -= 1
        if not self._undone:
            self._tellEnded()

    def end(self) -> Deferred[None]:
        """Stop. Fires when all work is done, or after `PATIENCE`; then no more work is accepted."""
        if not self.started or not self._undone:
            self._close()
            return succeed(None)
        ended: Deferred[None] = Deferred()
        self._ended = ended
        late = self._reactor.callLater(PATIENCE, self._giveUp)
        ended.addCallback(lambda _: self._close())
        ended.addBoth(lambda result: late.cancel() if late.active() else None)
        return ended

    def _giveUp(self) -> None:
        self.log.warn(
            "{count} tasks of {name} were not done after {seconds:g} seconds and are abandoned",
            event="pool.left",
            count=self._undone,
            name=self.name,
            seconds=PATIENCE,
        )
        self._tellEnded()

    def _tellEnded(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended.callback(None)

    def _close(self) -> None:
        """Let each thread end after its present work."""
        if not self.joined:
            self.joined, self.started = True, False
            self._team.quit()
