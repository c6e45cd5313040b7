"""The parts of a route of topics, for what answers its requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from wsd.protocols.topics.access import Access
from wsd.protocols.topics.hub import Hub
from wsd.protocols.topics.options import TopicsOptions
from wsd.protocols.topics.outbox import Outboxes
from wsd.protocols.topics.streams import Streams


@dataclass(slots=True)
class TopicsParts:
    """Made once for the route."""

    below: str
    """The path that topics lie below, with its slash."""
    origins: tuple[str, ...]
    """Whose pages may ask."""
    maxMessage: int
    """Bytes of a message."""
    options: TopicsOptions
    clock: IReactorTime
    now: Callable[[], float]
    """The time of day, which tokens expire by: seconds since 1970."""
    hub: Hub
    """Its own, or that of the route before a reload."""
    access: Access
    streams: Streams
    outboxes: Outboxes
