"""Threads for what blocks: a bounded pool, and a bounded number that waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from wsd.policies.pool import Pool

_T = TypeVar("_T")


class Threads:
    """A pool of its own."""

    def __init__(self, reactor: Any, most: int, name: str) -> None:
        self.waiting = 0
        """The number of pending operations."""
        self._reactor = reactor
        self._pool = Pool(reactor, most, name)

    def start(self) -> None:
        """Begin; threads are made when there is work."""
        self._pool.start()

    def stop(self) -> Deferred[None]:
        """Fires when the present work is done, or its time is over."""
        return self._pool.end()

    def run(self, work: Callable[..., _T], *arguments: Any) -> Deferred[_T]:
        """Do it on the pool."""
        self.waiting += 1
        done: Deferred[_T] = deferToThreadPool(self._reactor, self._pool, work, *arguments)
        return done.addBoth(self._done)

    def _done(self, result: Any) -> Any:
        self.waiting -= 1
        return result
