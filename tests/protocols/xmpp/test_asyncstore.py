"""The AsyncStore: writes keep their order, and a store that fails loses none and blocks nobody for good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs
from twisted.python.failure import Failure

from tests.pool import PoolAtOnce
from wsd.policies.pool import PATIENCE
from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.store import StoreError


class MemoryStore:
    """A store in memory that fails on demand."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str, str], str] = {}
        self.order: list[str] = []
        self.isFull = False
        self.room = 1 << 30
        """Limit of the characters of all values."""
        self.isBroken = False
        self.closed = 0
        self.transactions = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        before = dict(self.records), list(self.order)
        self.transactions += 1
        try:
            yield
            isTooMuch = sum(map(len, self.records.values())) > self.room
            if self.isBroken or isTooMuch or (self.isFull and self.records != before[0]):
                raise StoreError("no room", self.isFull, self.isFull)
        except BaseException:
            self.records, self.order = before
            raise

    def get(self, kind: str, owner: str, key: str) -> str | None:
        return self.records.get((kind, owner, key))

    def put(self, kind: str, owner: str, key: str, value: str | None) -> None:
        if key == "wrong":
            raise ValueError("this can never be written")
        self.records.pop((kind, owner, key), None)
        if value is not None:
            self.records[kind, owner, key] = value
        self.order.append(key)

    def quarantine(self, kind: str, owner: str, key: str) -> None:
        self.put(kind, owner, key, None)

    def close(self) -> None:
        self.closed += 1


class Setup:
    """An AsyncStore on top of it."""

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.clock = Clock()
        self.pool = PoolAtOnce(self.clock)
        thread = self.pool.share("xmpp", "/xmpp", threads=1)
        self.store = AsyncStore(thread, lambda: self.memory, self.clock, "/kept")  # type: ignore[arg-type, return-value]

    def fill(self) -> None:
        """Make the store fail, and try a write."""
        self.memory.isFull = True
        self.store.put("kind", "alice", "first", "value")


@pytest.fixture
def setup() -> Setup:
    return Setup()


@pytest.fixture
def lines() -> Iterator[Sequence[LogEvent]]:
    with capturedLogs() as heard:
        yield heard


def broken() -> None:
    raise ZeroDivisionError


def result(deferred: Deferred[Any]) -> Any:
    found: list[Any] = []
    deferred.addBoth(found.append)
    assert found, "the Deferred has not fired"
    return found[0].value if isinstance(found[0], Failure) else found[0]


def fault(setup: Setup) -> StoreError | None:
    return setup.store.fault


def wait(coroutine: Any) -> Any:
    return result(Deferred.fromCoroutine(coroutine))


class TestWrites:
    def test_that_wait_share_a_transaction_of_two_thousand_at_most(self, setup: Setup) -> None:
        setup.pool.slow = True
        for number in range(2_002):
            setup.store.put("kind", "alice", f"{number}", "value")
        setup.pool.catchUp()
        assert setup.memory.order == [f"{number}" for number in range(2_002)]
        assert setup.memory.transactions == 3

    def test_that_are_lost_are_an_error_for_those_who_wait_for_them_and_for_nobody_later(self, setup: Setup) -> None:
        since = setup.store.lastNumber
        lost = setup.store.put("kind", "alice", "wrong", "value")
        assert lost == since + 1
        assert str(wait(setup.store.flush(since))) == "a write is lost"
        setup.store.put("kind", "alice", "right", "value")
        assert wait(setup.store.flush(lost)) is None


