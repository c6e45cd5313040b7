"""
The memory of all WebSockets together: received data that is not handled yet, and data that is not sent yet.

Many connections can exhaust a machine though each is within its own limits. Above `max_memory`, the connections that
use the most are closed.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from wsd.config import Policies


class MemoryUse(IntEnum):
    """What a connection uses memory for."""

    received = 0
    """An incomplete message, inflated, and bytes that were received while reading is held."""
    handled = 1
    """Messages that a hook is still handling."""
    deflated = 2
    """A message being deflated in steps, and everything queued behind it."""
    unsent = 3
    """Bytes queued in the transport."""
    collected = 4
    """The part that a protocol keeps of an incomplete message that it reads in pieces."""
    waiting = 5
    """Messages of topics that wait for slow subscribers, by route."""


class Holder(Protocol):
    """The connection that an account belongs to, or several that share what they hold."""

    def relieve(self, size: int) -> None:
        """End the connection, or the largest of several, to free the `size` bytes that it uses."""


class Account:
    """The memory of one connection, or of several that share it. It exists only while the connection uses any."""

    __slots__ = ("_budget", "_parts", "holder", "size")

    def __init__(self, budget: Budget, holder: Holder) -> None:
        self._budget = budget
        self._parts = [0] * len(MemoryUse)
        self.holder = holder
        self.size = 0

    def put(self, use: MemoryUse, size: int) -> None:
        """Set the bytes of one use."""
        more = size - self._parts[use]
        self._parts[use] = size
        self.size += more
        self._budget.changed(self, more)

    def add(self, use: MemoryUse, more: int) -> None:
        """Add to the bytes of one use, or subtract from them."""
        self.put(use, self._parts[use] + more)


class Budget:
    """All accounts, and their common limit."""

    log = Logger(namespace="wsd")

    def __init__(self, policies: Policies, clock: IReactorTime) -> None:
        self.configure(policies)
        self._clock = clock
        self._accounts: set[Account] = set()
        self._isRelieving = False
        self.used = 0
        """Bytes in use."""
        self.total = 0
        """Bytes taken since the start."""
        self.relieved = 0
        """Connections that were ended to free memory."""

    def configure(self, policies: Policies) -> None:
        """Take the limit from these policies."""
        self._most = policies.max_memory

    def open(self, holder: Holder) -> Account:
        """Returns a new account for a connection that begins to use memory."""
        account = Account(self, holder)
        self._accounts.add(account)
        return account

    def changed(self, account: Account, more: int) -> None:
        """Called when an account has changed by `more` bytes. A closed account is ignored."""
        if account not in self._accounts:
            return
        self.used += more
        if more > 0:
            self.total += more
            if self.used > self._most and not self._isRelieving:
                # Not now, since a connection is being read or written.
                self._isRelieving = True
                self._clock.callLater(0, self._relieve)

    def close(self, account: Account) -> None:
        """Remove an account and its bytes."""
        if account in self._accounts:
            self._accounts.remove(account)
            self.used -= account.size

    def _relieve(self) -> None:
        """End the connections that use the most memory, until the others are within the limit."""
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
            "WebSockets held {used} bytes, more than max_memory ({most}): closed the {count} that held the most",
            event="memory.relieved",
            used=used,
            most=self._most,
            count=count,
        )
