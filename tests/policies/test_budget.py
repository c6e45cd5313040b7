"""The ledger of memory: sums by kind that are exact, limits with shares, and who is ended first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from wsd.config import Policies
from wsd.policies.budget import Account, Budget, MemoryUse
from wsd.policies.meter import Meter
from wsd.policies.shedding import Progress, Shed

KIB = 1024
MOST = 1000 * KIB
KEEPS_UP = Progress(Shed.large)


class Holding:
    """A connection that gives back what it holds when it is relieved."""

    def __init__(self, ledger: Ledgers, size: int, progress: Progress = KEEPS_UP, address: str | None = None) -> None:
        self.countedAddress = address
        self.progress = progress
        self._ledger = ledger
        self.account = ledger.budget.open(self)
        self.account.put(MemoryUse.assembling, size)

    def relieve(self, size: int) -> None:
        self._ledger.ended.append(self)
        self._ledger.budget.close(self.account)


class Ledgers:
    """A budget and who was ended in it, in order."""

    def __init__(self, **policies: float) -> None:
        self.clock = Clock()
        given = {"memory_max": MOST, "memory_per_connection": 1.0, "memory_per_address": 1.0, **policies}
        self.budget = Budget(Policies(**given), self.clock)  # type: ignore[arg-type]
        self.ended: list[Holding] = []

    def hold(self, size: int, progress: Progress = KEEPS_UP, address: str | None = None) -> Holding:
        return Holding(self, size, progress, address)

    def turn(self) -> None:
        self.clock.advance(0)


@pytest.fixture
def ledger() -> Ledgers:
    return Ledgers()


class TestTheSum:
    def test_is_that_of_the_kinds(self, ledger: Ledgers) -> None:
        account = ledger.hold(0).account
        for use in MemoryUse:
            account.put(use, 1 << use)
        assert list(ledger.budget.byUse) == [1 << use for use in MemoryUse]
        assert account.size == ledger.budget.used == (1 << len(MemoryUse)) - 1

    def test_is_shown_by_kind(self, ledger: Ledgers) -> None:
        ledger.hold(7)
        Meter(ledger.budget, MemoryUse.canvases).put(5)
        levels = ledger.budget.levels()
        assert (levels.used, levels.most) == (12, MOST)
        assert {kind: size for kind, size in levels.kinds.items() if size} == {"assembling": 7, "canvases": 5}

    @given(
        st.lists(
            st.tuples(st.integers(0, 3), st.sampled_from(MemoryUse), st.integers(0, 100), st.booleans()), max_size=60
        )
    )
    def test_is_exact_after_any_changes(self, changes: list[tuple[int, MemoryUse, int, bool]]) -> None:
        ledger = Ledgers()
        accounts: dict[int, Account] = {}
        held: dict[tuple[int, MemoryUse], int] = {}
        for number, use, size, closes in changes:
            account = accounts.get(number) or accounts.setdefault(
                number, ledger.hold(0, address=str(number % 2)).account
            )
            if closes:
                ledger.budget.close(accounts.pop(number))
                held = {key: value for key, value in held.items() if key[0] != number}
            else:
                account.put(use, size)
                held[number, use] = size
        assert ledger.budget.used == sum(held.values())
        for use in MemoryUse:
            assert ledger.budget.byUse[use] == sum(size for (_, other), size in held.items() if other == use)

    def test_what_was_ever_taken_does_not_become_less(self, ledger: Ledgers) -> None:
        account = ledger.hold(10).account
        for size in (4, 7):
            account.put(MemoryUse.assembling, size)
        ledger.budget.close(account)
        assert (ledger.budget.used, ledger.budget.total) == (0, 13)

    def test_has_nothing_of_an_account_that_is_closed(self, ledger: Ledgers) -> None:
        account = ledger.hold(0).account
        ledger.budget.close(account)
        account.put(MemoryUse.sending, 10)
        ledger.budget.close(account)
        assert (ledger.budget.used, ledger.budget.total) == (0, 0)

    def test_is_divided_among_workers(self) -> None:
        assert Budget(Policies(memory_max=MOST), Clock(), 4).most == MOST // 4


class TestAboveTheLimit:
    def test_stalled_ones_go_first_then_the_slowest_then_the_largest(self, ledger: Ledgers) -> None:
        large = [ledger.hold(size * KIB) for size in (300, 200)]
        slow = [ledger.hold(100 * KIB, Progress(Shed.slow, rate)) for rate in (9000.0, 10.0)]
        stalled = ledger.hold(100 * KIB, Progress(Shed.stalled))
        order = []
        for _ in range(5):
            extra = Meter(ledger.budget, MemoryUse.rooms)
            extra.put(MOST + 1 - ledger.budget.used)
            ledger.turn()
            order.append(ledger.ended[-1])
            extra.put(0)
        assert order == [stalled, slow[1], slow[0], *large]
        assert dict(ledger.budget.shed) == {Shed.stalled: 1, Shed.slow: 2, Shed.large: 2}

    def test_no_more_than_necessary(self, ledger: Ledgers) -> None:
        holders = [ledger.hold(size * KIB) for size in (500, 300, 201)]
        ledger.turn()
        assert ledger.ended == holders[:1]

    def test_one_that_holds_little_is_not_ended_for_being_slow(self, ledger: Ledgers) -> None:
        small = ledger.hold(10 * KIB, Progress(Shed.stalled))
        large = ledger.hold(MOST)
        ledger.turn()
        assert ledger.ended == [large]
        assert small.account.size == 10 * KIB

    def test_one_line_says_how_many_and_why(self, ledger: Ledgers) -> None:
        with capturedLogs() as events:
            ledger.hold(MOST, Progress(Shed.stalled))
            ledger.hold(MOST)
            ledger.turn()
        (event,) = events
        assert (event["event"], event["used"], event["most"], event["count"]) == ("memory.relieved", 2 * MOST, MOST, 1)
        assert event["reasons"] == "1 stalled"

    def test_a_holder_that_can_free_nothing_is_asked_once(self, ledger: Ledgers) -> None:
        asked: list[int] = []
        Meter(ledger.budget, MemoryUse.blobs, asked.append).put(MOST + 1)
        for _ in range(3):
            ledger.turn()
        assert asked == [MOST + 1]
        assert ledger.budget.shed.total() == 0

    def test_what_is_held_for_many_is_freed_in_part(self, ledger: Ledgers) -> None:
        meter = Meter(ledger.budget, MemoryUse.histories, lambda size: meter.put(size // 2))
        meter.put(3 * MOST)
        ledger.turn()
        ledger.turn()
        assert ledger.budget.used == 3 * MOST // 4


class TestShares:
    def test_one_connection_above_its_own_is_ended(self) -> None:
        ledger = Ledgers(memory_per_connection=0.25)
        ledger.hold(250 * KIB)
        greedy = ledger.hold(250 * KIB + 1)
        ledger.turn()
        assert ledger.ended == [greedy]
        assert ledger.budget.shed == {Shed.connection: 1}

    def test_memory_for_many_is_not_one_connection(self) -> None:
        ledger = Ledgers(memory_per_connection=0.25)
        Meter(ledger.budget, MemoryUse.histories).put(900 * KIB)
        ledger.turn()
        assert ledger.budget.shed.total() == 0

    def test_the_worst_of_an_address_go(self) -> None:
        ledger = Ledgers(memory_per_address=0.5)
        others = [ledger.hold(450 * KIB, address="192.0.2.2"), ledger.hold(10)]
        small = ledger.hold(200 * KIB, address="192.0.2.1")
        large = ledger.hold(301 * KIB, address="192.0.2.1")
        ledger.turn()
        assert ledger.ended == [large]
        assert all(other.account.size for other in (*others, small))
        assert ledger.budget.shed == {Shed.address: 1}

    def test_clients_of_this_machine_have_no_address(self) -> None:
        ledger = Ledgers(memory_per_address=0.5)
        for _ in range(9):
            ledger.hold(100 * KIB)
        ledger.turn()
        assert ledger.ended == []


class TestAboveFourFifths:
    def test_new_ones_wait_until_there_is_room(self, ledger: Ledgers) -> None:
        full = ledger.hold(801 * KIB)
        with capturedLogs() as events:
            waiting = [ledger.budget.room() for _ in range(3)]
        assert [event["event"] for event in events] == ["memory.tight"]
        assert ledger.budget.waiting == 3
        full.account.put(MemoryUse.assembling, 800 * KIB)
        ledger.turn()
        assert all(each is not None and each.called for each in waiting)
        assert ledger.budget.room() is None

    def test_those_who_wait_are_first(self, ledger: Ledgers) -> None:
        full = ledger.hold(801 * KIB)
        first = ledger.budget.room()
        ledger.budget.close(full.account)
        assert ledger.budget.room() is not None
        assert first is not None
        assert not first.called
        ledger.turn()
        assert ledger.budget.waiting == 0

    def test_one_that_leaves_waits_no_more(self, ledger: Ledgers) -> None:
        ledger.hold(801 * KIB)
        waiting = ledger.budget.room()
        assert waiting is not None
        waiting.addErrback(lambda failure: failure.trap(CancelledError))
        waiting.cancel()
        assert ledger.budget.waiting == 0

    def test_a_reload_with_more_memory_opens_them(self, ledger: Ledgers) -> None:
        ledger.hold(900 * KIB)
        waiting = ledger.budget.room()
        ledger.budget.configure(Policies(memory_max=2 * MOST))
        ledger.turn()
        assert waiting is not None
        assert waiting.called
