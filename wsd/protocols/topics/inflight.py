"""Publishes that are on their way: so many of a connection may be, then nothing more is read from it."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed

MOST = 256
"""Publishes of one connection that may wait for their acknowledgement."""


class Holdable(Protocol):
    """A connection whose reading can be held."""

    def hold(self) -> None:
        """Read nothing."""

    def release(self) -> None:
        """Read on."""


class InFlight:
    """The publishes of one connection."""

    __slots__ = ("_connection", "_count", "_waiting")

    def __init__(self, connection: Holdable) -> None:
        self._connection = connection
        self._count = 0
        self._waiting: list[Deferred[None]] = []

    def landed(self) -> Deferred[None]:
        """Fires when none is on its way."""
        if not self._count:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def __len__(self) -> int:
        return self._count

    def add(self, done: Deferred[Any]) -> None:
        """One more is on its way, until `done` has fired and the callbacks that it has by now have run."""
        self._count += 1
        if self._count == MOST:
            self._connection.hold()
        done.addBoth(self._landed)

    def _landed(self, result: Any) -> Any:
        if self._count == MOST:
            self._connection.release()
        self._count -= 1
        if not self._count:
            landed, self._waiting = self._waiting, []
            for waiting in landed:
                waiting.callback(None)
        return result