class TestAFailingStore:
    def test_counts_nothing_as_written(self, setup: Setup) -> None:
        number = setup.store.put("kind", "alice", "before", "value")
        assert setup.store.written == number
        setup.fill()
        assert setup.store.written == number
        assert str(setup.store.fault) == "no room"

    def test_is_an_error_for_callers_who_wait_for_their_writes(self, setup: Setup) -> None:
        since = setup.store.lastNumber
        setup.fill()
        assert isinstance(wait(setup.store.flush(since)), StoreError)
        with pytest.raises(StoreError):
            setup.store.check()

    def test_is_logged_in_one_line(self, setup: Setup, lines: Sequence[LogEvent]) -> None:
        setup.fill()
        for _ in range(5):
            setup.store.put("kind", "alice", "another", "value")
            setup.clock.advance(1)
        (line,) = [line for line in lines if line.get("event")]
        assert line["event"] == "xmpp.store"
        assert line["sentence"].startswith("/kept: ")

    def test_can_be_read_for_owners_without_waiting_writes(self, setup: Setup) -> None:
        setup.store.put("kind", "bob", "key", "value")
        setup.fill()
        assert result(setup.store.get("kind", "bob", "key")) == "value"
        assert isinstance(result(setup.store.get("kind", "alice", "first")), StoreError)

    def test_can_not_be_read_where_a_row_waits_for_its_quarantine(self, setup: Setup) -> None:
        """The owner of an operation on rows without one is their kind."""
        setup.store.put("secret", "", "decoy", "value")
        setup.fill()
        setup.store.quarantine("secret", "", "decoy")
        assert isinstance(result(setup.store.read(lambda store: None, owner="secret")), StoreError)

    def test_has_one_probe_however_often_it_is_tried(self, setup: Setup) -> None:
        setup.fill()
        waiting = setup.store.pending
        for _ in range(5):
            setup.clock.advance(1)
        assert setup.store.pending == waiting == 2

    def test_is_opened_again_unless_it_is_only_full(self, setup: Setup) -> None:
        setup.fill()
        assert setup.memory.closed == 0
        setup.memory.isBroken, setup.memory.isFull = True, False
        setup.clock.advance(1)
        assert setup.memory.closed > 0

    def test_is_noticed_when_it_is_read(self, setup: Setup) -> None:
        setup.memory.isBroken = True
        assert isinstance(result(setup.store.get("kind", "bob", "key")), StoreError)
        assert fault(setup) is not None
        setup.memory.isBroken = False
        setup.clock.advance(1)
        assert fault(setup) is None


class TestAStoreThatWorksAgain:
    def test_gets_the_waiting_writes_in_their_order(self, setup: Setup) -> None:
        setup.fill()
        last = setup.store.put("kind", "bob", "second", "value")
        told: list[int] = []
        setup.store.whenWritten(last, lambda: told.append(last))
        setup.clock.advance(1)
        assert (setup.memory.order, told) == ([], [])
        setup.memory.isFull = False
        setup.clock.advance(1)
        assert [key for key in setup.memory.order if key] == ["first", "second"]
        assert told == [last]
        assert setup.store.written == setup.store.lastNumber

    def test_gets_a_write_that_failed_before_those_that_came_meanwhile(self, setup: Setup) -> None:
        setup.memory.isFull = True
        setup.pool.slow = True
        setup.store.put("kind", "alice", "first", "value")
        setup.store.put("kind", "bob", "second", "value")
        setup.pool.catchUp()
        setup.memory.isFull = False
        setup.clock.advance(1)
        assert [key for key in setup.memory.order if key] == ["first", "second"]

    def test_needs_256_kib(self, setup: Setup) -> None:
        setup.fill()
        setup.memory.isFull = False
        setup.memory.room = 256 * 1024
        setup.clock.advance(1)
        assert fault(setup) is not None
        setup.memory.room += len("value")
        setup.clock.advance(1)
        assert fault(setup) is None

    def test_is_logged_once_and_calls_returned(self, setup: Setup, lines: Sequence[LogEvent]) -> None:
        told: list[bool] = []
        setup.store.recovered = lambda: told.append(True)
        setup.fill()
        setup.memory.isFull = False
        setup.clock.advance(1)
        setup.clock.advance(10)
        assert fault(setup) is None
        assert told == [True]
        assert [line["event"] for line in lines if line.get("event")] == ["xmpp.store"] * 2

    def test_must_have_room_for_a_large_message(self, setup: Setup) -> None:
        """A failed read is not retried. Without a probe, only the next caller would find out that the store works."""
        setup.memory.isFull = True
        assert isinstance(
            result(setup.store.read(lambda store: store.put("kind", "alice", "told", "value"))), StoreError
        )
        setup.clock.advance(5)
        assert result(setup.store.get("kind", "bob", "key")) is None
        assert fault(setup) is not None
        setup.memory.isFull = False
        setup.clock.advance(1)
        assert fault(setup) is None
        assert not setup.memory.records


class TestAWrongWrite:
    def test_is_lost_alone_and_is_an_error_for_its_caller(self, setup: Setup, lines: Sequence[LogEvent]) -> None:
        since = setup.store.lastNumber
        setup.pool.slow = True
        setup.store.put("kind", "alice", "one", "value")
        setup.store.put("kind", "alice", "wrong", "value")
        setup.store.put("kind", "alice", "two", "value")
        setup.pool.catchUp()
        assert setup.memory.order == ["one", "two"]
        assert isinstance(wait(setup.store.flush(since)), StoreError)
        assert wait(setup.store.flush(setup.store.lastNumber)) is None
        assert "this can never be written" in str(lines[-1]["log_failure"])


