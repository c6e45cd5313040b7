"""The counters in Prometheus' formats. They are read when the metrics are requested."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
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

from wsd.metrics.counters import (
    SIZES,
    Cause,
    HttpCounters,
    MemoryLevels,
    ReloadCounters,
    RouteCounters,
    ShareCounters,
    SpanCounters,
    TlsHandshakes,
    UserCounters,
    bucketsOf,
)

_NAMED_USERS = 20
"""Users whose open WebSockets are shown. Those of all others are one number."""


def render(registry: CollectorRegistry, accept: str) -> tuple[str, bytes]:
    """The metrics of a registry, as `Metrics.render` returns them."""
    wanted = [part.partition(";")[0].strip() for part in accept.lower().split(",")]
    if "application/openmetrics-text" in wanted:
        return openmetrics.CONTENT_TYPE_LATEST, openmetrics.generate_latest(registry)
    return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry)


def reloadFamilies(reloads: ReloadCounters) -> list[Metric]:
    """The metrics about reloads."""
    counts = {"accepted": reloads.accepted, "refused": reloads.refused}
    return [
        _counter("wsd_reloads", "Reloads, by result.", "result", counts.items()),
        GaugeMetricFamily(
            "wsd_last_reload_successful", "Whether the last reload was accepted.", int(reloads.isLastAccepted)
        ),
    ]


class Exposition(Collector):
    """Reads the counters when the metrics are requested."""

    def __init__(self, metrics: Any) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        metrics = self._metrics
        yield InfoMetricFamily("wsd", "The daemon that is running.", metrics._info)
        yield from self._accepting(metrics)
        yield from self._routes(metrics.routes)
        yield from self._distributions(metrics.routes)
        yield from self._requests(metrics)
        yield from self._authentication(metrics.authentications)
        yield from self._openByUser(metrics._openByUser())
        yield from self._users(metrics.users)
        yield from reloadFamilies(metrics.reloads)
        yield self._spans(metrics.spans)
        yield from self._memory(metrics._memory(), list(metrics._sendBuffers()))
        threads = ((path, read()) for path, read in metrics._threads.items())
        yield _gauge("wsd_handler_threads", "Threads that run handlers.", "route", threads)
        yield from self._shares(metrics.shares)
        yield from self._reactor(metrics)
        yield from self._certificates(metrics)

    @staticmethod
    def _accepting(metrics: Any) -> Iterator[Metric]:
        yield GaugeMetricFamily("wsd_connections", "Open connections, HTTP and WebSocket.", metrics._connections())
        yield GaugeMetricFamily(
            "wsd_connections_limit", "Maximum number of open connections.", metrics._mostConnections()
        )
        failures = {"EMFILE": 0, **metrics.acceptFailures}
        yield _counter(
            "wsd_accept_failures", "Connections that could not be accepted.", "error", sorted(failures.items())
        )

    def _requests(self, metrics: Any) -> Iterator[Metric]:
        yield _counter("wsd_handshakes", "Opening handshakes by result.", "result", metrics.handshakes.items())
        yield from self._tls(metrics._tlsHandshakes())
        yield _counter("wsd_refusals", "Refused requests, by status.", "status", metrics.refusals.items())
        yield _counter(
            "wsd_http_drops", "HTTP connections closed without an answer.", "reason", metrics.httpDrops.items()
        )
        yield from self._http(metrics.http)

    @staticmethod
    def _reactor(metrics: Any) -> Iterator[Metric]:
        yield GaugeMetricFamily("wsd_reactor_lag_seconds", "How late the last timer tick was.", metrics._lag())
        yield HistogramMetricFamily(
            "wsd_reactor_held_seconds",
            "Times for which nobody was served.",
            metrics.holds.buckets(),
            metrics.holds.sum,
        )

    @staticmethod
    def _certificates(metrics: Any) -> Iterator[Metric]:
        ends = metrics._certificates().items()
        yield _gauge(
            "wsd_certificate_expiry_seconds", "When the certificate expires, in seconds since 1970.", "name", ends
        )
        if (revokedEnd := metrics._revoked()) is not None:
            yield GaugeMetricFamily(
                "wsd_client_crl_expiry_seconds", "When the first revocation list expires, since 1970.", revokedEnd
            )

    @staticmethod
    def _authentication(judged: Mapping[tuple[str, str], int]) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "wsd_authentications", "Requests, by method and result of authentication.", labels=["method", "result"]
        )
        for key, count in sorted(judged.items()):
            family.add_metric(key, count)
        yield family

    @staticmethod
    def _openByUser(connections: Mapping[str, int]) -> Iterator[Metric]:
        users = sorted(connections.items(), key=lambda pair: (-pair[1], pair[0]))
        named, others = users[:_NAMED_USERS], users[_NAMED_USERS:]
        yield _gauge("wsd_user_connections", "Open WebSockets of the users with the most.", "user", named)
        yield GaugeMetricFamily(
            "wsd_other_user_connections", "Open WebSockets of all other users.", sum(count for _, count in others)
        )

    @staticmethod
    def _memory(levels: MemoryLevels, unsent: Sequence[int]) -> Iterator[Metric]:
        yield GaugeMetricFamily("wsd_send_buffer_bytes", "Unsent bytes of all connections.", sum(unsent))
        yield GaugeMetricFamily(
            "wsd_send_buffer_bytes_max", "Unsent bytes of the connection with the most.", max(unsent, default=0)
        )
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
        logins = CounterMetricFamily("wsd_logins", "Logins, by result.", labels=["route", "result"])
        codes = CounterMetricFamily("wsd_close_codes", "WebSockets that ended, by code.", labels=["route", "code"])
        compressed = CounterMetricFamily(
            "wsd_compressed_bytes", "Bytes of compressed messages.", labels=["route", "direction", "form"]
        )
        sizes = HistogramMetricFamily("wsd_message_bytes", "Sizes of messages.", labels=["route", "direction"])
        for path, counters in routes.items():
            traffic = counters.traffic
            sizes.add_metric([path, "received"], bucketsOf(SIZES, traffic.sizesIn()), traffic.bytesIn)
            sizes.add_metric([path, "sent"], bucketsOf(SIZES, traffic.sizesOut()), traffic.bytesOut)
            opening.add_metric([path], counters.openings.buckets(), counters.openings.sum)
            roundTrip.add_metric([path], counters.roundTrips.buckets(), counters.roundTrips.sum)
            for code, count in counters.codes.items():
                codes.add_metric([path, code], count)
            for result, count in counters.logins.items():
                logins.add_metric([path, result], count)
            inflated = counters.compressed
            compressed.add_metric([path, "received", "plain"], inflated.plainIn)
            compressed.add_metric([path, "received", "compressed"], inflated.deflatedIn)
            compressed.add_metric([path, "sent", "plain"], inflated.plainOut)
            compressed.add_metric([path, "sent", "compressed"], inflated.deflatedOut)
        yield from (sizes, opening, roundTrip, codes, logins, compressed)

    @staticmethod
    def _http(http: HttpCounters) -> Iterator[Metric]:
        yield _counter("wsd_http_requests", "HTTP requests answered.", "status", http.statuses.items())
        yield HistogramMetricFamily(
            "wsd_http_request_seconds",
            "From the head of an HTTP request to the end of its answer.",
            http.durations.buckets(),
            http.durations.sum,
        )

    @staticmethod
    def _tls(handshakes: TlsHandshakes) -> Iterator[Metric]:
        counts = handshakes.counts.items()
        yield _counter("wsd_tls_handshakes", "TLS handshakes, by version or failed.", "version", counts)
        resumed = handshakes.resumed.items()
        yield _counter("wsd_tls_resumptions", "TLS handshakes that resumed a session, by version.", "version", resumed)
        durations = HistogramMetricFamily(
            "wsd_tls_handshake_seconds", "From the first byte of a TLS handshake to its end.", labels=["version"]
        )
        for version, each in handshakes.durations.items():
            durations.add_metric([version], each.buckets(), each.sum)
        yield durations

    @staticmethod
    def _spans(spans: SpanCounters) -> Metric:
        counts = {"exported": spans.exported, "failed": spans.failed, "dropped": spans.dropped}
        return _counter("wsd_spans", "Spans of traces that ended, by result.", "result", counts.items())

    @staticmethod
    def _users(users: Mapping[str, UserCounters]) -> Iterator[Metric]:
        connections = CounterMetricFamily("wsd_user_connections_closed", "Ended WebSockets by user.", labels=["user"])
        messages = CounterMetricFamily("wsd_user_messages", "Their messages.", labels=["user", "direction"])
        size = CounterMetricFamily("wsd_user_bytes", "Bytes of their messages.", labels=["user", "direction"])
        for name, counters in users.items():
            connections.add_metric([name], counters.connections)
            messages.add_metric([name, "received"], counters.messagesIn)
            messages.add_metric([name, "sent"], counters.messagesOut)
            size.add_metric([name, "received"], counters.bytesIn)
            size.add_metric([name, "sent"], counters.bytesOut)
        yield from (connections, messages, size)

    @staticmethod
    def _shares(shares: Mapping[tuple[str, str], ShareCounters]) -> Iterator[Metric]:
        threads = GaugeMetricFamily(
            "wsd_pool_threads", "Threads that are doing blocking work.", labels=["user", "route"]
        )
        waiting = GaugeMetricFamily("wsd_pool_waiting", "Jobs that wait for a thread.", labels=["user", "route"])
        timeouts = CounterMetricFamily("wsd_pool_timeouts", "Jobs that took too long.", labels=["user", "route"])
        durations = HistogramMetricFamily(
            "wsd_pool_seconds", "From asking for blocking work to its end.", labels=["user", "route"]
        )
        for key, counters in shares.items():
            threads.add_metric(key, counters.threads)
            waiting.add_metric(key, counters.waiting)
            timeouts.add_metric(key, counters.timeouts)
            durations.add_metric(key, counters.durations.buckets(), counters.durations.sum)
        yield from (threads, waiting, timeouts, durations)

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
