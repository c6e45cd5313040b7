"""The subscribers of one topic or filter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from wsd.protocols.topics.publication import Loss, Publication


@dataclass(frozen=True, slots=True, eq=False)
class Direct:
    """A connection that publications may be sent to without asking its subscriber, while nothing waits for it."""

    id: str
    """The connection's."""
    subscriber: Subscriber
    frames: Any
    """What writes its messages."""
    encode: Callable[[Any], Any]
    """Makes messages of a publication."""


class Subscriber(Protocol):
    """One who is given publications."""

    @property
    def direct(self) -> Direct | None:
        """Its connection, if publications may be sent there directly. It stays the same while it subscribes."""

    def take(self, publication: Publication) -> None:
        """A publication of a topic that it subscribes to."""

    def miss(self, loss: Loss) -> None:
        """Messages of a topic that it subscribes to are lost."""


class Connections:
    """The connections of an audience that are sent to directly, all in one form."""

    __slots__ = ("_connections", "_version", "blocked", "frames")

    def __init__(self) -> None:
        self._connections: dict[str, Direct] = {}
        self._version = -1
        self.frames: list[Any] = []
        """What writes to each, without those for whom something waits. A list is never changed, but replaced."""
        self.blocked: list[Subscriber] = []
        """Those for whom something waits."""

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, direct: Direct) -> None:
        """One more."""
        self._connections[direct.id] = direct
        self._version = -1

    def addAll(self, others: Connections) -> None:
        """All of others."""
        self._connections.update(others._connections)

    def remove(self, connectionId: str) -> None:
        """One less."""
        self._connections.pop(connectionId, None)
        self._version = -1

    def of(self, connectionId: str | None) -> Any:
        """The frames of one connection; None if it is not here."""
        found = None if connectionId is None else self._connections.get(connectionId)
        return None if found is None else found.frames

    @property
    def subscribers(self) -> Iterator[Subscriber]:
        """Whose connections these are."""
        return (each.subscriber for each in self._connections.values())

    def refresh(self, blocked: Mapping[str, Subscriber], version: int) -> None:
        """Part them by who is blocked, unless that was done for this version."""
        if version == self._version:
            return
        self._version = version
        found = self._connections.keys() & blocked.keys()
        self.blocked = [blocked[connectionId] for connectionId in found]
        self.frames = [each.frames for connectionId, each in self._connections.items() if connectionId not in found]


class Audience:
    """Those whose connection is sent to directly, by the form of their messages, and the others."""

    __slots__ = ("direct", "others")

    def __init__(self) -> None:
        self.direct: dict[Callable[[Any], Any], Connections] = {}
        self.others: dict[Subscriber, None] = {}

    @classmethod
    def joined(cls, audiences: Iterable[Audience]) -> Audience:
        """All of several, each once."""
        whole = cls()
        for each in audiences:
            for encode, connections in each.direct.items():
                whole.direct.setdefault(encode, Connections()).addAll(connections)
            whole.others.update(each.others)
        return whole

    @property
    def subscribers(self) -> list[Subscriber]:
        """All of them."""
        return [*self.others, *(each for connections in self.direct.values() for each in connections.subscribers)]

    def __len__(self) -> int:
        return len(self.others) + sum(map(len, self.direct.values()))

    def add(self, subscriber: Subscriber) -> bool:
        """Returns False if it is here already."""
        before = len(self)
        direct = subscriber.direct
        if direct is None:
            self.others[subscriber] = None
        else:
            self.direct.setdefault(direct.encode, Connections()).add(direct)
        return len(self) > before

    def remove(self, subscriber: Subscriber) -> bool:
        """Returns False if it is not here."""
        before = len(self)
        direct = subscriber.direct
        if direct is None:
            self.others.pop(subscriber, None)
        elif direct.encode in self.direct:
            connections = self.direct[direct.encode]
            connections.remove(direct.id)
            if not connections:
                del self.direct[direct.encode]
        return len(self) < before
