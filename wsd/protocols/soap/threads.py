"""The pool of threads in which functions run that block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from wsd.policies.pool import Pool


class Threads:
    """A bounded pool of a route's own; what waits for it is bounded by the calls a connection may have open."""

    def __init__(self, reactor: Any, most: int) -> None:
        self._reactor = reactor
        self._pool = Pool(reactor, most, "soap")

    def start(self) -> None:
        """Begin; threads are made when there is work."""
        self._pool.start()

    def stop(self) -> Deferred[None]:
        """Fires when what is being done is done, or has had its time."""
        return self._pool.end()

    def run(self, work: Callable[..., Any], arguments: dict[str, Any]) -> Deferred[Any]:
        """Do it on the pool."""
        done: Deferred[Any] = deferToThreadPool(self._reactor, self._pool, work, **arguments)
        return done
