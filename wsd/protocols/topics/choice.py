"""Which backend a route has, by its key `backend`."""

from __future__ import annotations

import os
from typing import Any

from wsd.config import ConfigError
from wsd.policies.budget import Budget, MemoryUse
from wsd.policies.meter import Meter
from wsd.policies.pool import BlockingPool
from wsd.protocols.topics.backend import Backend, Bounds
from wsd.protocols.topics.file import FileBackend
from wsd.protocols.topics.journal import Journal
from wsd.protocols.topics.memory import MemoryBackend
from wsd.protocols.topics.options import FILE, MEMORY, TopicsOptions
from wsd.protocols.topics.redis.address import readAddress
from wsd.protocols.topics.topic import Retention
from wsd.traces.tracing import Tracing

_ONCE = 100_000
"""Idempotency keys that are remembered at a time, for each route, or for each topic in Redis."""


def limitsOf(options: TopicsOptions) -> tuple[Retention, Bounds]:
    """How much of each topic, and of all of them, is kept."""
    keep = Retention(options.history_count, options.history_size, options.history_age, options.max_keys)
    return keep, Bounds(options.max_topics, options.max_kept, options.once_age, _ONCE, options.max_members)


def backendOf(
    options: TopicsOptions,
    route: str,
    clock: Any,
    now: Any,
    pool: BlockingPool,
    budget: Budget,
    tracing: Tracing | None = None,
) -> Backend:
    """The backend for these keys. Topics count in `budget`. Raises ConfigError if a library is missing."""
    keep, bounds = limitsOf(options)
    if options.backend == MEMORY:
        return MemoryBackend(keep, bounds, clock.seconds, Meter(budget, MemoryUse.histories))
    if options.backend == FILE:
        path = options.path(os.environ)
        thread = pool.share("topics", route, threads=1)
        meter = Meter(budget, MemoryUse.histories)
        return FileBackend(keep, bounds, thread, lambda: Journal(path), clock, now, str(path), meter)
    try:
        from wsd.protocols.topics.redis.backend import RedisBackend
    except ModuleNotFoundError as error:
        raise ConfigError(
            f'the backend redis:// needs {error.name}; install it with: pip install "txwsd[redis]"'
        ) from None
    return RedisBackend(keep, bounds, readAddress(options.backend), options.redis_prefix, clock, now, tracing)
