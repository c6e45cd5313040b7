"""Threads for what blocks: a bounded pool that ends in bounded time, and not on the reactor's thread."""

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
"""Seconds that what is being done at the end has."""


class _Thread(Thread):
    """Does not keep the process."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, daemon=True, **named)


class Pool(ThreadPool):
    """
    Twisted's, with another end: its own joins the threads, and nobody is served meanwhile.

    Its threads do not keep the process: what hangs in one ends with that.
    """

    log = Logger(namespace="wsd")
    threadFactory = _Thread

    def __init__(self, reactor: Any, most: int, name: str) -> None:
        super().__init__(0, most, name)
        self._reactor = reactor
        self._undone = 0
        self._ended: Deferred[None] | None = None

    def run(self, work: Callable[..., _T], *arguments: Any, **named: Any) -> Deferred[_T]:
        """Do it on a thread. It is cancelled when the pool has ended."""
        done: Deferred[_T] = deferToThreadPool(self._reactor, self, work, *arguments, **named)
        return done

    def callInThreadWithCallback(
        self, onResult: Callable[[bool, Any], object] | None, func: Callable[..., Any], *arguments: Any, **named: Any
    ) -> None:
        """As Twisted's, on the reactor's thread only."""

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
        """Fires when all is done that was asked for, or after `PATIENCE`; then no more is taken."""
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
            "{count} works of {name} were not done after {seconds:g} seconds, and are left",
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
        """Let the threads end when they have done what they do."""
        if not self.joined:
            self.joined, self.started = True, False
            self._team.quit()
