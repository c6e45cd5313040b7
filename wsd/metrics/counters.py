"""What is counted, as plain integers: adding to one of prometheus_client's counters costs nearly a microsecond."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from typing import Protocol


class Cause(StrEnum):
    """Why a connection ended."""

    __hash__ = str.__hash__
    """That of Enum is written in Python, and causes are keys of counters."""

    peer_closed = "peer_closed"
    closed = "closed"
    lost = "lost"
    ping_timeout = "ping_timeout"
    closing_timeout = "closing_timeout"
    stalled = "stalled"
    overrun = "overrun"
    memory = "memory"
    protocol_error = "protocol_error"
    invalid_payload = "invalid_payload"
    too_big = "too_big"
    internal_error = "internal_error"
    shutdown = "shutdown"
    operator = "operator"
    rate_limited = "rate_limited"
    slow = "slow"
    aborted = "aborted"


SIZES = tuple(64 * 4**power for power in range(8))
"""The bounds of the buckets of message sizes in bytes: 64, 256, 1 KiB, ... 1 MiB."""


class Traffic:
    """The messages that a route's connections received and sent, and their bytes: inflated, without frame heads."""

    __slots__ = ("_sizesIn", "_sizesOut", "bytesIn", "bytesOut", "messagesIn", "messagesOut")

    def __init__(self) -> None:
        self.messagesIn = self.messagesOut = self.bytesIn = self.bytesOut = 0
        self._sizesIn, self._sizesOut = ([0] * (len(SIZES) + 1) for _ in range(2))

    def countSizeIn(self, size: int) -> None:
        """Count a received message in the bucket of its size."""
        self._sizesIn[bisect_left(SIZES, size)] += 1

    def countSizeOut(self, size: int) -> None:
        """Count a sent message in the bucket of its size."""
        self._sizesOut[bisect_left(SIZES, size)] += 1

    def sizesIn(self) -> list[int]:
        """The number of received messages in each bucket of `SIZES`, and of larger ones."""
        return self._sizesIn

    def sizesOut(self) -> list[int]:
        """The same of sent messages."""
        return self._sizesOut


class Histogram:
    """Counts values by size. A bucket has those up to its bound, and above the bound of the bucket before it."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, *bounds: float) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """The number of values up to each bound: Prometheus' buckets include all smaller ones."""
        return bucketsOf(self._bounds, self._counts)


def bucketsOf(bounds: Sequence[float], counts: Iterable[int]) -> list[tuple[str, float]]:
    """Prometheus' buckets: the name of each bound, and the number of values up to it."""
    names = [str(float(bound)) for bound in bounds] + ["+Inf"]
    return list(zip(names, accumulate(counts), strict=True))


@dataclass(slots=True)
class CompressedBytes:
    """The bytes of the messages of a route that were compressed, without and with compression."""

    plainIn: int = 0
    deflatedIn: int = 0
    plainOut: int = 0
    deflatedOut: int = 0


