"""Runs the blocking work of a blob store on threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.policies.pool import PoolFull, PoolShare
from wsd.protocols.blob.errors import FAULTS, BlobError, blobErrorOf

_T = TypeVar("_T")

_QUIET = 60.0
"""Seconds until the same fault is logged again."""


class IoPool:
    """Runs the work of one route's store on a share of the daemon's pool."""

    log = Logger(namespace="wsd")

    def __init__(self, share: PoolShare, clock: IReactorTime, route: str) -> None:
        self._share = share
        self._clock = clock
        self._route = route
        self._logged: dict[str, float] = {}
        """When each fault was last logged."""

    def stop(self) -> Deferred[None]:
        """Fires when all work is done, or after a timeout."""
        return self._share.stop()

    def run(self, work: Callable[..., _T], *arguments: object) -> Deferred[_T]:
        """Run work on a thread. Fails only with BlobError. Faults of the store are logged."""
        return self._share.run(work, *arguments).addErrback(self._failed)

    def _failed(self, failure: Failure) -> NoReturn:
        if failure.check(PoolFull):
            raise BlobError("unavailable", "the store is overloaded; try again later")
        if failure.check(CancelledError):
            raise BlobError("unavailable", "the store has been closed")
        error = blobErrorOf(failure)
        if error.code in FAULTS and error is failure.value:
            self._logFault(error)
        raise error

    def _logFault(self, error: BlobError) -> None:
        """Log a fault of the store, at most once a minute, since every client meets the same one."""
        now = self._clock.seconds()
        if now - self._logged.get(error.sentence, -_QUIET) >= _QUIET:
            self._logged[error.sentence] = now
            sentence = f"{error.sentence} ({error.__cause__})"
            self.log.error("{route}: {sentence}", event="blob.store", route=self._route, sentence=sentence)
