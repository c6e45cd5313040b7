"""
The daemon's counters, and their exposition for Prometheus.

Counters are plain integers. A message costs a few microseconds, and adding to a prometheus_client Counter nearly one. A
collector reads the integers when the metrics are requested.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector


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
    aborted = "aborted"


SIZES = tuple(64 * 4**power for power in range(8))
"""The bounds of the buckets of message sizes in bytes: 64, 256, 1 KiB, ... 1 MiB."""


_NAMED_USERS = 20
"""Users that the metrics name. The others are one number, since a label may not have any number of values."""


class Traffic:
    """The messages that a route's connections received and sent, and their bytes: inflated, without frame heads."""

    __slots__ = ("_sizesIn", "_sizesOut", "bytesIn", "bytesOut", "messagesIn", "messagesOut")

    def __init__(self) -> None:
        self.messagesIn = self.messagesOut = self.bytesIn = self.bytesOut = 0
        self._sizesIn, self._sizesOut = ([0] * (len(SIZES) + 1) for _ in range(2))

    def countSizeIn(self, size: int) -> None:
        """Count a received message of this size by its size."""
        self._sizesIn[bisect_left(SIZES, size)] += 1

    def countSizeOut(self, size: int) -> None:
        """Count a sent message of this size by its size."""
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
        """The number of values up to each bound, as Prometheus has it: with those of the buckets before."""
        return _buckets(self._bounds, self._counts)


def _buckets(bounds: Sequence[float], counts: Iterable[int]) -> list[tuple[str, float]]:
    names = [str(float(bound)) for bound in bounds] + ["+Inf"]
    return list(zip(names, accumulate(counts), strict=True))


@dataclass(slots=True)
class CompressedBytes:
    """The bytes of the messages of a route that were compressed, without and with compression."""

    plainIn: int = 0
    deflatedIn: int = 0
    plainOut: int = 0
    deflatedOut: int = 0


def _openings() -> Histogram:
    return Histogram(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10)


def _roundTrips() -> Histogram:
    return Histogram(0.001, 0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 20)


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
    openings: Histogram = field(default_factory=_openings)
    """Seconds from the request head to the open connection."""
    roundTrips: Histogram = field(default_factory=_roundTrips)
    """Seconds from a ping to its pong."""

    def countCode(self, code: int) -> None:
        """Count a close code. Codes of protocols and applications are as many as a client likes, so they share two."""
        name = str(code) if code < 3000 else "3xxx" if code < 4000 else "4xxx"
        self.codes[name] = self.codes.get(name, 0) + 1


@dataclass(slots=True)
class ShareCounters:
    """The counters of one share of the pool for blocking work."""

    threads: int = 0
    """Threads at work."""
    waiting: int = 0
    """Jobs waiting for a thread."""
    timeouts: int = 0
    """Jobs that were not done in time."""


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


