"""A topic in memory: its position, its history, and its last values."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from wsd.protocols.topics.position import Position, newEpoch
from wsd.protocols.topics.publication import Publication, TopicMessage


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a topic is kept."""

    count: int
    """Publications in the history."""
    size: int
    """Bytes of the history."""
    age: float
    """Seconds for which a publication stays in the history."""
    keys: int
    """Last values."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a topic still has from a position on."""

    publications: list[Publication]
    position: Position
    """The place behind the last of them: the subscriber is here now."""
    isComplete: bool
    """Whether nothing is missing between the position asked for and the first of them."""


class Topic:
    """One topic. A publication that is in the history and a last value counts twice in its size."""

    __slots__ = (
        "_changedKeys",
        "_history",
        "_last",
        "_mortal",
        "_offset",
        "epoch",
        "historySize",
        "lastSize",
        "name",
        "usedAt",
    )

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.epoch = newEpoch()
        self.usedAt = now
        self.historySize = 0
        self.lastSize = 0
        self._offset = 0
        self._history: deque[Publication] = deque()
        self._last: dict[str, Publication] = {}
        self._mortal: dict[str, Publication] = {}
        """The last values that have a time to live, which alone are looked through at each publish."""
        self._changedKeys: set[str] = set()

    @property
    def position(self) -> Position:
        """The place behind the newest publication."""
        return Position(self.epoch, self._offset)

    @property
    def size(self) -> int:
        """Bytes of memory that it holds."""
        return self.historySize + self.lastSize

    @property
    def isEmpty(self) -> bool:
        """Whether it keeps no publication."""
        return not self._history and not self._last

    @property
    def keyCount(self) -> int:
        """The number of last values."""
        return len(self._last)

    def lastSizeOf(self, key: str) -> int:
        """Bytes of the last value of a key; 0 if there is none."""
        found = self._last.get(key)
        return 0 if found is None else found.size

    def publish(self, message: TopicMessage, now: float, keep: Retention) -> Publication:
        """Give a message its place, and keep it as far as `keep` allows."""
        self._offset += 1
        self.usedAt = now
        publication = Publication(self.name, self.position, message, now)
        if keep.count and publication.size <= keep.size:
            self._history.append(publication)
            self.historySize += publication.size
        else:
            # A history without this one would have a hole.
            self.clearHistory()
        if message.key is not None:
            self._setLast(message.key, None if message.isRemoval else publication)
        self.trim(now, keep)
        return publication

    def _setLast(self, key: str, publication: Publication | None) -> None:
        self._changedKeys.add(key)
        before = self._last.pop(key, None)
        self._mortal.pop(key, None)
        if before is not None:
            self.lastSize -= before.size
        if publication is not None:
            self.restoreLast(key, publication)

    def trim(self, now: float, keep: Retention) -> None:
        """Drop from the history what is too much or too old, the oldest first, and the last values that are stale."""
        while self._isTooLong(now, keep):
            self.dropOldest()
        for key in [key for key, publication in self._mortal.items() if publication.isStale(now)]:
            self._setLast(key, None)

    def isToTrim(self, now: float, keep: Retention) -> bool:
        """Whether `trim` would drop something."""
        return self._isTooLong(now, keep) or any(publication.isStale(now) for publication in self._mortal.values())

    def _isTooLong(self, now: float, keep: Retention) -> bool:
        history = self._history
        return bool(history) and (
            len(history) > keep.count or self.historySize > keep.size or now - history[0].at >= keep.age
        )

    def dropOldest(self) -> int:
        """Drop the oldest publication of the history. Returns the bytes that are free now."""
        size = self._history.popleft().size
        self.historySize -= size
        return size

    def clearHistory(self) -> None:
        """Drop the whole history; positions go on."""
        self._history.clear()
        self.historySize = 0

    def clear(self) -> None:
        """Drop history and last values; positions go on."""
        self.clearHistory()
        for key in list(self._last):
            self._setLast(key, None)

    # -- reading --------------------------------------------------------------------------------------------------

    def newest(self, count: int, now: float) -> Recovered:
        """The newest publications of the history, at most `count`, in their order."""
        fresh = [publication for publication in self._tail(count) if not publication.isStale(now)]
        return Recovered(fresh, self.position, isComplete=True)

    def _tail(self, count: int) -> list[Publication]:
        start = max(0, len(self._history) - count)
        return [publication for number, publication in enumerate(self._history) if number >= start]

    def since(self, position: Position, now: float) -> Recovered:
        """Everything behind a position, as far as it is kept."""
        if position.epoch != self.epoch or position.offset > self._offset:
            return Recovered(self.newest(len(self._history), now).publications, self.position, isComplete=False)
        missed = self._offset - position.offset
        found = self.newest(missed, now).publications
        return Recovered(found, self.position, isComplete=missed <= len(self._history))

    def last(self, now: float) -> Iterator[Publication]:
        """The last value of each key, the one that was set longest ago first."""
        return (publication for publication in self._last.values() if not publication.isStale(now))

    # -- being stored ---------------------------------------------------------------------------------------------

    @classmethod
    def restored(cls, name: str, epoch: str, offset: int, usedAt: float) -> Topic:
        """A topic as it was when it was stored, without its publications."""
        topic = cls(name, usedAt)
        topic.epoch = epoch
        topic._offset = offset
        return topic

    def restore(self, publication: Publication) -> None:
        """The next publication of the history."""
        self._history.append(publication)
        self.historySize += publication.size

    def restoreLast(self, key: str, publication: Publication) -> None:
        """A last value."""
        self._last[key] = publication
        if publication.message.ttl is not None:
            self._mortal[key] = publication
        self.lastSize += publication.size

    @property
    def first(self) -> int:
        """The offset of the oldest publication of the history; the one behind the newest if it has none."""
        return self._history[0].position.offset if self._history else self._offset + 1

    @property
    def history(self) -> Iterator[Publication]:
        """The publications of the history, the oldest first."""
        return iter(self._history)

    @property
    def lastValues(self) -> Iterator[tuple[str, Publication]]:
        """The last values with their keys, the one that was set longest ago first."""
        return iter(self._last.items())

    def takeChangedKeys(self) -> set[str]:
        """The keys whose last values have changed since the last call."""
        changed, self._changedKeys = self._changedKeys, set()
        return changed

    def lastOf(self, key: str) -> Publication | None:
        """The last value of a key."""
        return self._last.get(key)
