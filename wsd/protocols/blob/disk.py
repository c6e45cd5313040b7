"""The pool of threads on which the work of a store is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.policies.pool import Pool
from wsd.protocols.blob.errors import FAULTS, BlobError, blobErrorOf

_T = TypeVar("_T")

_QUIET = 60.0
"""Seconds before the same fault is logged again."""


class Disk:
    """A bounded pool of its own: nothing that waits for a disk runs on the reactor's thread."""

    log = Logger(namespace="wsd")

    def __init__(self, reactor: Any, threads: int, route: str) -> None:
        self._reactor = reactor
        self._route = route
        self._logged: dict[str, float] = {}
        """When each fault was last logged."""
        self._pool = Pool(reactor, threads, "blob")

    def start(self) -> None:
        """Begin; threads are made when there is work."""
        self._pool.start()

    def stop(self) -> Deferred[None]:
        """Fires when the present work is done, or its time is over."""
        return self._pool.end()

    def run(self, work: Callable[..., _T], *arguments: Any) -> Deferred[_T]:
        """Do the work on the pool. Fails with BlobError only; the log has what is wrong with the store."""
        return self._start(work, *arguments).addErrback(self._failed)

    def _start(self, work: Callable[..., _T], *arguments: Any) -> Deferred[_T]:
        done: Deferred[_T] = deferToThreadPool(self._reactor, self._pool, work, *arguments)
        return done

    def _failed(self, failure: Failure) -> NoReturn:
        error = blobErrorOf(failure)
        if error.code in FAULTS and error is failure.value:
            self._tell(error)
        raise error

    def _tell(self, error: BlobError) -> None:
        """Log a fault of the store, at most once a minute, since every client meets the same one."""
        now = self._reactor.seconds()
        if now - self._logged.get(error.sentence, -_QUIET) >= _QUIET:
            self._logged[error.sentence] = now
            sentence = f"{error.sentence} ({error.__cause__})"
            self.log.error("{route}: {sentence}", event="blob.store", route=self._route, sentence=sentence)
