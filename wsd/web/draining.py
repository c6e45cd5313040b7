"""
Ends all connections when the daemon stops. Pending answers are finished first.

The closes are spread at random over a time, so that not all clients reconnect at the same moment.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from twisted.internet.task import deferLater

from wsd.connection import CloseCode, Connection
from wsd.metrics import Cause
from wsd.web.site import Site

_LOOK = 0.05
"""Seconds between two checks for idle connections."""
_RATE = 100.0
"""Closes a second, unless there are so many connections that `drain` needs more."""
_SHARE = 0.9
"""The part of `drain` over which the closes are spread, so that the last ones are in time."""
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
        self,
        site: Site,
        connections: Callable[[], list[Connection]],
        clock: Any,
        chance: Callable[[], float] = random.random,
        farewell: Farewell = SHUTDOWN,
    ) -> None:
        self._site = site
        self._connections = connections
        self._clock = clock
        self._chance = chance
        self.farewell = farewell
        """What the close frames say."""
        self._isHurried = False

    def hurry(self) -> None:
        """Wait no more: drop all connections at once."""
        self._isHurried = True

    async def finish(self, patience: float) -> None:
        """
        Close WebSockets, each at a random time within `patience` seconds and once it is idle, until none is left.

        A WebSocket counts as idle after two checks, so that messages that arrive in between are answered too. Idle
        connections over HTTP end at once; those that are being answered are waited for.
        """
        self._refusePending()
        self._endIdle()
        await self._spread(patience, lambda: any(door.isBusy for door in self._site.doors))

    async def spread(self, patience: float, waits: bool = True) -> None:
        """
        Close WebSockets as `finish` does, without a regard for connections over HTTP.

        Unless it `waits`, each is closed at its time, even if it is not idle.
        """
        self._refusePending()
        await self._spread(patience, lambda: False, waits)

    async def _spread(self, patience: float, isBusy: Callable[[], bool], waits: bool = True) -> None:
        start = self._clock.seconds()
        connections = self._connections()
        window = min(patience * _SHARE, len(connections) / _RATE)
        due = {each: start + self._chance() * window for each in connections}
        before: set[Connection] = set()
        while not self._isHurried and (now := self._clock.seconds()) < start + patience:
            left = [each for each in self._connections() if each.isOpen]
            idle = {each for each in left if not each.isBusy}
            ready = [each for each in left if (each in idle and each in before) or not waits]
            done = [each for each in ready if due.get(each, start) <= now]
            self._close(done)
            if len(done) == len(left) and not isBusy():
                return
            before = idle
            await deferLater(self._clock, _LOOK)

    async def close(self, patience: float) -> None:
        """Close all remaining connections, wait `patience` seconds for their closing handshakes, and drop the rest."""
        if not self._isHurried:
            self._close(self._connections())
            for door in list(self._site.doors):
                door.end()
        end = self._clock.seconds() + patience
        while self._site.doors and self._clock.seconds() < end and not self._isHurried:
            # In an upgrade, connections come from the other process, or come back from it.
            self._close(each for each in self._connections() if each.isOpen)
            await deferLater(self._clock, _LOOK)
        for door in list(self._site.doors):
            door.transport.abortConnection()
        end = self._clock.seconds() + _ABORTED
        while self._site.doors and self._clock.seconds() < end:
            await deferLater(self._clock, _LOOK)

    async def clear(self, patience: float) -> None:
        """Close all remaining WebSockets, for at most `patience` seconds. Other requests are still answered."""
        self._close(self._connections())
        end = self._clock.seconds() + patience
        while self._connections() and self._clock.seconds() < end:
            await deferLater(self._clock, _LOOK)

    def _refusePending(self) -> None:
        """Refuse opening handshakes that have not been answered."""
        self._close(each for each in self._connections() if not each.isOpen)

    def _endIdle(self) -> None:
        for door in list(self._site.doors):
            if not door.isBusy and not door.isNew:
                door.end()

    def _close(self, connections: Iterable[Connection]) -> None:
        for connection in connections:
            connection.close(*self.farewell, Cause.shutdown)
