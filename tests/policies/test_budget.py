"""An account of memory: the sum of its uses, each of which is set separately."""

from __future__ import annotations

from twisted.internet.task import Clock

from wsd.config import Policies
from wsd.policies.budget import Account, Budget, MemoryUse


class Nobody:
    """A connection that is never relieved."""

    def relieve(self, size: int) -> None:
        raise AssertionError("there is memory enough")


def opened() -> tuple[Budget, Account]:
    budget = Budget(Policies(), Clock())
    return budget, budget.open(Nobody())


def test_its_parts_count_together() -> None:
    budget, account = opened()
    for part in MemoryUse:
        account.put(part, 10 ** int(part))
    assert account.size == budget.used == 111111


def test_a_part_is_set_without_the_others() -> None:
    budget, account = opened()
    for part in MemoryUse:
        account.put(part, 1)
    account.put(MemoryUse.handled, 0)
    account.add(MemoryUse.deflated, 5)
    assert account.size == budget.used == 10


def test_what_was_ever_held_does_not_become_less() -> None:
    budget, account = opened()
    account.put(MemoryUse.unsent, 10)
    account.put(MemoryUse.unsent, 4)
    account.put(MemoryUse.unsent, 7)
    budget.close(account)
    assert (budget.used, budget.total) == (0, 13)


def test_of_an_account_that_is_closed_nothing_counts() -> None:
    budget, account = opened()
    budget.close(account)
    account.put(MemoryUse.unsent, 10)
    budget.close(account)
    assert (budget.used, budget.total) == (0, 0)
