"""The hub of a route: who subscribes to what here, and the way of a publication from its backend to them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.frames import Plane
from wsd.frames.prepared import Prepared
from wsd.protocols.topics.audience import Audience, Connections, Subscriber
from wsd.protocols.topics.backend import Backend
from wsd.protocols.topics.members import Member, PresenceEvent
from wsd.protocols.topics.names import isFilter
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import DirectMessage, Loss, Publication, TopicMessage
from wsd.protocols.topics.trie import Trie


class Watcher(Protocol):
    """One who watches who is present."""

    def takePresence(self, event: PresenceEvent) -> None:
        """A member of a topic that it watches has come, gone, or changed its state."""


class Present(Protocol):
    """One who is present at a topic."""

    def takeDirect(self, direct: DirectMessage) -> None:
        """A message for this member alone."""


class Hub:
    """The subscriptions, watches and members of this process, above one backend."""

    log = Logger(namespace="wsd")

    def __init__(self, backend: Backend, plane: Plane) -> None:
        """`plane` sends a message to many connections."""
        self.backend = backend
        self._plane = plane
        self._users: set[object] = set()
        self._starting = DeferredLock()
        self._isStarted = False
        self.deliveries = 0
        """Publications given to subscribers, each counted once for each of them."""
        self._audiences: dict[tuple[str, ...], Audience] = {}
        """By topic or filter."""
        self._subscriptions: Trie[Audience] = Trie()
        self._count = 0
        self._blocked: dict[str, Subscriber] = {}
        """Subscribers for whom something waits, by the ids of their connections."""
        self._version = 0
        """Of what is blocked."""
        self._watches: Trie[Watcher] = Trie()
        self._present: dict[tuple[str, str], Present] = {}
        """Who is present, by topic and the member's id."""
        self._listening: dict[tuple[str, ...], int] = {}
        """How many subscribe to a topic or filter, or watch it."""

    def __len__(self) -> int:
        """The number of subscriptions."""
        return self._count

    def start(self, user: object) -> Deferred[None]:
        """Begin, for this user or for one more."""
        self._users.add(user)
        return self._starting.run(lambda: Deferred.fromCoroutine(self._start()))

    async def _start(self) -> None:
        if not self._isStarted:
            await self.backend.start(self)
            self._isStarted = True

    def stop(self, user: object) -> Deferred[None]:
        """End, unless there are other users."""
        self._users.discard(user)
        if self._users:
            return succeed(None)
        self._isStarted = False
        return self.backend.stop()

    # -- subscribing ----------------------------------------------------------------------------------------------

    def subscribe(self, subscriber: Subscriber, pattern: tuple[str, ...]) -> Deferred[None]:
        """Give `subscriber` what is published to topics that match. Fires when nothing is missed any more."""
        audience = self._audiences.get(pattern)
        if audience is None:
            audience = self._audiences[pattern] = Audience()
            self._subscriptions.add(pattern, audience)
        isNew = audience.add(subscriber)
        self._count += isNew
        return self._listen(pattern, isNew)

    def unsubscribe(self, subscriber: Subscriber, pattern: tuple[str, ...]) -> None:
        """Take that back."""
        audience = self._audiences.get(pattern)
        if audience is None or not audience.remove(subscriber):
            return
        self._count -= 1
        if not audience:
            del self._audiences[pattern]
            self._subscriptions.remove(pattern, audience)
        self._unlisten(pattern)

    def block(self, connectionId: str, subscriber: Subscriber) -> None:
        """Something waits for a subscriber: it takes its publications itself, and they wait behind that."""
        self._blocked[connectionId] = subscriber
        self._version += 1

    def unblock(self, connectionId: str) -> None:
        """Nothing waits any more: what is published goes to the connection directly."""
        if self._blocked.pop(connectionId, None) is not None:
            self._version += 1

    def watch(self, watcher: Watcher, pattern: tuple[str, ...]) -> Deferred[None]:
        """Tell `watcher` who comes to topics that match, and who goes. Fires when nothing is missed any more."""
        return self._listen(pattern, isNew=self._watches.add(pattern, watcher))

    def unwatch(self, watcher: Watcher, pattern: tuple[str, ...]) -> None:
        """Take that back."""
        if self._watches.remove(pattern, watcher):
            self._unlisten(pattern)

    def _listen(self, pattern: tuple[str, ...], isNew: bool) -> Deferred[None]:
        if isNew:
            self._listening[pattern] = self._listening.get(pattern, 0) + 1
        return self.backend.listen(pattern)

    def _unlisten(self, pattern: tuple[str, ...]) -> None:
        self._listening[pattern] -= 1
        if not self._listening[pattern]:
            del self._listening[pattern]
            self.backend.unlisten(pattern)

    def audiences(self) -> dict[str, int]:
        """The topics that have subscribers at this process, with their number. Filters are left out."""
        found = {"/".join(levels): len(audience) for levels, audience in self._audiences.items()}
        return {topic: count for topic, count in found.items() if not isFilter(topic)}

    # -- being present --------------------------------------------------------------------------------------------

    def enter(self, present: Present, topic: str, member: Member) -> Deferred[None]:
        """A member comes to a topic, or changes its state. Fails with TopicError when there is no place."""
        place = topic, member.id
        isNew = place not in self._present
        self._present[place] = present
        entered = self.backend.enter(topic, member)
        return entered.addErrback(self._notEntered, place) if isNew else entered

    def arrive(self, present: Present, topic: str, memberId: str) -> None:
        """A member that the backend knows has come from the process before an upgrade."""
        self._present[topic, memberId] = present

    def isPresent(self, topic: str, memberId: str) -> bool:
        """Whether a member is present at this process."""
        return (topic, memberId) in self._present

    def _notEntered(self, failure: Failure, place: tuple[str, str]) -> Failure:
        self._present.pop(place, None)
        return failure

    def leave(self, topic: str, memberId: str) -> Deferred[None]:
        """A member goes."""
        if self._present.pop((topic, memberId), None) is None:
            return succeed(None)
        return self.backend.leave(topic, memberId)

    # -- the backend delivers -------------------------------------------------------------------------------------

    def gathering(self) -> AbstractContextManager[None]:
        """While this context is entered, what is published is gathered, and leaves as one write to each subscriber."""
        return self._plane.gathering()

    def published(self, publication: Publication) -> None:
        """Give a publication to every subscriber."""
        audiences = self._subscriptions.match(tuple(publication.topic.split("/")))
        if not audiences:
            return
        audience = audiences[0] if len(audiences) == 1 else Audience.joined(audiences)
        self.deliveries += len(audience)
        for encode, connections in list(audience.direct.items()):
            self._send(publication, publication.encoded(encode), connections)
        self._give(publication, audience.others)
        publication.forgetEncoded()

    def _send(self, publication: Publication, encoded: tuple[Prepared, ...], connections: Connections) -> None:
        """Send to all connections but the sender's. This is what a large audience costs."""
        connections.refresh(self._blocked, self._version)
        frames, but = connections.frames, connections.of(publication.message.sender)
        blocked = connections.blocked
        # Another list ends what is gathered. That of a sender that is alone in its form would, though nobody gets it.
        if frames and frames != [but]:
            for message in encoded:
                self._plane.sendAll(frames, message, but)
        self._give(publication, blocked)

    def _give(self, publication: Publication, subscribers: Iterable[Subscriber]) -> None:
        """Let each of these subscribers take a publication itself."""
        for subscriber in list(subscribers):
            try:
                subscriber.take(publication)
            except Exception:
                self._failed()

    def lost(self, topic: str, position: Position) -> None:
        """Tell every subscriber."""
        loss = Loss(topic, position)
        for subscriber in Audience.joined(self._subscriptions.match(tuple(topic.split("/")))).subscribers:
            try:
                subscriber.miss(loss)
            except Exception:
                self._failed()

    def presenceChanged(self, event: PresenceEvent) -> None:
        """Tell every watcher."""
        for watcher in self._watches.match(tuple(event.topic.split("/"))):
            try:
                watcher.takePresence(event)
            except Exception:
                self._failed()

    def _failed(self) -> None:
        """A subscriber raised what is being handled: all others get theirs."""
        self.log.failure("a delivery failed", Failure(), event="topics.delivery")

    def directed(self, topic: str, memberId: str, message: TopicMessage) -> bool:
        """Give a message to one member. Returns whether the member is here."""
        present = self._present.get((topic, memberId))
        if present is not None:
            present.takeDirect(DirectMessage(topic, message))
        return present is not None