class TlsHandshakes:
    """The TLS handshakes, by version or "failed", those that resumed a session, and the seconds that they took."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.resumed: dict[str, int] = {}
        self.durations: dict[str, Histogram] = {}

    def count(self, version: str) -> None:
        """Count a handshake."""
        self.counts[version] = self.counts.get(version, 0) + 1

    def complete(self, version: str, seconds: float, *, isResumed: bool = False) -> None:
        """Count a complete handshake."""
        self.count(version)
        if isResumed:
            self.resumed[version] = self.resumed.get(version, 0) + 1
        if version not in self.durations:
            self.durations[version] = _openings()
        self.durations[version].observe(seconds)


def _openings() -> Histogram:
    return Histogram(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10)


def _roundTrips() -> Histogram:
    return Histogram(0.001, 0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 20)


def _durations() -> Histogram:
    return Histogram(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60)


@dataclass(slots=True)
class RouteCounters:
    """The counters of one route. The code that handles its connections adds to them."""

    traffic: Traffic = field(default_factory=Traffic)
    opened: int = 0
    closed: dict[Cause, int] = field(default_factory=dict)
    pings: int = 0
    fulls: int = 0
    """Times that unsent bytes passed the high water mark."""
    holds: int = 0
    """How often reading was paused."""
    limited: int = 0
    """How often a client had sent more per second than allowed."""
    skipped: int = 0
    """Messages not sent to a slow client, because a newer one took their place."""
    unreadable: int = 0
    """Rows of a store that could not be read."""
    drops: dict[Cause, int] = field(default_factory=dict)
    """Connections ended without a closing handshake."""
    codes: dict[str, int] = field(default_factory=dict)
    """Ended connections by the code of the close frame that came first."""
    compressed: CompressedBytes = field(default_factory=CompressedBytes)
    logins: dict[str, int] = field(default_factory=dict)
    """Logins by result: "accepted" or "refused"."""
    openings: Histogram = field(default_factory=_openings)
    """Seconds from the request head to the open connection."""
    roundTrips: Histogram = field(default_factory=_roundTrips)
    """Seconds from a ping to its pong."""

    def countCode(self, code: int) -> None:
        """Count a close code. Codes of protocols and applications are as many as a client likes, so they share two."""
        name = str(code) if code < 3000 else "3xxx" if code < 4000 else "4xxx"
        self.codes[name] = self.codes.get(name, 0) + 1

    def countLogin(self, isAccepted: bool) -> None:
        """Count a login by its result."""
        name = "accepted" if isAccepted else "refused"
        self.logins[name] = self.logins.get(name, 0) + 1


class MessageCounts(Protocol):
    """The messages of one connection, and their bytes."""

    @property
    def messagesIn(self) -> int: ...
    @property
    def messagesOut(self) -> int: ...
    @property
    def bytesIn(self) -> int: ...
    @property
    def bytesOut(self) -> int: ...


@dataclass(slots=True)
class UserCounters:
    """What the ended connections of one user have amounted to."""

    connections: int = 0
    messagesIn: int = 0
    messagesOut: int = 0
    bytesIn: int = 0
    bytesOut: int = 0

    def add(self, traffic: MessageCounts) -> None:
        """Count a connection that has ended, with its traffic."""
        self.connections += 1
        self.messagesIn += traffic.messagesIn
        self.messagesOut += traffic.messagesOut
        self.bytesIn += traffic.bytesIn
        self.bytesOut += traffic.bytesOut


@dataclass(slots=True)
class HttpCounters:
    """The HTTP requests that were answered, without opening handshakes."""

    statuses: dict[int, int] = field(default_factory=dict)
    durations: Histogram = field(default_factory=_durations)
    """Seconds from the request head to the end of the answer."""

    def count(self, status: int, duration: float) -> None:
        """Count an answer by its status and the seconds that it took."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.durations.observe(duration)


@dataclass(slots=True)
class ReloadCounters:
    """The reloads since the start."""

    accepted: int = 0
    refused: int = 0
    isLastAccepted: bool = True

    def count(self, isAccepted: bool) -> None:
        """Count a reload."""
        self.isLastAccepted = isAccepted
        if isAccepted:
            self.accepted += 1
        else:
            self.refused += 1


@dataclass(slots=True)
class SpanCounters:
    """The spans of traces that have ended. A thread of its own counts those that are exported, or fail to be."""

    exported: int = 0
    failed: int = 0
    """Spans that the collector did not take."""
    dropped: int = 0
    """Spans for which the queue had no room."""

    @property
    def lost(self) -> int:
        """All spans that no collector got."""
        return self.failed + self.dropped


@dataclass(slots=True)
class ShareCounters:
    """The counters of one share of the pool for blocking work."""

    threads: int = 0
    """Threads at work."""
    waiting: int = 0
    """Jobs waiting for a thread."""
    timeouts: int = 0
    """Jobs that were not done in time."""
    durations: Histogram = field(default_factory=_durations)
    """Seconds from asking for a job to its end."""


@dataclass(frozen=True, slots=True)
class MemoryLevels:
    """The memory that is held for clients."""

    used: int = 0
    """Bytes."""
    most: int = 0
    """Their limit."""
    kinds: Mapping[str, int] = field(default_factory=dict)
    """The bytes by kind."""
    waiting: int = 0
    """WebSockets that wait until memory is free."""
    shed: Mapping[str, int] = field(default_factory=dict)
    """Connections that were ended to free memory, by reason."""
