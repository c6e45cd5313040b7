"""
The daemon's counters, and their exposition for Prometheus.

`counters` has what is counted, `daemon` all counters of one daemon, and `exposition` their text.
"""

from wsd.metrics.counters import (
    SIZES,
    Cause,
    CompressedBytes,
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
from wsd.metrics.daemon import MOST_USERS, OTHER, Metrics
from wsd.metrics.exposition import reloadFamilies, render

__all__ = [
    "MOST_USERS",
    "OTHER",
    "SIZES",
    "Cause",
    "CompressedBytes",
    "Histogram",
    "HttpCounters",
    "MemoryLevels",
    "Metrics",
    "ReloadCounters",
    "RouteCounters",
    "ShareCounters",
    "SpanCounters",
    "TlsHandshakes",
    "Traffic",
    "UserCounters",
    "reloadFamilies",
    "render",
]
