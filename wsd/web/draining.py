"""
Ends all connections when the daemon stops: pending answers are finished first.

Connections are closed a few at a time, so that not all clients reconnect at the same moment.
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
"""Seconds between two checks for idle connections."""
_SPREAD = 5.0
"""Seconds over which the closes are spread at most, whatever their number."""
_FEWEST = 50
"""Connections that may be closed at each check, even if there are few."""
_ABORTED = 1.0
"""Seconds to wait for dropped connections, whose ends are reported a turn of the reactor later."""


class Drain:
    """Ends all connections of a site; `connections` returns the WebSockets of its routes. `clock` is the reactor."""

    def __init__(self, site: Site, connections: Callable[[], list[Connection]], clock: Any) -> None:
        self._site = site
        self._connections = connections
        self._clock = clock

    async def finish(self, patience: float) -> None:
        """
        Close every WebSocket on which nothing is being answered, until none is left, or for `patience` seconds.

        A WebSocket must be idle at two checks in a row, so that messages received in between are answered too.
        """
        end = self._clock.seconds() + patience
        # Handshakes that are not accepted yet are refused.
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
        """Close all remaining connections, wait `patience` seconds for their closing handshakes, and drop the rest."""
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
