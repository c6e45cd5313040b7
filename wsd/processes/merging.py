"""
Metrics of several workers as those of one daemon.

Counters are added up, and so are gauges, except for those that are not amounts. A worker that has died keeps its place
in the counters, so that none of them ever falls: its last snapshot is kept, without the gauges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

Snapshot: TypeAlias = Sequence[Sequence[Any]]
"""The metrics of a process: for each its name, its type, its text, and its samples as (name, labels, value)."""

_HOW: Mapping[str, Callable[[float, float], float]] = {
    "wsd_connections_limit": min,
    "wsd_last_reload_successful": min,
    "wsd_send_buffer_bytes_max": max,
    "wsd_reactor_lag_seconds": max,
    "wsd_certificate_expiry_seconds": min,
    "wsd_client_crl_expiry_seconds": min,
    "process_start_time_seconds": min,
    "process_max_fds": min,
}
"""How gauges that are not amounts are combined, by the name of the metric."""

_OPENED, _CLOSED = "wsd_connections_opened", "wsd_connections_closed"


def workerFamilies(serving: int, restarts: int) -> list[Metric]:
    """The metrics about the workers themselves, which only their parent knows."""
    return [
        GaugeMetricFamily("wsd_workers", "Workers that serve.", serving),
        CounterMetricFamily("wsd_worker_restarts", "Workers that were started again.", restarts),
    ]


def snapshotOf(metrics: Iterable[Metric]) -> Snapshot:
    """The metrics of this process, in a form for JSON."""
    return [
        (each.name, each.type, each.documentation, [(name, labels, value) for name, labels, value, *_ in each.samples])
        for each in metrics
    ]


def merge(snapshots: Iterable[Snapshot]) -> list[Metric]:
    """The metrics of all processes together, in the order in which they first appear."""
    merged: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for snapshot in snapshots:
        for name, kind, text, samples in snapshot:
            merged.setdefault(name, Metric(name, text, kind))
            how = max if kind == "info" else _HOW.get(name, float.__add__)
            found = values.setdefault(name, {})
            for sample, labels, value in samples:
                key = sample, tuple(labels.items())
                found[key] = how(found[key], float(value)) if key in found else float(value)
    for name, found in values.items():
        for (sample, labels), value in found.items():
            merged[name].add_sample(sample, dict(labels), value)
    return list(merged.values())


def remains(snapshot: Snapshot) -> Snapshot:
    """
    What still counts of a worker that has died: its counters and histograms.

    The connections that it had open have ended with it, and count as lost.
    """
    kept = [entry for entry in snapshot if entry[1] in ("counter", "histogram", "summary")]
    opened, closed = _byRoute(kept, _OPENED), _byRoute(kept, _CLOSED)
    return [
        (name, kind, text, [_withLost(sample, opened, closed) for sample in samples] if name == _CLOSED else samples)
        for name, kind, text, samples in kept
    ]


def _byRoute(snapshot: Snapshot, metric: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, _, _, samples in snapshot:
        for _, labels, value in samples if name == metric else ():
            found[labels["route"]] = found.get(labels["route"], 0) + value
    return found


def _withLost(sample: Sequence[Any], opened: Mapping[str, float], closed: Mapping[str, float]) -> Sequence[Any]:
    name, labels, value = sample
    if labels["cause"] != "lost":
        return sample
    route = labels["route"]
    return name, labels, value + max(0, opened.get(route, 0) - closed.get(route, 0))
