"""A backend keeps topics: it gives messages their positions, stores what is kept, and delivers in order."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred

from wsd.protocols.topics.members import Member, PresenceEvent
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import Publication, TopicMessage
from wsd.protocols.topics.topic import Recovered, Retention


class BackendReceiver(Protocol):
    """Where a backend delivers to: the hub of this process. All methods are called on the reactor's thread."""

    def gathering(self) -> AbstractContextManager[None]:
        """A context in which several messages are delivered one after another."""

    def published(self, publication: Publication) -> None:
        """A message was published here or by another process: each once, in the order of its topic."""

    def lost(self, topic: str, position: Position) -> None:
        """Messages of a topic before this position may be lost to subscribers here."""

    def presenceChanged(self, event: PresenceEvent) -> None:
        """A member of a topic has come, gone, or changed its state, here or at another process."""

    def directed(self, topic: str, memberId: str, message: TopicMessage) -> bool:
        """A message for one member. Returns whether the member is here."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What all topics of a route may come to."""

    topics: int
    size: int
    """Bytes of all histories and last values."""
    onceAge: float
    """Seconds for which an idempotency key is remembered."""
    onceCount: int
    """Idempotency keys that are remembered at a time."""
    members: int
    """Members of one topic."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A message has its position, and is as safe as the backend promises."""

    position: Position
    isDuplicate: bool
    """Whether a message with the same idempotency key was published before, at this position."""


class Backend(Protocol):
    """
    Where topics are kept.

    Levels are those of `names.checkName` and `names.checkFilter`. Every Deferred fails with TopicError only.
    """

    def start(self, receiver: BackendReceiver) -> Deferred[None]:
        """Begin to deliver to `receiver`."""

    def stop(self) -> Deferred[None]:
        """Deliver no more."""

    def ready(self) -> str | None:
        """A sentence when this backend cannot publish now, for /readyz."""

    def configure(self, keep: Retention, bounds: Bounds) -> None:
        """Limits that hold from now on."""

    def listen(self, pattern: tuple[str, ...]) -> Deferred[None]:
        """
        This process has a subscriber to a topic or filter, its first or one more.

        Fires when nothing is missed any more.
        """

    def unlisten(self, pattern: tuple[str, ...]) -> None:
        """The last one has gone."""

    # -- messages -------------------------------------------------------------------------------------------------

    def publish(self, topic: str, message: TopicMessage) -> Deferred[Acknowledgement]:
        """Publish a message."""

    def publishAll(self, topic: str, messages: list[TopicMessage]) -> Deferred[list[Acknowledgement]]:
        """Publish several messages in one step: all of them, or none."""

    def newest(self, topic: str, count: int) -> Deferred[Recovered]:
        """The newest publications of a topic, at most `count`."""

    def since(self, topic: str, position: Position) -> Deferred[Recovered]:
        """Everything behind a position, as far as it is kept."""

    def last(self, pattern: tuple[str, ...]) -> Deferred[list[Publication]]:
        """The last values of all topics that a filter matches."""

    def names(self, count: int) -> Deferred[list[str]]:
        """The topics that were published to, the newest first, at most `count`. Some may keep nothing any more."""

    def clear(self, topic: str) -> Deferred[None]:
        """Drop history and last values of a topic. Positions go on."""

    # -- members --------------------------------------------------------------------------------------------------

    def enter(self, topic: str, member: Member) -> Deferred[None]:
        """A member comes to a topic, or changes its state."""

    def leave(self, topic: str, memberId: str) -> Deferred[None]:
        """A member goes."""

    def members(self, topic: str) -> Deferred[list[Member]]:
        """Who is present at a topic, at all processes."""

    def direct(self, topic: str, memberId: str, message: TopicMessage) -> Deferred[None]:
        """Send a message to one member of a topic. Fails with TopicError("no_member")."""
