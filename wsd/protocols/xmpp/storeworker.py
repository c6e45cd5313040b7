"""StoreWorker: the part of an AsyncStore that runs on its thread: it opens the store, and runs the operations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from wsd.protocols.xmpp.store import RecordStore, StoreError


@dataclass(slots=True)
class StoreOperation:
    """A read or a write that waits for its turn."""

    number: int
    owner: str
    """The user or room concerned. Its data is not read while an earlier write for it waits."""
    work: Callable[[RecordStore], Any]
    done: Deferred[Any] | None
    """Fires with the result. An operation without it is a write, which is retried until it succeeds."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The result of a write that failed and is to be retried."""

    error: StoreError


class StoreWorker:
    """
    Runs operations on a store, which it opens when needed. It is never used by two threads at a time.

    The result of an operation is what its work returns, a Failure, or RetryLater.
    """

    def __init__(self, openStore: Callable[[], RecordStore]) -> None:
        self._openStore = openStore
        self._store: RecordStore | None = None

    def runBatch(self, batch: Sequence[StoreOperation]) -> list[Any]:
        """Run all operations in one transaction, or each in its own if one of them fails. Returns their results."""
        try:
            return self._runTogether(batch)
        except Exception:
            return self.runEach(batch)

    def _runTogether(self, batch: Sequence[StoreOperation]) -> list[Any]:
        try:
            if self._store is None:
                self._store = self._openStore()
            with self._store.transaction():
                return [operation.work(self._store) for operation in batch]
        except StoreError as error:
            if not error.mayStayOpen:
                # The file is opened again, so it does not matter if it cannot be closed.
                with suppress(Exception):
                    self.close()
            raise

    def runEach(
        self, batch: Sequence[StoreOperation], fault: StoreError | None = None, owners: Collection[str] = ()
    ) -> list[Any]:
        """
        Run each operation in a transaction of its own. Returns their results.

        After a `fault`, which may arise in this batch, no write is tried, and no read for one of the `owners`: no write
        overtakes an earlier one, and no read misses a waiting write.
        """
        results: list[Any] = []
        owners = set(owners)
        for operation in batch:
            try:
                if fault is not None and (operation.done is None or operation.owner in owners):
                    raise fault.copy()
                results += self._runTogether([operation])
            except StoreError as error:
                if operation.done is None:
                    fault = fault or error
                    owners.add(operation.owner)
                    results.append(RetryLater(error))
                else:
                    results.append(Failure())
            except Exception:
                results.append(Failure())
        return results

    def close(self) -> None:
        """Close the store, until it is needed again."""
        store, self._store = self._store, None
        if store is not None:
            store.close()
