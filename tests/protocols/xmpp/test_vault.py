"""The vault: what is written is kept in its order, and a store that fails loses nothing and stops nobody for good."""

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
from wsd.protocols.xmpp.store import StoreFault
from wsd.protocols.xmpp.vault import Vault


class Shelf:
    """A store in memory, which fails when it is told to."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str, str], str] = {}
        self.order: list[str] = []
        self.isFull = False
        self.isBroken = False
        self.closed = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        before = dict(self.records), list(self.order)
        try:
            yield
            if self.isBroken or (self.isFull and self.records != before[0]):
                raise StoreFault("no room", self.isFull, self.isFull)
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

    def close(self) -> None:
        self.closed += 1


class Kept:
    """A vault on such a store."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.clock = Clock()
        self.pool = PoolAtOnce(self.clock)
        thread = self.pool.share("xmpp", "/xmpp", threads=1)
        self.vault = Vault(thread, lambda: self.shelf, self.clock, "/kept")  # type: ignore[arg-type, return-value]

    def fill(self) -> None:
        """The store fails, and somebody has found out."""
        self.shelf.isFull = True
        self.vault.put("kind", "alice", "first", "value")


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def lines() -> Iterator[Sequence[LogEvent]]:
    with capturedLogs() as heard:
        yield heard


def broken() -> None:
    raise ZeroDivisionError


def result(deferred: Deferred[Any]) -> Any:
    found: list[Any] = []
    deferred.addBoth(found.append)
    assert found, "it is still waited for"
    return found[0].value if isinstance(found[0], Failure) else found[0]


def fault(kept: Kept) -> StoreFault | None:
    return kept.vault.fault


def wait(coroutine: Any) -> Any:
    return result(Deferred.fromCoroutine(coroutine))


class TestAStoreThatFails:
    def test_counts_nothing_as_written(self, kept: Kept) -> None:
        number = kept.vault.put("kind", "alice", "before", "value")
        assert kept.vault.written == number
        kept.fill()
        assert kept.vault.written == number
        assert str(kept.vault.fault) == "no room"

    def test_tells_who_waits_for_what_is_written(self, kept: Kept) -> None:
        since = kept.vault.asked
        kept.fill()
        assert isinstance(wait(kept.vault.kept(since)), StoreFault)
        with pytest.raises(StoreFault):
            kept.vault.check()

    def test_says_so_in_one_line(self, kept: Kept, lines: Sequence[LogEvent]) -> None:
        kept.fill()
        for _ in range(5):
            kept.vault.put("kind", "alice", "another", "value")
            kept.clock.advance(1)
        (line,) = [line for line in lines if line.get("event")]
        assert line["event"] == "xmpp.store"
        assert line["sentence"].startswith("/kept: ")

    def test_is_read_by_those_of_whom_nothing_waits(self, kept: Kept) -> None:
        kept.vault.put("kind", "bob", "key", "value")
        kept.fill()
        assert result(kept.vault.get("kind", "bob", "key")) == "value"
        assert isinstance(result(kept.vault.get("kind", "alice", "first")), StoreFault)

    def test_is_opened_anew_unless_it_is_only_full(self, kept: Kept) -> None:
        kept.fill()
        assert kept.shelf.closed == 0
        kept.shelf.isBroken, kept.shelf.isFull = True, False
        kept.clock.advance(1)
        assert kept.shelf.closed > 0

    def test_that_cannot_be_read_is_told_too(self, kept: Kept) -> None:
        kept.shelf.isBroken = True
        assert isinstance(result(kept.vault.get("kind", "bob", "key")), StoreFault)
        assert fault(kept) is not None
        kept.shelf.isBroken = False
        kept.clock.advance(1)
        assert fault(kept) is None


class TestWhenThereIsRoomAgain:
    def test_all_that_waited_is_written_in_its_order(self, kept: Kept) -> None:
        kept.fill()
        last = kept.vault.put("kind", "bob", "second", "value")
        told: list[int] = []
        kept.vault.when(last, lambda: told.append(last))
        kept.clock.advance(1)
        assert (kept.shelf.order, told) == ([], [])
        kept.shelf.isFull = False
        kept.clock.advance(1)
        assert [key for key in kept.shelf.order if key] == ["first", "second"]
        assert told == [last]
        assert kept.vault.written == kept.vault.asked

    def test_it_is_said_once_and_who_waits_is_told(self, kept: Kept, lines: Sequence[LogEvent]) -> None:
        told: list[bool] = []
        kept.vault.returned = lambda: told.append(True)
        kept.fill()
        kept.shelf.isFull = False
        kept.clock.advance(1)
        kept.clock.advance(10)
        assert fault(kept) is None
        assert told == [True]
        assert [line["event"] for line in lines if line.get("event")] == ["xmpp.store"] * 2

    def test_there_has_to_be_room_for_a_message(self, kept: Kept) -> None:
        """What has failed and was told is not tried again: without a trial the next would find out."""
        kept.shelf.isFull = True
        assert isinstance(
            result(kept.vault.read(lambda store: store.put("kind", "alice", "told", "value"))), StoreFault
        )
        kept.clock.advance(5)
        assert result(kept.vault.get("kind", "bob", "key")) is None
        assert fault(kept) is not None
        kept.shelf.isFull = False
        kept.clock.advance(1)
        assert fault(kept) is None
        assert not kept.shelf.records


class TestAWorkThatIsWrong:
    def test_is_lost_alone_and_told(self, kept: Kept, lines: Sequence[LogEvent]) -> None:
        since = kept.vault.asked
        kept.pool.slow = True
        kept.vault.put("kind", "alice", "one", "value")
        kept.vault.put("kind", "alice", "wrong", "value")
        kept.vault.put("kind", "alice", "two", "value")
        kept.pool.catchUp()
        assert kept.shelf.order == ["one", "two"]
        assert isinstance(wait(kept.vault.kept(since)), StoreFault)
        assert wait(kept.vault.kept(kept.vault.asked)) is None
        assert "this can never be written" in str(lines[-1]["log_failure"])


class TestWhoIsCalled:
    def test_may_raise_and_keeps_nobody_else_from_being_served(self, kept: Kept) -> None:
        told: list[int] = []
        kept.pool.slow = True
        number = kept.vault.put("kind", "alice", "key", "value")
        kept.vault.when(number, broken)
        kept.vault.when(number, lambda: told.append(number))
        kept.pool.catchUp()
        assert told == [number]
        assert result(kept.vault.get("kind", "alice", "key")) == "value"

    def test_is_told_when_the_thread_itself_fails(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(kept.vault, "_do", lambda batch: 1 // 0)
            assert isinstance(result(kept.vault.get("kind", "alice", "key")), ZeroDivisionError)
        assert result(kept.vault.get("kind", "alice", "key")) is None


class TestTheEnd:
    def test_says_how_much_is_lost(self, kept: Kept, lines: Sequence[LogEvent]) -> None:
        kept.fill()
        assert wait(kept.vault.stop()) is None
        assert lines[-1]["event"] == "xmpp.store"
        assert lines[-1]["count"] == 1
        assert not kept.clock.getDelayedCalls()

    def test_says_nothing_where_nothing_is_lost(self, kept: Kept, lines: Sequence[LogEvent]) -> None:
        kept.shelf.isBroken = True
        assert isinstance(result(kept.vault.get("kind", "alice", "key")), StoreFault)
        told = len(lines)
        assert wait(kept.vault.stop()) is None
        assert len(lines) == told
