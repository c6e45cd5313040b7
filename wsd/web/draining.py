"""
The end of the daemon, for those who are connected: what is being answered is finished, and then all are closed.

Connections are closed a few at a time, so that not everybody comes back in the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import ceil
from typing import Any

from twisted.internet.task import deferLater

from wsd.connection import Connection
from wsd.metrics import Cause
from wsd.web.site import Site

_LOOK = 0.05
"""Seconds between two looks at who is done."""
_SPREAD = 5.0
"""Seconds over which the closes of any number are spread, at the most."""
_FEWEST = 50
"""Connections that are closed at a look, even where there are few."""
_ABORTED = 1.0
"""Seconds in which the ends of those that were dropped become known; it takes a turn of the reactor."""


class Drain:
    """Lets go of all connections of a site, whose `connections` are those of its routes. `clock` is the reactor."""

    def __init__(self, site: Site, connections: Callable[[], list[Connection]], clock: Any) -> None:
        self._site = site
        self._connections = connections
        self._clock = clock

    async def finish(self, patience: float) -> None:
        """
        Close every WebSocket on which nothing is being answered, until none is left, or for `patience` seconds.

        One must be found so twice: what has come meanwhile is answered too.
        """
        end = self._clock.seconds() + patience
        # Who is not let in yet is told to come again.
        _close(each for each in self._connections() if not each.isOpen)
        self._endIdle()
        spread = min(patience / 2, _SPREAD)
        share = max(_FEWEST, ceil(len(self._connections()) * _LOOK / max(spread, _LOOK)))
        before: set[Connection] = set()
        while self._clock.seconds() < end:
            left = [each for each in self._connections() if each.isOpen]
            idle = {each for each in left if not each.isBusy}
            done = [each for each in left if each in idle and each in before][:share]
            _close(done)
            if len(done) == len(left) and not any(door.isBusy for door in self._site.doors):
                return
            before = idle
            await deferLater(self._clock, _LOOK)

    async def close(self, patience: float) -> None:
        """Close all that are left, wait for their closing handshakes for `patience` seconds, and drop the others."""
        _close(self._connections())
        for door in list(self._site.doors):
            door.end()
        await self._gone(patience)
        for door in list(self._site.doors):
            door.transport.abortConnection()
        await self._gone(_ABORTED)

    def _endIdle(self) -> None:
        for door in list(self._site.doors):
            if not door.isBusy and not door.isNew:
                door.end()

    async def _gone(self, patience: float) -> None:
        end = self._clock.seconds() + patience
        while self._site.doors and self._clock.seconds() < end:
            await deferLater(self._clock, _LOOK)


def _close(connections: Iterable[Connection]) -> None:
    for connection in connections:
        connection.close(1001, "the server is going away", Cause.shutdown)
