"""The pool of threads on which the work of a store is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from wsd.policies.pool import Pool

if TYPE_CHECKING:
    from wsd.protocols.blob.pipe import Pipe

_T = TypeVar("_T")


class Disk:
    """
    A bounded pool of its own: nothing that waits for a disk runs on the reactor's thread.

    `waiting` counts the bytes that have come and are not written yet, of all pipes; above `most` nobody reads.
    """

    def __init__(self, reactor: Any, threads: int, most: int) -> None:
        self._reactor = reactor
        self._pool = Pool(reactor, threads, "blob")
        self.most = most
        self.waiting = 0
        self.paused: set[Pipe] = set()

    def start(self) -> None:
        """Begin; threads are made when there is work."""
        self._pool.start()

    def stop(self) -> Deferred[None]:
        """Fires when what is being done is done, or has had its time."""
        return self._pool.end()

    def run(self, work: Callable[..., _T], *arguments: Any) -> Deferred[_T]:
        """Do it on the pool."""
        done: Deferred[_T] = deferToThreadPool(self._reactor, self._pool, work, *arguments)
        return done

    def taken(self, size: int) -> None:
        """So many bytes do not wait any more."""
        self.waiting -= size
        for pipe in list(self.paused):
            pipe.reconsider()
