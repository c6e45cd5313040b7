"""
Ends all connections when the daemon stops. Pending answers are finished first.

Connections are closed a few at a time, so that not all clients reconnect at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import ceil
from typing import Any, NamedTuple

from twisted.internet.task import deferLater

from wsd.connection import CloseCode, Connection
from wsd.metrics import Cause
from wsd.web.site import Site

_LOOK = 0.05
"""Seconds between two checks for idle connections."""
_SPREAD = 5.0
"""The longest time in seconds over which the closes are spread."""
_FEWEST = 50
"""Connections that may be closed at each check, even if there are few."""
_ABORTED = 1.0
"""Seconds to wait for dropped connections, since their ends are reported in a later turn of the reactor."""


class Farewell(NamedTuple):
    """What a close frame says: its code and its reason."""

    code: CloseCode
    reason: str


SHUTDOWN = Farewell(CloseCode.GOING_AWAY, "the server is shutting down")
RESTART = Farewell(CloseCode.SERVICE_RESTART, "the server has been upgraded; reconnect now")


class Drain:
    """Ends all connections of a site; `connections` returns the WebSockets of its routes. `clock` is the reactor."""

    def __init__(
        self, site: Site, connections: Callable[[], list[Connection]], clock: Any, farewell: Farewell = SHUTDOWN
    ) -> None:
        self._site = site
        self._connections = connections
        self._clock = clock
        self._farewell = farewell

    async def finish(self, patience: float) -> None:
        """
        Close WebSockets as they become idle, until none is left, or for `patience` seconds.

        A WebSocket counts as idle after two checks, so that messages that arrive in between are answered too.
        """
        end = self._clock.seconds() + patience
        # Opening handshakes that are still pending are refused.
        self._close(each for each in self._connections() if not each.isOpen)
        self._endIdle()
        spread = min(patience / 2, _SPREAD)
        share = max(_FEWEST, ceil(len(self._connections()) * _LOOK / max(spread, _LOOK)))
        before: set[Connection] = set()
        while self._clock.seconds() < end:
            left = [each for each in self._connections() if each.isOpen]
            idle = {each for each in left if not each.isBusy}
            done = [each for each in left if each in idle and each in before][:share]
            self._close(done)
            if len(done) == len(left) and not any(door.isBusy for door in self._site.doors):
                return
            before = idle
            await deferLater(self._clock, _LOOK)

    async def close(self, patience: float) -> None:
        """Close all remaining connections, wait `patience` seconds for their closing handshakes, and drop the rest."""
        self._close(self._connections())
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

    def _close(self, connections: Iterable[Connection]) -> None:
        for connection in connections:
            connection.close(*self._farewell, Cause.shutdown)