class Metrics:
    """All counters and gauges of one daemon. `newTraffic` makes a route's `Traffic`: a plane may have a faster one."""

    def __init__(self, newTraffic: Callable[[], Traffic] = Traffic) -> None:
        self._newTraffic = newTraffic
        self.routes: dict[str, RouteCounters] = {}
        self.shares: dict[tuple[str, str], ShareCounters] = {}
        self.handshakes: dict[str, int] = {}
        self.refusals: dict[int, int] = {}
        self.httpDrops: dict[str, int] = {}
        self.authentications: dict[tuple[str, str], int] = {}
        self.acceptFailures: dict[str, int] = {}
        self._connections: Callable[[], int] = lambda: 0
        self._mostConnections: Callable[[], int] = lambda: 0
        self._sendBuffers: Callable[[], Iterable[int]] = tuple
        self._certificates: Callable[[], Mapping[str, float]] = dict
        self._revoked: Callable[[], float | None] = lambda: None
        self._tlsHandshakes: Callable[[], Mapping[str, int]] = dict
        self._threads: dict[str, Callable[[], int]] = {}
        self._memory: Callable[[], MemoryLevels] = MemoryLevels
        self._users: Callable[[], Mapping[str, int]] = dict
        self._lag: Callable[[], float] = lambda: 0.0
        self.holds = Histogram(0.15, 0.25, 0.5, 1, 2.5, 10)
        """Seconds for which the reactor was held, each time that it was for more than 0.1."""
        self._info: dict[str, str] = {}
        self._registry = CollectorRegistry()
        self._registry.register(_Exposition(self))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)

    def route(self, path: str) -> RouteCounters:
        """Returns the counters of a route, the same object for each call."""
        counters = self.routes.get(path)
        if counters is None:
            counters = self.routes[path] = RouteCounters(self._newTraffic())
        return counters

    def share(self, user: str, route: str) -> ShareCounters:
        """Returns the counters of a user's share of the pool for a route, the same object for each call."""
        return self.shares.setdefault((user, route), ShareCounters())

    @property
    def transferred(self) -> int:
        """The bytes of all messages of all routes, received and sent."""
        return sum(counters.traffic.bytesIn + counters.traffic.bytesOut for counters in self.routes.values())

    def handshake(self, result: str) -> None:
        """Count an opening handshake by its result: "accepted", "raw", "left", or the status of its refusal."""
        self.handshakes[result] = self.handshakes.get(result, 0) + 1

    def refusal(self, status: int) -> None:
        """Count a refused request, whether it was an opening handshake or not."""
        self.refusals[status] = self.refusals.get(status, 0) + 1

    def authentication(self, method: str, result: str) -> None:
        """Count a request that a method of authentication has judged: "accepted", "rejected" or "failed"."""
        key = (method, result)
        self.authentications[key] = self.authentications.get(key, 0) + 1

    def httpDrop(self, reason: str) -> None:
        """Count an HTTP connection that was ended by the daemon: "idle", or "stalled" if the client took no answer."""
        self.httpDrops[reason] = self.httpDrops.get(reason, 0) + 1

    def acceptFailure(self, error: str, count: int) -> None:
        """Count connections that could not be accepted, by the name of the error, such as "EMFILE"."""
        self.acceptFailures[error] = self.acceptFailures.get(error, 0) + count

    def setConnections(self, read: Callable[[], int], most: Callable[[], int] = lambda: 0) -> None:
        """Set the functions that return the number of open connections and its limit."""
        self._connections, self._mostConnections = read, most

    def setSendBuffers(self, read: Callable[[], Iterable[int]]) -> None:
        """Set the function that returns the unsent bytes of each connection."""
        self._sendBuffers = read

    def setMemory(self, read: Callable[[], MemoryLevels]) -> None:
        """Set the function that returns the memory that is held for clients."""
        self._memory = read

    def setCertificates(self, read: Callable[[], Mapping[str, float]]) -> None:
        """Set the function that returns when each certificate, by name, expires: seconds since 1970."""
        self._certificates = read

    def setRevoked(self, read: Callable[[], float | None]) -> None:
        """Set the function that returns when the first revocation list expires: seconds since 1970, or None."""
        self._revoked = read

    def setTlsHandshakes(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Set the function that returns the number of TLS handshakes, by version or "failed"."""
        self._tlsHandshakes = read

    def setLag(self, read: Callable[[], float]) -> None:
        """Set the function that returns the reactor's lag in seconds."""
        self._lag = read

    def setUsers(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Set the function that returns the number of connections of each user."""
        self._users = read

    def setThreads(self, route: str, read: Callable[[], int]) -> None:
        """Set the function that returns the number of threads that run a route's handlers."""
        self._threads[route] = read

    def info(self, version: str, plane: str, deflate: str, reactor: str) -> None:
        """Set the labels of `wsd_info`."""
        self._info = {"version": version, "plane": plane, "deflate": deflate, "reactor": reactor}

    def render(self, accept: str) -> tuple[str, bytes]:
        """
        Returns the content type and the text of all metrics.

        The text is OpenMetrics 1.0 if the Accept header names it, as Prometheus does. Otherwise it is in Prometheus'
        text format 0.0.4, whatever the header says.
        """
        return render(self._registry, accept)

    def collect(self) -> Iterable[Metric]:
        """Returns all metrics."""
        return self._registry.collect()


def render(registry: CollectorRegistry, accept: str) -> tuple[str, bytes]:
    """The metrics of a registry, as `Metrics.render` returns them."""
    wanted = [part.partition(";")[0].strip() for part in accept.lower().split(",")]
    if "application/openmetrics-text" in wanted:
        return openmetrics.CONTENT_TYPE_LATEST, openmetrics.generate_latest(registry)
    return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry)


class _Exposition(Collector):
    """Reads the counters when the metrics are requested."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        metrics = self._metrics
        yield InfoMetricFamily("wsd", "The daemon that is running.", metrics._info)
        yield GaugeMetricFamily("wsd_connections", "Open connections, HTTP and WebSocket.", metrics._connections())
        yield GaugeMetricFamily(
            "wsd_connections_limit", "Maximum number of open connections.", metrics._mostConnections()
        )
        failures = {"EMFILE": 0, **metrics.acceptFailures}
        yield _counter(
            "wsd_accept_failures", "Connections that could not be accepted.", "error", sorted(failures.items())
        )
        yield from self._routes(metrics.routes)
        yield from self._distributions(metrics.routes)
        yield _counter("wsd_handshakes", "Opening handshakes by result.", "result", metrics.handshakes.items())
        tlsHandshakes = metrics._tlsHandshakes().items()
        yield _counter("wsd_tls_handshakes", "TLS handshakes, by version or failed.", "version", tlsHandshakes)
        yield _counter("wsd_refusals", "Refused requests, by status.", "status", metrics.refusals.items())
        yield _counter(
            "wsd_http_drops", "HTTP connections closed without an answer.", "reason", metrics.httpDrops.items()
        )
        yield from self._authentication(metrics)
        unsent = list(metrics._sendBuffers())
        yield GaugeMetricFamily("wsd_send_buffer_bytes", "Unsent bytes of all connections.", sum(unsent))
        yield GaugeMetricFamily(
            "wsd_send_buffer_bytes_max", "Unsent bytes of the connection with the most.", max(unsent, default=0)
        )
        yield from self._memory(metrics._memory())
        threads = ((path, read()) for path, read in metrics._threads.items())
        yield _gauge("wsd_handler_threads", "Threads that run handlers.", "route", threads)
        yield from self._shares(metrics.shares)
        yield GaugeMetricFamily("wsd_reactor_lag_seconds", "How late the last timer tick was.", metrics._lag())
        held = HistogramMetricFamily("wsd_reactor_held_seconds", "Times for which nobody was served.")
        held.add_metric([], metrics.holds.buckets(), metrics.holds.sum)
        yield held
        ends = metrics._certificates().items()
        yield _gauge(
            "wsd_certificate_expiry_seconds", "When the certificate expires, in seconds since 1970.", "name", ends
        )
        if (revokedEnd := metrics._revoked()) is not None:
            yield GaugeMetricFamily(
                "wsd_client_crl_expiry_seconds", "When the first revocation list expires, since 1970.", revokedEnd
            )

    @staticmethod
    def _authentication(metrics: Metrics) -> Iterator[Metric]:
        judged = CounterMetricFamily(
            "wsd_authentications", "Requests, by method and result of authentication.", labels=["method", "result"]
        )
        for key, count in sorted(metrics.authentications.items()):
            judged.add_metric(key, count)
        yield judged
        users = sorted(metrics._users().items(), key=lambda pair: (-pair[1], pair[0]))
        named, others = users[:_NAMED_USERS], users[_NAMED_USERS:]
        yield _gauge("wsd_user_connections", "Open WebSockets of the users with the most.", "user", named)
        yield GaugeMetricFamily(
            "wsd_other_user_connections", "Open WebSockets of all other users.", sum(count for _, count in others)
        )

    @staticmethod
    def _memory(levels: MemoryLevels) -> Iterator[Metric]:
        yield GaugeMetricFamily("wsd_memory_bytes", "Bytes held for clients, up to memory_max.", levels.used)
        yield GaugeMetricFamily("wsd_memory_limit_bytes", "The limit of these bytes, memory_max.", levels.most)
        yield _gauge("wsd_memory_kind_bytes", "Bytes held for clients, by kind.", "kind", levels.kinds.items())
        yield GaugeMetricFamily("wsd_memory_waiting", "WebSockets that wait until memory is free.", levels.waiting)
        yield _counter("wsd_memory_shed", "Connections ended to free memory, by reason.", "reason", levels.shed.items())

    @staticmethod
    def _distributions(routes: Mapping[str, RouteCounters]) -> Iterator[Metric]:
        opening = HistogramMetricFamily(
            "wsd_opening_seconds", "From the request head to the open connection.", labels=["route"]
        )
        roundTrip = HistogramMetricFamily("wsd_ping_seconds", "From a ping to its pong.", labels=["route"])
        codes = CounterMetricFamily("wsd_close_codes", "WebSockets that ended, by code.", labels=["route", "code"])
        compressed = CounterMetricFamily(
            "wsd_compressed_bytes", "Bytes of compressed messages.", labels=["route", "direction", "form"]
        )
        sizes = HistogramMetricFamily("wsd_message_bytes", "Sizes of messages.", labels=["route", "direction"])
        for path, counters in routes.items():
            traffic = counters.traffic
            sizes.add_metric([path, "received"], _buckets(SIZES, traffic.sizesIn()), traffic.bytesIn)
            sizes.add_metric([path, "sent"], _buckets(SIZES, traffic.sizesOut()), traffic.bytesOut)
            opening.add_metric([path], counters.openings.buckets(), counters.openings.sum)
            roundTrip.add_metric([path], counters.roundTrips.buckets(), counters.roundTrips.sum)
            for code, count in counters.codes.items():
                codes.add_metric([path, code], count)
            inflated = counters.compressed
            compressed.add_metric([path, "received", "plain"], inflated.plainIn)
            compressed.add_metric([path, "received", "compressed"], inflated.deflatedIn)
            compressed.add_metric([path, "sent", "plain"], inflated.plainOut)
            compressed.add_metric([path, "sent", "compressed"], inflated.deflatedOut)
        yield from (sizes, opening, roundTrip, codes, compressed)

    @staticmethod
    def _shares(shares: Mapping[tuple[str, str], ShareCounters]) -> Iterator[Metric]:
        threads = GaugeMetricFamily(
            "wsd_pool_threads", "Threads that are doing blocking work.", labels=["user", "route"]
        )
        waiting = GaugeMetricFamily("wsd_pool_waiting", "Jobs that wait for a thread.", labels=["user", "route"])
        timeouts = CounterMetricFamily("wsd_pool_timeouts", "Jobs that took too long.", labels=["user", "route"])
        for key, counters in shares.items():
            threads.add_metric(key, counters.threads)
            waiting.add_metric(key, counters.waiting)
            timeouts.add_metric(key, counters.timeouts)
        yield from (threads, waiting, timeouts)

    @staticmethod
    def _routes(routes: Mapping[str, RouteCounters]) -> Iterator[Metric]:
        plain = {
            "opened": ("wsd_connections_opened", "WebSockets opened."),
            "messagesIn": ("wsd_messages_received", "Messages received."),
            "messagesOut": ("wsd_messages_sent", "Messages sent."),
            "bytesIn": ("wsd_bytes_received", "Bytes of messages received, after inflating."),
            "bytesOut": ("wsd_bytes_sent", "Bytes of messages sent, before deflating."),
            "pings": ("wsd_pings_sent", "Pings sent."),
            "fulls": ("wsd_send_buffer_full", "How often a connection passed high_water."),
            "holds": ("wsd_reading_pauses", "How often reading was paused."),
            "limited": ("wsd_rate_limited", "How often a client sent more per second than allowed."),
            "skipped": ("wsd_messages_skipped", "Messages skipped for slow clients."),
            "unreadable": ("wsd_rows_unreadable", "Rows of a store that could not be read and were set aside."),
        }
        for attribute, (name, text) in plain.items():
            family = CounterMetricFamily(name, text, labels=["route"])
            for path, counters in routes.items():
                counted = counters.traffic if hasattr(counters.traffic, attribute) else counters
                family.add_metric([path], getattr(counted, attribute))
            yield family
        for attribute, name, text in (
            ("closed", "wsd_connections_closed", "WebSockets that ended, by cause."),
            ("drops", "wsd_drops", "WebSockets that were dropped without a closing handshake, by cause."),
        ):
            family = CounterMetricFamily(name, text, labels=["route", "cause"])
            for path, counters in routes.items():
                counted = getattr(counters, attribute)
                for cause in Cause:
                    # Also causes that have not occurred: a counter that begins at 1 shows no increase.
                    family.add_metric([path, cause.value], counted.get(cause, 0))
            yield family


def _counter(name: str, text: str, label: str, values: Iterable[tuple[object, float]]) -> CounterMetricFamily:
    """A counter with one label, from the label's values and their numbers."""
    family = CounterMetricFamily(name, text, labels=[label])
    for value, number in values:
        family.add_metric([str(value)], number)
    return family


def _gauge(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
    """A gauge with one label, from the label's values and their numbers."""
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values:
        family.add_metric([value], number)
    return family
