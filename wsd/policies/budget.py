"""
The memory of all WebSockets together: what they have received and not handed over yet, and what waits to be sent.

Each connection has limits of its own, and many connections within their limits are more than a machine has. Past
`max_memory` those that hold the most are closed, until the others have room.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from wsd.config import Policies


class Part(IntEnum):
    """What a connection holds memory for."""

    received = 0
    """Of a message that is not whole yet, inflated, and what waits to be read."""
    handled = 1
    """Messages whose hook is not done with them."""
    deflated = 2
    """What is still being deflated, and what waits behind it."""
    unsent = 3
    """What waits in its transport."""
    collected = 4
    """What a protocol that takes messages as they come has made of one that is not whole."""


class Holder(Protocol):
    """A connection, as its account sees it."""

    def relieve(self, size: int) -> None:
        """Give up all of it, so many bytes: the connection ends."""


class Account:
    """What one connection holds; there is one only while it holds something."""

    __slots__ = ("_budget", "_parts", "holder", "size")

    def __init__(self, budget: Budget, holder: Holder) -> None:
        self._budget = budget
        self._parts = [0] * len(Part)
        self.holder = holder
        self.size = 0

    def put(self, part: Part, size: int) -> None:
        """So many bytes it is now."""
        more = size - self._parts[part]
        self._parts[part] = size
        self.size += more
        self._budget.changed(self, more)

    def add(self, part: Part, more: int) -> None:
        """So many bytes more than before, or fewer."""
        self.put(part, self._parts[part] + more)


class Budget:
    """All accounts."""

    log = Logger(namespace="wsd")

    def __init__(self, policies: Policies, clock: IReactorTime) -> None:
        self.configure(policies)
        self._clock = clock
        self._accounts: set[Account] = set()
        self._isRelieving = False
        self.used = 0
        """Bytes held now."""
        self.total = 0
        """Bytes ever held."""
        self.relieved = 0
        """Connections that were closed for the others."""

    def configure(self, policies: Policies) -> None:
        """Hold so much from now on."""
        self._most = policies.max_memory

    def open(self, holder: Holder) -> Account:
        """Of a connection that begins to hold something."""
        account = Account(self, holder)
        self._accounts.add(account)
        return account

    def changed(self, account: Account, more: int) -> None:
        """An account has changed by so many bytes; one that is closed already counts no more."""
        if account not in self._accounts:
            return
        self.used += more
        if more > 0:
            self.total += more
            if self.used > self._most and not self._isRelieving:
                # Not at once: whoever holds more is in the midst of reading or writing.
                self._isRelieving = True
                self._clock.callLater(0, self._relieve)

    def close(self, account: Account) -> None:
        """It holds nothing any more."""
        if account in self._accounts:
            self._accounts.remove(account)
            self.used -= account.size

    def _relieve(self) -> None:
        """Close those that hold the most, until the others have room."""
        self._isRelieving = False
        if self.used <= self._most:
            return
        used, count = self.used, 0
        for account in sorted(self._accounts, key=lambda account: account.size, reverse=True):
            self.close(account)
            account.holder.relieve(account.size)
            count += 1
            if self.used <= self._most:
                break
        self.relieved += count
        self.log.warn(
            "{used} bytes were held for WebSockets, over max_memory ({most}): closed {count} that held the most",
            event="memory.relieved",
            used=used,
            most=self._most,
            count=count,
        )
