"""
Finds the connections that a request is about: filtered, sorted, and in short steps.

There may be many thousands. After `_STEP` seconds of work the reactor gets its turn, so that no client waits longer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import islice
from time import perf_counter
from typing import Any

from twisted.internet.task import deferLater

from wsd.connection import Connection
from wsd.control.fields import Fields
from wsd.control.interface import CommandError
from wsd.control.rows import ageOf, routeOf

_STEP = 0.001
"""Seconds of work between two turns of the reactor."""
_LOOK = 16
"""Connections between two looks at the clock."""
_RUN = 500
"""Connections that are sorted at once."""

Match = Callable[[Connection], bool]


class Pace:
    """Keeps the work of one request in short steps."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._until = perf_counter() + _STEP
        self._count = 0

    @property
    def isOver(self) -> bool:
        """Whether it is time for the others. Called for each connection."""
        self._count += 1
        return self._count % _LOOK == 0 and perf_counter() >= self._until

    async def rest(self) -> None:
        """Let the reactor do what is due."""
        await deferLater(self._clock, 0)
        self._until = perf_counter() + _STEP


# -- which ------------------------------------------------------------------------------------------------------------

FILTERS = ("ids", "route", "address", "user", "older", "younger", "bytes")


def matchOf(fields: Fields, now: float) -> Match:
    """Returns the function that says whether a connection is one of those of a request. Raises `CommandError`."""
    tests = list(_tests(fields, now))
    if len(tests) == 1:
        return tests[0]
    return lambda connection: all(test(connection) for test in tests)


def _tests(fields: Fields, now: float) -> Iterator[Match]:
    ids = frozenset(fields.texts("ids"))
    if "ids" in fields:
        yield lambda connection: connection.id in ids
    route = fields.text("route")
    if route is not None:
        yield lambda connection: route in (routeOf(connection), connection.factory.route.path)
    address = fields.text("address")
    if address is not None:
        yield _addressTest(address)
    user = fields.text("user")
    if user is not None:
        yield lambda connection: connection.user == user
    older, younger = fields.number("older"), fields.number("younger")
    if older is not None:
        yield lambda connection: ageOf(connection, now) >= older
    if younger is not None:
        yield lambda connection: ageOf(connection, now) <= younger
    least = fields.whole("bytes")
    if least is not None:
        yield lambda connection: connection.bytesReceived + connection.bytesSent >= least


def _addressTest(text: str) -> Match:
    """Compares the true address of a client with an address or a network. Clients of unix sockets have "unix"."""
    if text == "unix":
        return lambda connection: _addressOf(connection) == "unix"
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise CommandError(
            f'address: "{text}" is not an address or a network; write "192.0.2.7" or "2001:db8::/32"'
        ) from None
    known: dict[str, bool] = {}

    def isIn(connection: Connection) -> bool:
        address = _addressOf(connection)
        if address not in known:
            known[address] = _isWithin(address, network)
        return known[address]

    return isIn


def _isWithin(address: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(address.partition("%")[0]) in network
    except ValueError:
        return False


def _addressOf(connection: Connection) -> str:
    return str(connection.peer.address)


# -- in which order ---------------------------------------------------------------------------------------------------

SORTS: dict[str, tuple[bool, Callable[[Connection, float], Any]]] = {
    "age": (True, ageOf),
    "bytes": (True, lambda each, now: each.bytesReceived + each.bytesSent),
    "messages": (True, lambda each, now: each.messagesReceived + each.messagesSent),
    "unsent": (True, lambda each, now: each.unsent),
    "round_trip": (True, lambda each, now: each.roundTrip or 0.0),
    "address": (False, lambda each, now: _addressOf(each)),
    "route": (False, lambda each, now: routeOf(each)),
    "user": (False, lambda each, now: each.user or ""),
}
"""What connections can be sorted by, and whether the largest comes first."""


@dataclass(slots=True)
class Selection:
    """The connections of one request."""

    clock: Any
    connections: Iterable[Connection]
    match: Match
    sort: str | None = None
    reverse: bool = False
    limit: int | None = None
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(self.clock)

    def __aiter__(self) -> AsyncIterator[Connection]:
        found = self._walk() if self.sort is None else self._sorted(self.sort)
        return found if self.limit is None else _first(found, self.limit)

    async def _walk(self) -> AsyncIterator[Connection]:
        for connection in self.connections:
            if self.match(connection):
                yield connection
            if self.pace.isOver:
                await self.pace.rest()

    async def _sorted(self, name: str) -> AsyncIterator[Connection]:
        """
        Sort a run at a time, and merge the runs: to sort all at once would take too long.

        What is sorted are numbers in a list. Ten thousand tuples instead would start full garbage collections, each of
        which goes through all objects of all connections, and holds the reactor meanwhile.
        """
        isDescending, key = SORTS[name]
        isDescending ^= self.reverse
        now = self.clock.seconds()
        found: list[Connection] = []
        keys: list[Any] = []
        runs: list[list[int]] = []
        async for connection in self._walk():
            if len(found) % _RUN == 0:
                runs.append([])
            runs[-1].append(len(found))
            found.append(connection)
            keys.append(key(connection, now))
            if len(found) % _RUN == 0:
                runs[-1].sort(key=keys.__getitem__, reverse=isDescending)
        if runs:
            runs[-1].sort(key=keys.__getitem__, reverse=isDescending)
        for number in islice(merge(*runs, key=keys.__getitem__, reverse=isDescending), self.limit):
            yield found[number]
            if self.pace.isOver:
                await self.pace.rest()


async def _first(found: AsyncIterator[Connection], limit: int) -> AsyncIterator[Connection]:
    if not limit:
        return
    count = 0
    async for connection in found:
        yield connection
        count += 1
        if count == limit:
            return
