"""Publishes that are on their way: so many of a connection may be, then nothing more is read from it."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred

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

    __slots__ = ("_connection", "_count")

    def __init__(self, connection: Holdable) -> None:
        self._connection = connection
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, done: Deferred[Any]) -> None:
        """One more is on its way, until `done` has fired."""
        self._count += 1
        if self._count == MOST:
            self._connection.hold()
        done.addBoth(self._landed)

    def _landed(self, result: Any) -> Any:
        if self._count == MOST:
            self._connection.release()
        self._count -= 1
        return result
