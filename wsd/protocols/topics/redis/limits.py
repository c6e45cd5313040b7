"""The limits of a route, and errors of Redis as those of topics."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from wsd.protocols.topics.backend import Bounds
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.redis.link import LinkLost, ResponseError
from wsd.protocols.topics.topic import Retention

_T = TypeVar("_T")


@dataclass(slots=True)
class RedisLimits:
    """The limits that hold now; all parts of the backend share one of these."""

    keep: Retention
    bounds: Bounds


def unavailable() -> TopicError:
    """There is no Redis."""
    return TopicError("unavailable", "Redis is not connected; try again later")


def errorOf(error: Exception, limits: RedisLimits) -> Exception:
    """An error of the link or of Redis, as it is told to clients."""
    if isinstance(error, LinkLost):
        return unavailable()
    if str(error).startswith("FULL keys"):
        return TopicError("full", f"this topic has {limits.keep.keys} last values, which is the limit; remove a key")
    if str(error).startswith("FULL members"):
        return TopicError("too_many", f"{limits.bounds.members} members are present, which is the limit")
    if isinstance(error, ResponseError):
        return TopicError("unavailable", f"Redis refuses: {error}")
    return error


def translated(asked: Coroutine[Any, Any, _T], limits: RedisLimits) -> Deferred[_T]:
    """What was asked of Redis. It fails with TopicError."""
    return Deferred.fromCoroutine(_translated(asked, limits))


async def _translated(asked: Coroutine[Any, Any, _T], limits: RedisLimits) -> _T:
    try:
        return await asked
    except (LinkLost, ResponseError) as error:
        raise errorOf(error, limits) from None
