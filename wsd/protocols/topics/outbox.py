"""The outbox of a subscriber: publications wait here until its connection has room, within bounds."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from wsd.metrics import RouteCounters
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import Item
from wsd.protocols.topics.waiting import WaitingItems


class Slow(StrEnum):
    """What happens to a subscriber for whom too much waits."""

    close = "close"
    """Its connection is closed; the position in the reason resumes it."""
    dropOldest = "drop-oldest"
    """The oldest publications are dropped, and it is told of the gap where its protocol can tell."""
    latest = "latest"
    """Of what waits only the newest of each key is kept; without a key, the newest of each topic."""


@dataclass(frozen=True, slots=True)
class OutboxBounds:
    """How much may wait for one subscriber, beside what its connection has taken."""

    slow: Slow
    count: int
    """Publications and notices."""
    size: int
    """Bytes."""


class OutboxReceiver(Protocol):
    """The connection behind an outbox."""

    @property
    def isFull(self) -> bool:
        """Whether the connection has no room."""

    def send(self, encoded: Any, item: Item) -> None:
        """Send an item, as `encoded`."""

    def blocked(self) -> None:
        """Items wait from now on."""

    def cleared(self) -> None:
        """Items are sent at once from now on: nothing waits, and there is room."""

    def tooSlow(self, oldest: Item) -> None:
        """Too much waits, from this item on: close the connection."""

    def skipped(self, item: Item) -> None:
        """This item waited, and is dropped, since too much waits."""

    def relieve(self) -> None:
        """The daemon has no memory left: close the connection."""


@dataclass(frozen=True, slots=True)
class Outboxes:
    """The outboxes of a route."""

    bounds: OutboxBounds
    items: WaitingItems
    counters: RouteCounters

    def open(self, receiver: OutboxReceiver, encode: Callable[[Any], Any]) -> Outbox:
        """An outbox for one more subscriber."""
        return Outbox(receiver, encode, self.bounds, self.items, self.counters)


class Outbox:
    """Items in order. All subscribers share one copy of what waits, so that each takes a reference only."""

    __slots__ = (
        "_bounds",
        "_counters",
        "_encode",
        "_isClear",
        "_isHeld",
        "_isOver",
        "_items",
        "_number",
        "_receiver",
        "_replay",
        "_size",
        "_waiting",
    )

    def __init__(
        self,
        receiver: OutboxReceiver,
        encode: Callable[[Any], Any],
        bounds: OutboxBounds,
        items: WaitingItems,
        counters: RouteCounters,
    ) -> None:
        self._receiver = receiver
        self._encode = encode
        self._bounds = bounds
        self._items = items
        self._counters = counters
        self._replay: deque[Item] = deque()
        """What the subscriber asked for at first. It is as long as a history may be, and does not make anybody slow."""
        self._waiting: OrderedDict[Hashable, Item] = OrderedDict()
        self._number = 0
        self._size = 0
        self._isHeld = False
        self._isClear = True
        self._isOver = False

    def __len__(self) -> int:
        return len(self._replay) + len(self._waiting)

    def put(self, item: Item) -> None:
        """Send an item, or let it wait until there is room."""
        if self._isOver:
            return
        if self._isClear and not self._receiver.isFull:
            self._receiver.send(item.encoded(self._encode), item)
            return
        self._block()
        self._keep(item)
        bounds = self._bounds
        while len(self._waiting) > bounds.count or self._size > bounds.size:
            if bounds.slow is Slow.close:
                oldest = self._replay[0] if self._replay else next(iter(self._waiting.values()))
                self.end()
                self._receiver.tooSlow(oldest)
                return
            self._counters.skipped += 1
            self._receiver.skipped(self._pop())

    def _keep(self, item: Item) -> None:
        key: Hashable = self._number
        self._number += 1
        if self._bounds.slow is Slow.latest:
            key = item.conflationKey
            before = self._waiting.pop(key, None)
            if before is not None:
                self._left(before)
                self._counters.skipped += 1
        self._waiting[key] = item
        self._size += item.size
        self._items.add(self, item)

    def _pop(self) -> Item:
        _, item = self._waiting.popitem(last=False)
        self._left(item)
        return item

    def _left(self, item: Item) -> None:
        self._size -= item.size
        self._items.remove(self, item)

    def hold(self) -> None:
        """Let everything wait until `release`."""
        self._isHeld = True
        self._block()

    def full(self) -> None:
        """The connection has no room any more."""
        self._block()

    def _block(self) -> None:
        if self._isClear:
            self._isClear = False
            self._receiver.blocked()

    def release(self, replay: Iterable[Item] = (), behind: Position | None = None) -> None:
        """Go on: `replay` comes before what waits, without what it has or what is up to the position `behind`."""
        if self._isOver:
            return
        found = list(replay)
        for item in found:
            self._replay.append(item)
            self._items.add(self, item)
        if self._waiting and (found or behind is not None):
            self._dropKnown({(item.topic, item.position) for item in found}, behind)
        self._isHeld = False
        self.drained()

    def _dropKnown(self, known: set[tuple[str, Position | None]], behind: Position | None) -> None:
        for key, item in list(self._waiting.items()):
            position = item.position
            if position is None:
                continue
            isBefore = behind is not None and position.epoch == behind.epoch and position.offset <= behind.offset
            if isBefore or (item.topic, position) in known:
                del self._waiting[key]
                self._left(item)

    def forget(self, isUnwanted: Callable[[Item], bool]) -> None:
        """Drop what waits and is not wanted any more."""
        wanted: deque[Item] = deque()
        while self._replay:
            item = self._popReplayed()
            if not isUnwanted(item):
                wanted.append(item)
        for item in wanted:
            self._items.add(self, item)
        self._replay = wanted
        for key, item in list(self._waiting.items()):
            if isUnwanted(item):
                del self._waiting[key]
                self._left(item)
        self.drained()

    def drained(self) -> None:
        """The connection has room: send what waits."""
        while len(self) and not self._isHeld and not self._receiver.isFull:
            item = self._popReplayed() if self._replay else self._pop()
            self._receiver.send(item.encoded(self._encode), item)
        if not (self._isClear or len(self) or self._isHeld or self._receiver.isFull):
            self._isClear = True
            self._receiver.cleared()

    def _popReplayed(self) -> Item:
        item = self._replay.popleft()
        self._items.remove(self, item)
        return item

    def end(self) -> None:
        """Drop everything, and take no more."""
        self._isOver = True
        while self._replay:
            self._popReplayed()
        while self._waiting:
            self._pop()

    def relieve(self) -> None:
        """The daemon has no memory left: drop everything, and end the connection."""
        self.end()
        self._receiver.relieve()
