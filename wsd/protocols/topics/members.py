"""Members: who is present at a topic, each with a small state of its own that the others see."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum

from wsd.protocols.topics.publication import OVERHEAD, Item


@dataclass(frozen=True, slots=True)
class Member:
    """One who is present."""

    id: str
    """Unique for the route, on all machines; told to the others, and the address of direct messages."""
    user: str | None = None
    """The user's name, where one is known."""
    state: str = "null"
    """JSON text."""


class Change(Enum):
    """What has happened to a member."""

    join = "join"
    leave = "leave"
    update = "update"


class PresenceEvent(Item):
    """A member of a topic has come, gone, or changed its state."""

    __slots__ = ("change", "member", "topic")

    def __init__(self, topic: str, change: Change, member: Member) -> None:
        super().__init__()
        self.topic = topic
        self.change = change
        self.member = member

    @property
    def size(self) -> int:
        """Bytes of memory that it takes."""
        return len(self.member.state) + OVERHEAD

    @property
    def conflationKey(self) -> Hashable:
        """The member at its topic."""
        return self.topic, self.member.id, "presence"


class Members:
    """The members of all topics in this process."""

    def __init__(self) -> None:
        self._topics: dict[str, dict[str, Member]] = {}

    def put(self, topic: str, member: Member, most: int) -> Change | None:
        """A member comes, or changes its state. Returns what has changed; None when `most` others are there."""
        members = self._topics.get(topic, {})
        isNew = member.id not in members
        if isNew and len(members) >= most:
            return None
        self._topics.setdefault(topic, members)[member.id] = member
        return Change.join if isNew else Change.update

    def remove(self, topic: str, memberId: str) -> Member | None:
        """A member goes. Returns None if it was not there."""
        members = self._topics.get(topic)
        member = None if members is None else members.pop(memberId, None)
        if members is not None and not members:
            del self._topics[topic]
        return member

    def of(self, topic: str) -> list[Member]:
        """The members of a topic, in the order in which they came."""
        return list(self._topics.get(topic, {}).values())

    def all(self) -> dict[str, list[Member]]:
        """All members, by topic."""
        return {topic: list(members.values()) for topic, members in self._topics.items()}

    def get(self, topic: str, memberId: str) -> Member | None:
        """One member."""
        return self._topics.get(topic, {}).get(memberId)
