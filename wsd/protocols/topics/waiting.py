"""What waits in the outboxes of a route, as a part of `memory_max`: each item counts once, however many wait for it."""

from __future__ import annotations

from typing import Protocol

from wsd.policies.budget import Account, Budget, MemoryUse
from wsd.policies.shedding import Shed
from wsd.protocols.topics.publication import Item

_REFERENCE = 150
"""Bytes that an outbox takes for each item, beside the item (measured: CPython 3.11, 140)."""


class Relievable(Protocol):
    """An outbox."""

    def __len__(self) -> int:
        """The number of items that wait."""

    def relieve(self) -> None:
        """Drop everything, and end the connection."""


class WaitingItems:
    """The account of a route. It exists only while something waits."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._account: Account | None = None
        self._outboxes: dict[Relievable, None] = {}
        self._isRelieving = False
        self.size = 0
        """Bytes that wait."""

    def add(self, outbox: Relievable, item: Item) -> None:
        """An item waits in an outbox."""
        self._outboxes[outbox] = None
        item.waiters += 1
        self._change(_REFERENCE + (item.size if item.waiters == 1 else 0))

    def remove(self, outbox: Relievable, item: Item) -> None:
        """It waits there no more."""
        item.waiters -= 1
        if not len(outbox):
            self._outboxes.pop(outbox, None)
        self._change(-_REFERENCE - (0 if item.waiters else item.size))

    def _change(self, more: int) -> None:
        self.size += more
        if not self._isRelieving:
            self._note()

    def _note(self) -> None:
        if self._account is None and self.size:
            self._account = self._budget.openShared(self, Shed.slow)
        if self._account is not None:
            self._account.put(MemoryUse.outboxes, self.size)
            if not self.size:
                self._budget.close(self._account)
                self._account = None

    def relieve(self, size: int) -> None:
        """Called if all WebSockets use too much memory: end the slowest subscribers, until half of it is free."""
        self._isRelieving = True
        for outbox in sorted(self._outboxes, key=len, reverse=True):
            if self.size <= size // 2:
                break
            outbox.relieve()
        self._isRelieving = False
        self._note()
