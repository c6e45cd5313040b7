"""A trie of filters: finds the subscribers of a name. Its cost grows with levels and matches, not with filters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from wsd.protocols.topics.names import ONE, RESERVED, REST

_S = TypeVar("_S")


class _Node(Generic[_S]):
    """One level of the filters that share the levels above it."""

    __slots__ = ("below", "here", "rest")

    def __init__(self) -> None:
        self.below: dict[str, _Node[_S]] = {}
        self.here: dict[_S, None] = {}
        """The subscribers whose filter ends at this level, in the order in which they came."""
        self.rest: dict[_S, None] = {}
        """The subscribers whose filter ends with # below this level."""

    @property
    def isEmpty(self) -> bool:
        return not (self.below or self.here or self.rest)


class Trie(Generic[_S]):
    """Filters and their subscribers. Levels are those of `names.checkFilter` and `names.checkName`."""

    def __init__(self) -> None:
        self._root: _Node[_S] = _Node()
        self._count = 0

    def __len__(self) -> int:
        """The number of subscriptions."""
        return self._count

    @property
    def isEmpty(self) -> bool:
        """Whether no subscription, and no memory for one, is left."""
        return self._root.isEmpty

    def add(self, levels: tuple[str, ...], subscriber: _S) -> bool:
        """Subscribe to a filter. Returns False if this subscriber had done so before."""
        node = self._root
        isOpenEnded = levels[-1] == REST
        for level in levels[:-1] if isOpenEnded else levels:
            below = node.below.get(level)
            if below is None:
                below = node.below[level] = _Node()
            node = below
        held = node.rest if isOpenEnded else node.here
        if subscriber in held:
            return False
        held[subscriber] = None
        self._count += 1
        return True

    def remove(self, levels: tuple[str, ...], subscriber: _S) -> bool:
        """Take back a subscription. Returns False if there was none."""
        isOpenEnded = levels[-1] == REST
        path = [self._root]
        above = levels[:-1] if isOpenEnded else levels
        for level in above:
            below = path[-1].below.get(level)
            if below is None:
                return False
            path.append(below)
        held = path[-1].rest if isOpenEnded else path[-1].here
        if subscriber not in held:
            return False
        del held[subscriber]
        self._count -= 1
        for level in reversed(above):
            if not path.pop().isEmpty:
                break
            del path[-1].below[level]
        return True

    def match(self, name: tuple[str, ...]) -> list[_S]:
        """The subscribers of all filters that match this name, each once."""
        found = list(self._found(name))
        if not found:
            return []
        if len(found) == 1:
            return list(found[0])
        return list(dict.fromkeys(subscriber for held in found for subscriber in held))

    def _found(self, name: tuple[str, ...]) -> Iterator[dict[_S, None]]:
        nodes = [self._root]
        for number, level in enumerate(name):
            mayBeWild = number > 0 or not level.startswith(RESERVED)
            below = []
            for node in nodes:
                if mayBeWild and node.rest:
                    yield node.rest
                if (exact := node.below.get(level)) is not None:
                    below.append(exact)
                if mayBeWild and (wild := node.below.get(ONE)) is not None:
                    below.append(wild)
            nodes = below
        for node in nodes:
            if node.here:
                yield node.here
            if node.rest:
                yield node.rest