class TestACallback:
    def test_is_called_at_once_if_its_write_is_on_disk(self, setup: Setup) -> None:
        told: list[int] = []
        number = setup.store.put("kind", "alice", "key", "value")
        setup.store.whenWritten(number, lambda: told.append(number))
        assert told == [number]

    def test_that_raises_does_not_keep_others_from_being_called(self, setup: Setup) -> None:
        told: list[int] = []
        setup.pool.slow = True
        number = setup.store.put("kind", "alice", "key", "value")
        setup.store.whenWritten(number, broken)
        setup.store.whenWritten(number, lambda: told.append(number))
        setup.pool.catchUp()
        assert told == [number]
        assert result(setup.store.get("kind", "alice", "key")) == "value"

    def test_gets_the_error_of_the_thread_itself(self, setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(setup.store._worker, "runBatch", lambda batch: 1 // 0)
            assert isinstance(result(setup.store.get("kind", "alice", "key")), ZeroDivisionError)
        assert result(setup.store.get("kind", "alice", "key")) is None

    def test_is_called_when_its_own_write_is_on_disk_even_if_another_waits_for_a_later_one(self, setup: Setup) -> None:
        told: list[str] = []
        setup.pool.slow = True
        first = setup.store.put("kind", "alice", "first", "value")
        second = setup.store.put("kind", "alice", "second", "value")
        setup.store.whenWritten(second, lambda: told.append("second"))
        setup.store.whenWritten(first, lambda: told.append("first"))
        setup.pool.doDue()
        assert told == ["first"]
        setup.pool.doDue()
        assert told == ["first", "second"]

    def test_is_called_after_an_error_of_the_asyncstore_itself(
        self, setup: Setup, lines: Sequence[LogEvent], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(setup.store, "_noteFaults", lambda results: 1 // 0)
            setup.store.put("kind", "alice", "key", "value")
        assert result(setup.store.get("kind", "alice", "key")) == "value"
        assert "ZeroDivisionError" in str(lines[-1]["log_failure"])


class TestTheEnd:
    def test_comes_in_time_if_the_store_hangs_and_logs_how_many_writes_are_lost(
        self, setup: Setup, lines: Sequence[LogEvent]
    ) -> None:
        setup.pool.slow = True
        for key in ("one", "two", "three"):
            setup.store.put("kind", "alice", key, "value")
        reading = setup.store.get("kind", "bob", "key")
        stopping = Deferred.fromCoroutine(setup.store.stop())
        assert not stopping.called
        setup.clock.advance(PATIENCE)
        assert result(stopping) is None
        assert isinstance(result(reading), StoreError)
        events = [line["event"] for line in lines if line.get("event")]
        assert events == ["pool.left", "xmpp.store", "xmpp.store"]
        assert lines[-1]["count"] == 3
        setup.store.put("kind", "alice", "late", "value")
        assert isinstance(result(setup.store.get("kind", "bob", "key")), StoreError)
        assert not setup.clock.getDelayedCalls()

    def test_of_a_store_that_was_never_used_is_at_once(self, setup: Setup) -> None:
        assert wait(setup.store.stop()) is None
        assert setup.memory.closed == 0

    def test_closes_the_store_after_the_last_write(self, setup: Setup) -> None:
        setup.pool.slow = True
        setup.store.put("kind", "alice", "one", "value")
        stopping = Deferred.fromCoroutine(setup.store.stop())
        setup.store.put("kind", "alice", "two", "value")
        setup.pool.catchUp()
        assert result(stopping) is None
        assert (setup.memory.order, setup.memory.closed) == (["one", "two"], 1)

    def test_logs_how_many_writes_are_lost(self, setup: Setup, lines: Sequence[LogEvent]) -> None:
        setup.fill()
        assert wait(setup.store.stop()) is None
        assert lines[-1]["event"] == "xmpp.store"
        assert lines[-1]["count"] == 1
        assert not setup.clock.getDelayedCalls()

    def test_logs_nothing_if_none_is_lost(self, setup: Setup, lines: Sequence[LogEvent]) -> None:
        setup.memory.isBroken = True
        assert isinstance(result(setup.store.get("kind", "alice", "key")), StoreError)
        told = len(lines)
        assert wait(setup.store.stop()) is None
        assert len(lines) == told
