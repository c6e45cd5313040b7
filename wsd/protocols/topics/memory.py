"""The memory backend: topics live in this process, and end with it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from wsd.policies.meter import Meter
from wsd.protocols.topics.backend import Acknowledgement, Bounds
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.journal import Kept, TopicState
from wsd.protocols.topics.local import LocalBackend
from wsd.protocols.topics.moving import restoreTopics, saveTopics
from wsd.protocols.topics.names import matches
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import Publication, TopicMessage
from wsd.protocols.topics.topic import Recovered, Retention, Topic


class MemoryBackend(LocalBackend):
    """
    Topics in memory, within bounds.

    A topic is made when it is first published to. When there are too many topics, the one that was unused for the
    longest time is dropped; when they hold too many bytes, the histories that were unused for the longest time go
    first. Last values are never dropped for others: a publish that needs room beyond them is refused.
    """

    def __init__(
        self, keep: Retention, bounds: Bounds, seconds: Callable[[], float], meter: Meter | None = None
    ) -> None:
        super().__init__(keep, bounds)
        self._meter = meter
        if meter is not None:
            meter.relieve = self._relieve
        self._seconds = seconds
        self._topics: OrderedDict[str, Topic] = OrderedDict()
        """By name, the one that was unused for the longest time first."""
        self._once: OrderedDict[tuple[str, str], tuple[float, Position]] = OrderedDict()
        self._size = 0
        self._lastSize = 0
        """The bytes of their last values among these."""

    def __len__(self) -> int:
        return len(self._topics)

    @property
    def size(self) -> int:
        """Bytes that all topics hold."""
        return self._size

    @size.setter
    def size(self, size: int) -> None:
        self._size = size
        if self._meter is not None:
            self._meter.put(size)

    def stop(self) -> Deferred[None]:
        """Deliver no more. What topics hold is freed with this backend, or read again from a file."""
        if self._meter is not None:
            self._meter.put(0)
        return super().stop()

    def _relieve(self, size: int) -> None:
        """Called when memory is short: drop histories, down to half of what all topics hold."""
        self._dropHistories(size // 2)

    # -- messages -------------------------------------------------------------------------------------------------

    def publish(self, topic: str, message: TopicMessage) -> Deferred[Acknowledgement]:
        """Publish, and deliver before this returns. Fails with TopicError, "full" when there is no room."""
        try:
            found = self._topicFor(topic, [message])
        except TopicError as error:
            return fail(error)
        return succeed(self._publish(found, message))

    def publishAll(self, topic: str, messages: list[TopicMessage]) -> Deferred[list[Acknowledgement]]:
        """Publish several messages in one step: all of them, or none."""
        try:
            found = self._topicFor(topic, messages)
        except TopicError as error:
            return fail(error)
        with self._gathering():
            return succeed([self._publish(found, message) for message in messages])

    def _publish(self, topic: Topic, message: TopicMessage) -> Acknowledgement:
        now = self._seconds()
        if message.once is not None and (known := self._knownOnce(topic.name, message.once, now)) is not None:
            return Acknowledgement(known, isDuplicate=True)
        with self._measured(topic):
            publication = topic.publish(message, now, self._keep)
        self._makeRoom()
        if message.once is not None:
            self._remember(topic.name, message.once, now, publication.position)
        self._deliver(publication)
        return Acknowledgement(publication.position, isDuplicate=False)

    @contextmanager
    def _measured(self, topic: Topic) -> Iterator[None]:
        """Keep the totals while a topic changes."""
        size, last = topic.size, topic.lastSize
        yield
        self.size += topic.size - size
        self._lastSize += topic.lastSize - last
        self._touched(topic)

    def _topicFor(self, name: str, messages: list[TopicMessage]) -> Topic:
        """The topic that these messages are published to. Raises TopicError("full") unless there is room for all."""
        if self.isMoving:
            raise TopicError("unavailable", "the server is being upgraded; try again")
        found = self._topics.get(name)
        self._checkLast(found, messages)
        if found is None:
            while len(self._topics) >= self._bounds.topics:
                self._dropUnused()
            found = self._topics[name] = Topic(name, self._seconds())
        self._topics.move_to_end(name)
        return found

    def _checkLast(self, topic: Topic | None, messages: list[TopicMessage]) -> None:
        """Raises TopicError("full") unless there is room for the last values that these messages become."""
        count, size = (0 if topic is None else topic.keyCount), self._lastSize
        changed: dict[str, int] = {}
        for message in messages:
            if message.key is None:
                continue
            before = changed.get(message.key, 0 if topic is None else topic.lastSizeOf(message.key))
            after = changed[message.key] = 0 if message.isRemoval else message.size
            count += bool(after) - bool(before)
            size += after - before
            if after and count > self._keep.keys:
                limit = f"{self._keep.keys} last values, which is the limit"
                raise TopicError("full", f"this topic has {limit}; remove a key")
            if after and size > self._bounds.size:
                raise TopicError("full", "the last values of all topics use all memory of this route")

    def _dropUnused(self) -> None:
        """Drop the topic that was unused for the longest time, of those that keep nothing before the others."""
        name = next((name for name, topic in self._topics.items() if topic.isEmpty), None)
        if name is None:
            name = next((name for name, topic in self._topics.items() if not topic.lastSize), None)
        if name is None:
            raise TopicError("full", f"this route has {self._bounds.topics} topics, which is the limit; clear one")
        dropped = self._topics.pop(name)
        self.size -= dropped.size
        self._dropped(dropped)

    def _makeRoom(self) -> None:
        self._dropHistories(self._bounds.size)

    def _dropHistories(self, most: int) -> None:
        """Drop the histories that were unused for the longest time, until all topics hold at most `most` bytes."""
        for topic in self._topics.values():
            while self.size > most and topic.historySize:
                self.size -= topic.dropOldest()
                self._touched(topic)
            if self.size <= most:
                return

    def _touched(self, topic: Topic) -> None:
        """A topic has changed."""

    def _dropped(self, topic: Topic) -> None:
        """A topic was dropped for another."""

    def _knownOnce(self, topic: str, once: str, now: float) -> Position | None:
        while self._once and now - next(iter(self._once.values()))[0] >= self._bounds.onceAge:
            self._once.popitem(last=False)
        known = self._once.get((topic, once))
        return None if known is None else known[1]

    def _remember(self, topic: str, once: str, now: float, position: Position) -> None:
        self._once[topic, once] = (now, position)
        while len(self._once) > self._bounds.onceCount:
            self._once.popitem(last=False)

    # -- reading --------------------------------------------------------------------------------------------------

    def newest(self, topic: str, count: int) -> Deferred[Recovered]:
        """The newest publications of a topic, at most `count`."""
        return succeed(self._read(topic).newest(count, self._seconds()))

    def since(self, topic: str, position: Position) -> Deferred[Recovered]:
        """Everything behind a position, as far as it is kept."""
        return succeed(self._read(topic).since(position, self._seconds()))

    def _read(self, name: str) -> Topic:
        """A topic for reading. One without messages is kept for its epoch, but never in place of another."""
        now = self._seconds()
        found = self._topics.get(name)
        if found is None:
            found = Topic(name, now)
            if len(self._topics) < self._bounds.topics:
                self._topics[name] = found
                self._touched(found)
        if found.isToTrim(now, self._keep):
            with self._measured(found):
                found.trim(now, self._keep)
        return found

    def last(self, pattern: tuple[str, ...]) -> Deferred[list[Publication]]:
        """The last values of all topics that a filter matches."""
        now = self._seconds()
        return succeed(
            [
                publication
                for name, topic in self._topics.items()
                if topic.lastSize and matches(pattern, tuple(name.split("/")))
                for publication in topic.last(now)
            ]
        )

    def names(self, count: int) -> Deferred[list[str]]:
        """The topics that keep something, the newest first, at most `count`."""
        kept = (name for name, topic in reversed(self._topics.items()) if not topic.isEmpty)
        return succeed(list(islice(kept, count)))

    def clear(self, topic: str) -> Deferred[None]:
        """Drop history and last values of a topic."""
        found = self._topics.get(topic)
        if found is not None:
            with self._measured(found):
                found.clear()
        return succeed(None)

    def saveState(self) -> dict[str, Any]:
        """The members, and all topics."""
        return {**super().saveState(), "topics": saveTopics(self.kept())}

    def restoreState(self, state: dict[str, Any]) -> None:
        """Go on with them."""
        super().restoreState(state)
        self.restore(restoreTopics(state["topics"]))

    # -- being kept -----------------------------------------------------------------------------------------------

    def kept(self) -> Kept:
        """All topics, with their messages, last values and idempotency keys."""
        topics = list(self._topics.values())
        return Kept(
            [TopicState(each.name, each.epoch, each.position.offset, each.usedAt, each.first) for each in topics],
            [publication for each in topics for publication in each.history],
            [(key, publication) for each in topics for key, publication in each.lastValues],
            [(topic, once, position, at) for (topic, once), (at, position) in self._once.items()],
        )

    def restore(self, kept: Kept) -> None:
        """Begin with what was kept."""
        for state in kept.topics:
            self._topics[state.name] = Topic.restored(state.name, state.epoch, state.offset, state.used)
        for publication in kept.messages:
            self._topics[publication.topic].restore(publication)
        for key, publication in kept.last:
            self._topics[publication.topic].restoreLast(key, publication)
        self.size = sum(topic.size for topic in self._topics.values())
        self._lastSize = sum(topic.lastSize for topic in self._topics.values())
        for topic, once, position, at in kept.once:
            self._remember(topic, once, at, position)
