"""Messages, and what the core makes of them on their way: publications in a topic, losses, direct messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

from wsd.protocols.topics.position import Position

OVERHEAD = 400
"""Bytes that a stored publication takes beside its payload and names (measured: CPython 3.11, 380)."""


@dataclass(frozen=True, slots=True)
class TopicMessage:
    """What a publisher says: the payload, and how it is kept."""

    payload: bytes
    """Text is UTF-8."""
    isBinary: bool = True
    key: str | None = None
    """The topic's last value of this key becomes this message, and is removed if `isRemoval`."""
    isRemoval: bool = False
    ttl: float | None = None
    """Seconds after which this message is no longer sent to anybody."""
    once: str | None = None
    """The idempotency key: of two messages with the same key only the first is published."""
    mediaType: str | None = None
    """The media type that came with it over HTTP."""
    sender: str | None = None
    """The connection that published it, by its id."""

    @property
    def size(self) -> int:
        """Bytes of memory that it takes where it is stored."""
        return len(self.payload) + len(self.key or "") + OVERHEAD


class _Recent:
    """
    The items that were encoded last, which keep their encoded forms for whoever is sent them next.

    All others forget theirs: a history would take several times the memory that it may.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: deque[Item] = deque()
        self._size = 0

    def add(self, item: Item) -> None:
        """One more is encoded."""
        self._items.append(item)
        self._size += item.size
        while self._size > self._most and len(self._items) > 1:
            oldest = self._items.popleft()
            self._size -= oldest.size
            oldest.forgetEncoded()


_recent = _Recent(4 << 20)


class Item:
    """Something on its way to subscribers. It is encoded once for all of them that use the same form."""

    __slots__ = ("_encoded", "waiters")

    topic: str
    position: Position | None = None
    """The place of a publication in its topic."""

    def __init__(self) -> None:
        self._encoded: dict[Any, Any] | None = None
        self.waiters = 0
        """The number of outboxes in which it waits."""

    @property
    def size(self) -> int:
        """Bytes of memory that it takes while it waits."""
        raise NotImplementedError

    @property
    def conflationKey(self) -> Hashable:
        """Of waiting items with the same key only the newest matters."""
        raise NotImplementedError

    def encoded(self, encode: Callable[[Any], Any]) -> Any:
        """What `encode` makes of it, made once for all subscribers that are sent it at about the same time."""
        if self._encoded is None:
            self._encoded = {}
            _recent.add(self)
        found = self._encoded.get(encode)
        if found is None:
            found = self._encoded[encode] = encode(self)
        return found

    def forgetEncoded(self) -> None:
        """Drop the encoded forms: what is stored keeps its payload only."""
        self._encoded = None


class Publication(Item):
    """A message with its place in a topic."""

    __slots__ = ("at", "message", "position", "topic")

    position: Position

    def __init__(self, topic: str, position: Position, message: TopicMessage, at: float) -> None:
        super().__init__()
        self.topic = topic
        self.position = position
        self.message = message
        self.at = at
        """When it was published, by the clock of the backend, in seconds."""

    @property
    def size(self) -> int:
        """Bytes of memory that it takes."""
        return self.message.size

    @property
    def conflationKey(self) -> Hashable:
        """Its topic, and its key there."""
        return self.topic, self.message.key

    def isStale(self, now: float) -> bool:
        """Whether its time to live is over."""
        ttl = self.message.ttl
        return ttl is not None and now - self.at >= ttl


class Mark(Item):
    """What is to be known of a topic up to a position."""

    __slots__ = ("position", "topic")

    position: Position
    kind: ClassVar[str]

    def __init__(self, topic: str, position: Position) -> None:
        super().__init__()
        self.topic = topic
        self.position = position

    @property
    def size(self) -> int:
        """Bytes of memory that it takes."""
        return OVERHEAD

    @property
    def conflationKey(self) -> Hashable:
        """Its topic and its kind: the newest one says where to go on."""
        return self.topic, self.kind


class Loss(Mark):
    """Messages of a topic before a position are lost, or may be."""

    __slots__ = ()

    kind = "gap"


class Reached(Mark):
    """Everything of a topic up to a position was sent, as far as it was asked for."""

    __slots__ = ()

    kind = "reached"


class DirectMessage(Item):
    """A message for one member of a topic."""

    __slots__ = ("message", "topic")

    def __init__(self, topic: str, message: TopicMessage) -> None:
        super().__init__()
        self.topic = topic
        self.message = message

    @property
    def size(self) -> int:
        """Bytes of memory that it takes."""
        return self.message.size

    @property
    def conflationKey(self) -> Hashable:
        """None is as good as another."""
        return self
