"""The metrics of several workers as those of one daemon."""

from __future__ import annotations

import json
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from wsd.metrics import Cause, Metrics, render
from wsd.processes.channel import MAX_FIELDS
from wsd.processes.merging import Snapshot, merge, remains, snapshotOf


def snapshot(metrics: Metrics) -> Snapshot:
    """As it arrives at the parent."""
    passed: Snapshot = json.loads(json.dumps(snapshotOf(metrics.collect())))
    return passed


def worker(opened: int, closed: int, connections: int = 0, lag: float = 0.0) -> Metrics:
    metrics = Metrics()
    counters = metrics.route("/echo")
    counters.opened = opened
    counters.closed[Cause.peer_closed] = closed
    metrics.setConnections(lambda: connections, lambda: 100)
    metrics.setLag(lambda: lag)
    metrics.info("1", "_fast", "zlib", "EPollReactor")
    return metrics


def samples(metrics: list[Metric]) -> dict[str, float]:
    return {
        sample.name + "".join(f"|{value}" for value in sample.labels.values()): sample.value
        for metric in metrics
        for sample in metric.samples
    }


def test_counters_and_amounts_are_added_up() -> None:
    found = samples(merge([snapshot(worker(3, 1, 2)), snapshot(worker(4, 4, 5))]))
    assert found["wsd_connections_opened_total|/echo"] == 7
    assert found["wsd_connections_closed_total|/echo|peer_closed"] == 5
    assert found["wsd_connections"] == 7


def test_what_is_no_amount_is_not_added_up() -> None:
    found = samples(merge([snapshot(worker(0, 0, lag=0.5)), snapshot(worker(0, 0, lag=0.25))]))
    assert found["wsd_connections_limit"] == 100
    assert found["wsd_reactor_lag_seconds"] == 0.5
    assert {value for name, value in found.items() if name.startswith("wsd_info")} == {1}


def test_a_series_that_only_one_has_is_kept() -> None:
    other = worker(0, 0)
    other.handshake("accepted")
    assert samples(merge([snapshot(worker(0, 0)), snapshot(other)]))["wsd_handshakes_total|accepted"] == 1


def test_a_dead_worker_keeps_its_counters_and_its_open_connections_are_lost() -> None:
    left = remains(snapshot(worker(10, 4, 6)))
    found = samples(merge([left, snapshot(worker(1, 0, 1))]))
    assert found["wsd_connections_opened_total|/echo"] == 11
    assert found["wsd_connections_closed_total|/echo|peer_closed"] == 4
    assert found["wsd_connections_closed_total|/echo|lost"] == 6
    assert found["wsd_connections"] == 1


def test_the_text_is_the_one_of_a_single_process() -> None:
    metrics = worker(3, 1, 2)
    registry = CollectorRegistry()
    merged: Any = merge([snapshot(metrics)])

    class Merged(Collector):
        def collect(self) -> Any:
            return merged

    registry.register(Merged())
    for accept in ("", "application/openmetrics-text"):
        ours = [line for line in render(registry, accept)[1].decode().splitlines() if "wsd_" in line]
        theirs = [line for line in metrics.render(accept)[1].decode().splitlines() if "wsd_" in line]
        assert ours == theirs


def test_those_of_thousands_of_routes_fit_in_a_message() -> None:
    metrics = Metrics()
    for number in range(30):
        metrics.route(f"/tenants/{number}/*")
    assert len(json.dumps(snapshotOf(metrics.collect()))) * 100 < MAX_FIELDS
