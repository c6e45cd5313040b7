"""The StoreWorker: transactions, what follows an error, and when the store is opened again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tests.protocols.xmpp.test_asyncstore import MemoryStore
from wsd.protocols.xmpp.store import RecordStore, StoreError
from wsd.protocols.xmpp.storeworker import RetryLater, StoreOperation, StoreWorker


class Opened:
    """A worker, and the stores that it has opened."""

    def __init__(self) -> None:
        self.stores: list[MemoryStore] = []
        self.worker = StoreWorker(self._open)

    def _open(self) -> Any:
        self.stores.append(MemoryStore())
        return self.stores[-1]


@pytest.fixture
def opened() -> Opened:
    return Opened()


def write(key: str, owner: str = "alice") -> StoreOperation:
    return StoreOperation(0, owner, lambda store: store.put("kind", owner, key, "value"), None)


def read(key: str, owner: str = "alice") -> StoreOperation:
    return StoreOperation(0, owner, lambda store: store.get("kind", owner, key), Deferred())


def raising(error: Exception) -> Callable[[RecordStore], None]:
    def work(store: RecordStore) -> None:
        raise error

    return work


def failingWrite(owner: str = "alice", mayStayOpen: bool = True) -> StoreOperation:
    return StoreOperation(0, owner, raising(StoreError("no room", True, mayStayOpen)), None)


def shown(results: list[Any]) -> list[Any]:
    """Results without their tracebacks."""
    return [
        f"retry: {each.error}"
        if isinstance(each, RetryLater)
        else f"{type(each.value).__name__}: {each.value}"
        if isinstance(each, Failure)
        else each
        for each in results
    ]


class TestABatch:
    def test_is_one_transaction(self, opened: Opened) -> None:
        assert opened.worker.runBatch([write("one"), read("one"), write("two")]) == [None, "value", None]
        assert [store.transactions for store in opened.stores] == [1]

    def test_with_a_wrong_operation_is_done_one_by_one(self, opened: Opened) -> None:
        wrong = StoreOperation(0, "alice", raising(ValueError("wrong")), None)
        results = opened.worker.runBatch([write("one"), wrong, write("two")])
        assert shown(results) == [None, "ValueError: wrong", None]
        assert opened.stores[0].order == ["one", "two"]

    def test_whose_write_fails_keeps_the_order_of_the_writes(self, opened: Opened) -> None:
        results = opened.worker.runBatch([write("one"), failingWrite(), write("two"), write("three", "bob")])
        assert shown(results) == [None, *3 * ["retry: no room"]]
        assert opened.stores[0].order == ["one"]

    def test_whose_write_fails_reads_nothing_older_than_it(self, opened: Opened) -> None:
        results = opened.worker.runBatch([read("a"), failingWrite(), read("a"), read("a", "bob")])
        assert shown(results) == [None, "retry: no room", "StoreError: no room", None]

    def test_whose_read_fails_goes_on_with_the_writes(self, opened: Opened) -> None:
        failing = StoreOperation(0, "alice", raising(StoreError("unreadable", mayStayOpen=True)), Deferred())
        assert shown(opened.worker.runBatch([failing, write("one")])) == ["StoreError: unreadable", None]

    def test_after_a_fault_tries_no_writes_and_no_reads_of_these_owners(self, opened: Opened) -> None:
        batch = [write("one"), read("a"), read("a", "bob"), read("a", "carol")]
        results = opened.worker.runEach(batch, StoreError("no room"), {"bob"})
        assert shown(results) == ["retry: no room", "StoreError: no room", "StoreError: no room", None]


class TestTheStore:
    def test_is_opened_when_it_is_needed_and_stays_open(self, opened: Opened) -> None:
        assert not opened.stores
        for _ in range(2):
            opened.worker.runBatch([read("a")])
        assert len(opened.stores) == 1

    @pytest.mark.parametrize(("mayStayOpen", "times"), [(True, 1), (False, 3)])
    def test_is_opened_again_after_an_error_unless_it_may_stay_open(
        self, opened: Opened, mayStayOpen: bool, times: int
    ) -> None:
        opened.worker.runBatch([failingWrite(mayStayOpen=mayStayOpen)])
        opened.worker.runBatch([read("a")])
        assert len(opened.stores) == times
        assert [store.closed for store in opened.stores] == [*[1] * (times - 1), 0]

    def test_is_opened_again_even_if_it_could_not_be_closed(self, opened: Opened) -> None:
        opened.worker.runBatch([read("a")])

        def fail() -> None:
            raise OSError("busy")

        opened.stores[0].close = fail  # type: ignore[method-assign]
        opened.worker.runBatch([failingWrite(mayStayOpen=False)])
        assert opened.worker.runBatch([write("one"), read("one")]) == [None, "value"]

    def test_is_closed_once(self, opened: Opened) -> None:
        opened.worker.close()
        opened.worker.runBatch([read("a")])
        opened.worker.close()
        opened.worker.close()
        assert [store.closed for store in opened.stores] == [1]
