"""All counters and gauges of one daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric

from wsd.metrics.counters import (
    Histogram,
    HttpCounters,
    MemoryLevels,
    ReloadCounters,
    RouteCounters,
    ShareCounters,
    SpanCounters,
    TlsHandshakes,
    Traffic,
    UserCounters,
)
from wsd.metrics.exposition import Exposition, render

MOST_USERS = 100
"""The users that have counters of their own."""

OTHER = "other"
"""The name under which all other users are counted."""


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
        self.http = HttpCounters()
        self.users: dict[str, UserCounters] = {}
        """What was counted of the first users, and of all others together."""
        self.reloads = ReloadCounters()
        self.spans = SpanCounters()
        self.acceptFailures: dict[str, int] = {}
        self._connections: Callable[[], int] = lambda: 0
        self._mostConnections: Callable[[], int] = lambda: 0
        self._sendBuffers: Callable[[], Iterable[int]] = tuple
        self._certificates: Callable[[], Mapping[str, float]] = dict
        self._revoked: Callable[[], float | None] = lambda: None
        self._tlsHandshakes: Callable[[], TlsHandshakes] = TlsHandshakes
        self._threads: dict[str, Callable[[], int]] = {}
        self._memory: Callable[[], MemoryLevels] = MemoryLevels
        self._openByUser: Callable[[], Mapping[str, int]] = dict
        self._lag: Callable[[], float] = lambda: 0.0
        self.holds = Histogram(0.15, 0.25, 0.5, 1, 2.5, 10)
        """Seconds for which the reactor was held, each time that it was for more than 0.1."""
        self._info: dict[str, str] = {}
        self._registry = CollectorRegistry()
        self._registry.register(Exposition(self))
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

    def user(self, name: str) -> UserCounters:
        """
        Returns the counters of a user.

        Only the first users have counters of their own, so that Prometheus gets few series; all others share those of
        `OTHER`.
        """
        found = self.users.get(name)
        if found is None:
            key = name if len(self.users) < MOST_USERS and name != OTHER else OTHER
            found = self.users.setdefault(key, UserCounters())
        return found

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

    def setTlsHandshakes(self, read: Callable[[], TlsHandshakes]) -> None:
        """Set the function that returns the TLS handshakes."""
        self._tlsHandshakes = read

    def setLag(self, read: Callable[[], float]) -> None:
        """Set the function that returns the reactor's lag in seconds."""
        self._lag = read

    def setUsers(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Set the function that returns the number of connections of each user."""
        self._openByUser = read

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
