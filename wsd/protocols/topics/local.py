"""What backends of a single process have in common: one receiver, and members in memory."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from wsd.protocols.topics.backend import BackendReceiver, Bounds
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.members import Change, Member, Members, PresenceEvent
from wsd.protocols.topics.moving import restoreMembers, saveMembers
from wsd.protocols.topics.publication import Publication, TopicMessage
from wsd.protocols.topics.topic import Retention


class LocalBackend:
    """A backend that no other process shares. Everything is delivered here, whoever listens."""

    def __init__(self, keep: Retention, bounds: Bounds) -> None:
        self._keep = keep
        self._bounds = bounds
        self._members = Members()
        self._receiver: BackendReceiver | None = None
        self.isMoving = False
        """Whether another process is about to have these topics: nothing is published here."""

    def configure(self, keep: Retention, bounds: Bounds) -> None:
        """Limits that hold from now on."""
        self._keep, self._bounds = keep, bounds

    def start(self, receiver: BackendReceiver) -> Deferred[None]:
        """Begin to deliver to `receiver`."""
        self._receiver = receiver
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Deliver no more."""
        self._receiver = None
        return succeed(None)

    def ready(self) -> str | None:
        """None: it can publish."""
        return None

    def listen(self, pattern: tuple[str, ...]) -> Deferred[None]:
        """Everything is delivered anyway."""
        return succeed(None)

    def unlisten(self, pattern: tuple[str, ...]) -> None:
        """Everything is delivered anyway."""

    def _gathering(self) -> AbstractContextManager[None]:
        """A context for several deliveries."""
        return nullcontext() if self._receiver is None else self._receiver.gathering()

    def _deliver(self, publication: Publication) -> None:
        if self._receiver is not None:
            self._receiver.published(publication)

    # -- members --------------------------------------------------------------------------------------------------

    def enter(self, topic: str, member: Member) -> Deferred[None]:
        """A member comes to a topic, or changes its state. Fails with TopicError("too_many") when there is no place."""
        most = self._bounds.members
        change = self._members.put(topic, member, most)
        if change is None:
            return fail(TopicError("too_many", f"{most} members are present, which is the limit"))
        self._tell(topic, change, member)
        return succeed(None)

    def leave(self, topic: str, memberId: str) -> Deferred[None]:
        """A member goes."""
        member = self._members.remove(topic, memberId)
        if member is not None:
            self._tell(topic, Change.leave, member)
        return succeed(None)

    def _tell(self, topic: str, change: Change, member: Member) -> None:
        if self._receiver is not None:
            self._receiver.presenceChanged(PresenceEvent(topic, change, member))

    def allMembers(self) -> dict[str, list[Member]]:
        """Who is present, by topic."""
        return self._members.all()

    def saveState(self) -> dict[str, Any]:
        """What a new process needs in an upgrade. Nothing is published here from now on."""
        self.isMoving = True
        return {"members": saveMembers(self.allMembers())}

    def restoreState(self, state: dict[str, Any]) -> None:
        """Go on with what `saveState` has returned. Nobody is told of the members, who were present before."""
        for topic, found in restoreMembers(state["members"]).items():
            for member in found:
                self._members.put(topic, member, self._bounds.members)

    def members(self, topic: str) -> Deferred[list[Member]]:
        """Who is present at a topic."""
        return succeed(self._members.of(topic))

    def direct(self, topic: str, memberId: str, message: TopicMessage) -> Deferred[None]:
        """Send a message to one member of a topic. Fails with TopicError("no_member")."""
        if self._receiver is not None and self._receiver.directed(topic, memberId, message):
            return succeed(None)
        return fail(TopicError("no_member", f"no member {memberId[:40]!r} is present at this topic"))
