"""The memory of one kind that is held for many connections, as one account of the budget."""

from __future__ import annotations

from collections.abc import Callable

from wsd.policies.budget import Account, Budget, MemoryUse


def _keep(size: int) -> None:
    """Free nothing: what is held goes by itself in a moment, or has a limit of its own."""


class Meter:
    """Puts one number into the budget. `relieve` is called with the bytes in use when memory is short."""

    def __init__(self, budget: Budget, use: MemoryUse, relieve: Callable[[int], None] = _keep) -> None:
        self._budget = budget
        self._use = use
        self._account: Account | None = None
        self.relieve = relieve
        """Frees memory, and reports what is left by `put`."""

    def put(self, size: int) -> None:
        """Set the bytes that are held. There is an account only while there are any."""
        account = self._account
        if account is None:
            if not size:
                return
            account = self._account = self._budget.openShared(self)
        account.put(self._use, size)
        if not size:
            self._budget.close(account)
            self._account = None
