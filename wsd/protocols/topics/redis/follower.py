"""
The follower: delivers every publication once and in order, though Redis's Pub/Sub loses some.

The Stream of a topic is the truth, and a message on its channel only the bell. The follower knows how far each topic
was delivered; where the bell shows that something is missing, and after each loss of the link, it reads the Stream.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import Publication
from wsd.protocols.topics.topic import Recovered

_MOST_TOPICS = 50_000
"""Topics whose position is known; of more, those that were silent for the longest time are forgotten."""


_TRIES = 3
"""Attempts to deliver everything up to a position."""


class FollowerSource(Protocol):
    """Where publications that were missed are read, and where all of them go."""

    def missed(self, topic: str, position: Position) -> Deferred[Recovered]:
        """Everything behind a position, as far as it is kept."""

    def deliver(self, publication: Publication) -> None:
        """The next publication of a topic."""

    def lost(self, topic: str, position: Position) -> None:
        """Messages of a topic before this position are lost."""


class _FollowState(Enum):
    following = auto()
    reading = auto()
    """Something is missing, and is being read; what comes meanwhile waits."""


class _Followed:
    """How far a topic was delivered."""

    __slots__ = ("caughtUp", "position", "state", "waiting")

    def __init__(self, position: Position) -> None:
        self.position = position
        self.state = _FollowState.following
        self.waiting: list[Publication] = []
        self.caughtUp: list[Deferred[None]] = []
        """Who waits for the end of the present reading."""


class Follower:
    """The topics that were delivered."""

    log = Logger(namespace="wsd")

    def __init__(self, source: FollowerSource) -> None:
        self._source = source
        self._topics: dict[str, _Followed] = {}

    def begin(self, topic: str, position: Position) -> None:
        """Follow a topic from this position on, unless it is followed already."""
        if topic not in self._topics:
            self._topics[topic] = _Followed(position)
            while len(self._topics) > _MOST_TOPICS:
                del self._topics[next(iter(self._topics))]

    def end(self, topic: str) -> None:
        """Follow it no more."""
        self._topics.pop(topic, None)

    def positionOf(self, topic: str) -> Position | None:
        """How far a topic was delivered; None if it is not followed."""
        found = self._topics.get(topic)
        return None if found is None else found.position

    @property
    def topics(self) -> list[str]:
        """The topics that are followed."""
        return list(self._topics)

    def arrived(self, publication: Publication) -> None:
        """The bell has rung with this publication."""
        topic, position = publication.topic, publication.position
        followed = self._topics.get(topic)
        if followed is None:
            self.begin(topic, position)
            self._source.deliver(publication)
        elif followed.state is _FollowState.reading:
            followed.waiting.append(publication)
        elif position.offset == followed.position.offset + 1 or (
            position.epoch != followed.position.epoch and position.offset == 1
        ):
            # Also in another epoch: while the link holds, nothing is lost between two that follow one another.
            self._pass(followed, publication)
        elif position.epoch != followed.position.epoch or position.offset > followed.position.offset:
            followed.waiting.append(publication)
            self.catchUp(topic)

    def _pass(self, followed: _Followed, publication: Publication) -> None:
        followed.position = publication.position
        self._source.deliver(publication)

    async def reach(self, topic: str, position: Position) -> None:
        """
        Deliver everything up to a position that was read, though the bell may still be on its way.

        Whoever is sent what was read is then sent nothing of it again. Raises TopicError if that cannot be done.
        """
        for attempt in range(_TRIES):
            followed = self._topics.get(topic)
            if followed is None:
                return
            # What is of another epoch is compared after it was read.
            isComparable = attempt > 0 or followed.position.epoch == position.epoch
            if isComparable and followed.position.offset >= position.offset:
                return
            await self.catchUp(topic)
        raise TopicError("unavailable", "Redis does not answer; try again later")

    def catchUp(self, topic: str) -> Deferred[None]:
        """Read what was missed. Fires when it is delivered; if it cannot be read, it is read after the next loss."""
        return Deferred.fromCoroutine(self._catchUp(topic, self._topics[topic]))

    async def _catchUp(self, topic: str, followed: _Followed) -> None:
        if followed.state is _FollowState.reading:
            caughtUp: Deferred[None] = Deferred()
            followed.caughtUp.append(caughtUp)
            await caughtUp
            return
        followed.state = _FollowState.reading
        try:
            recovered = await self._source.missed(topic, followed.position)
            if not recovered.isComplete:
                self._source.lost(topic, recovered.position)
            for publication in recovered.publications:
                self._pass(followed, publication)
            followed.position = recovered.position
        except TopicError:
            # The link is lost again. What waits is in the Stream, too.
            followed.waiting.clear()
        except Exception:
            self.log.failure("the history of a topic cannot be read", Failure(), event="topics.redis")
        followed.state = _FollowState.following
        waiting, followed.waiting = followed.waiting, []
        for publication in waiting:
            self.arrived(publication)
        caughtUpNow, followed.caughtUp = followed.caughtUp, []
        for each in caughtUpNow:
            each.callback(None)
