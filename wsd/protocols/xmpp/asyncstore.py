"""AsyncStore: runs a store on a thread, in order, with many writes in a transaction; no write is lost if it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.config.values import KIB
from wsd.policies.pool import PoolShare
from wsd.protocols.xmpp.store import RecordStore, StoreError
from wsd.protocols.xmpp.storeworker import RetryLater, StoreOperation, StoreWorker

_T = TypeVar("_T")

_BATCH = 2_000
"""Limit of the operations in one transaction."""
_RETRY = 1.0
"""Seconds between two attempts to write again."""
_PROBE, _PROBE_SIZE = "probe", 256 * KIB
"""The kind and the size of the record that is written to find out whether there is space again."""


class AsyncStore:
    """
    Runs the operations of a store off the reactor's thread, one at a time: its share of the pool has one thread.

    Operations run in the order of the calls, so a read finds all earlier writes. Each write has a number, and is on
    disk when `written` has reached it.

    When the store cannot be written, writes wait in order and are retried every second. Meanwhile `fault` is set:
    operations that would have to wait fail with it, and other reads still work.
    """

    log = Logger(namespace="wsd")

    def __init__(self, thread: PoolShare, openStore: Callable[[], RecordStore], clock: Any, path: str = "") -> None:
        self.written = 0
        """All writes up to this number are on disk."""
        self.lastNumber = 0
        """The number of the last operation."""
        self.fault: StoreError | None = None
        """Why writes wait, None if they do not."""
        self.recovered: Callable[[], None] = lambda: None
        """Called when the store can be written again."""
        self._worker = StoreWorker(openStore)
        """Used on the thread alone."""
        self._thread = thread
        self._path = path
        self._clock = clock
        self._queue: list[StoreOperation] = []
        self._isBusy = False
        """Whether a batch is on the thread."""
        self._callbacks: list[tuple[int, int, Callable[[], None]]] = []
        """A heap of what `whenWritten` calls: the number of the write, the order of the call, and the callback."""
        self._ordinals = count()
        self._retrying: IDelayedCall | None = None
        self._lost = 0
        """The number of the last write that failed for good."""
        self._hasStopped = False

    async def stop(self) -> None:
        """Run the pending operations until they are done or the pool's patience ends, then stop."""
        if not self.lastNumber:
            self._thread.stop()
            return
        self._submit(self._worker.runBatch, self._queue, [])
        flushed = self.read(lambda store: None)
        stopped = self._thread.stop()
        with suppress(StoreError):
            # A failure leaves its writes in the queue, and they are counted below.
            await flushed
        lost = sum(operation.done is None and operation.owner != _PROBE for operation in self._queue)
        if self.fault is not None and lost:
            self.log.critical(
                "{count} writes to the store of xmpp are lost: {sentence}",
                event="xmpp.store",
                count=lost,
                sentence=self._sentence(self.fault),
            )
        with suppress(CancelledError):
            # A thread that hangs is abandoned, with the store open.
            await self._thread.run(self._worker.close)
        await stopped
        self._hasStopped = True
        if self._retrying is not None:
            self._retrying.cancel()
            self._retrying = None

    @property
    def pending(self) -> int:
        """The number of operations that wait for their turn."""
        return len(self._queue)

    # -- operations -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises StoreError if nothing can be stored at present."""
        if self.fault is not None:
            raise self.fault.copy()

    def put(self, kind: str, owner: str, key: str, value: str | None) -> int:
        """Write a record. Returns the number of the write."""
        return self._write(lambda store: store.put(kind, owner, key, value), owner)

    def append(self, entryId: int, kind: str, owner: str, value: str) -> int:
        """Write an entry. Returns the number of the write."""
        return self._write(lambda store: store.append(entryId, kind, owner, value), owner)

    def discard(self, entryIds: Sequence[int], owner: str = "") -> int:
        """Remove entries. Returns the number of the write."""
        return self._write(lambda store: store.discard(entryIds), owner)

    def quarantine(self, kind: str, owner: str, key: str) -> int:
        """Keep a record where it is never read. Returns the number of the write."""
        return self._write(lambda store: store.quarantine(kind, owner, key), owner or kind)

    def quarantineEntry(self, entryId: int, owner: str) -> int:
        """Keep an entry where it is never read. Returns the number of the write."""
        return self._write(lambda store: store.quarantineEntry(entryId), owner)

    def forget(self, owner: str) -> int:
        """Remove everything of an owner. Returns the number of the write."""
        return self._write(lambda store: store.forget(owner), owner)

    def get(self, kind: str, owner: str, key: str) -> Deferred[str | None]:
        """Read a record; None if there is none. Fails with StoreError."""
        return self.read(lambda store: store.get(kind, owner, key), owner=owner)

    def entries(self, kind: str, owner: str) -> Deferred[list[tuple[int, str]]]:
        """Read the entries of an owner, with their ids. Fails with StoreError."""
        return self.read(lambda store: store.entries(kind, owner), owner=owner)

    def read(self, work: Callable[..., _T], *arguments: Any, owner: str = "") -> Deferred[_T]:
        """Fires with the result of `work(store, *arguments)`, or what it raises. It is not retried."""
        done: Deferred[_T] = Deferred()
        self._add(lambda store: work(store, *arguments), owner, done)
        return done

    def whenWritten(self, number: int, call: Callable[[], None]) -> None:
        """Call `call` when all writes up to this number are on disk: at once, if they are already."""
        if number <= self.written:
            call()
        else:
            heappush(self._callbacks, (number, next(self._ordinals), call))

    async def flush(self, since: int) -> None:
        """Wait until all writes after `since` are on disk. Raises StoreError if one of them is lost or has to wait."""
        last = self.lastNumber
        if last == since:
            return
        await self.read(lambda store: None)
        if last > self.written:
            self.check()
        if self._lost > since:
            raise StoreError("a write is lost")

    # -- the queue ------------------------------------------------------------------------------------------------

    def _write(self, work: Callable[[RecordStore], None], owner: str) -> int:
        return self._add(work, owner, None)

    def _add(self, work: Callable[[RecordStore], Any], owner: str, done: Deferred[Any] | None) -> int:
        self.lastNumber = number = self.lastNumber + 1
        self._queue.append(StoreOperation(number, owner, work, done))
        self._submitNext()
        return number

    def _submitNext(self) -> None:
        if self.fault is None:
            self._submit(self._worker.runBatch, self._queue[:_BATCH], self._queue[_BATCH:])
        else:
            # Writes wait for the timer. Reads go on, except of an owner for whom a write waits.
            reads = [operation for operation in self._queue if operation.done is not None]
            writes = [operation for operation in self._queue if operation.done is None]
            self._submit(self._worker.runEach, reads, writes, self.fault, {operation.owner for operation in writes})

    def _retryWrites(self) -> None:
        self._retrying = None
        self._submit(self._worker.runBatch, self._queue, [])

    def _submit(
        self, run: Callable[..., list[Any]], batch: list[StoreOperation], rest: list[StoreOperation], *arguments: object
    ) -> None:
        """Run a batch on the thread, unless one is running. `rest` becomes the queue."""
        if self._isBusy or not batch:
            return
        self._isBusy, self._queue = True, rest
        done = self._thread.run(run, batch, *arguments)
        done.addErrback(self._notRun, batch)
        done.addCallback(self._finished, batch)
        done.addErrback(lambda failure: self.log.failure("the XMPP store failed", failure, event="xmpp.store"))

    @staticmethod
    def _notRun(failure: Failure, batch: Sequence[StoreOperation]) -> list[Any]:
        """The results of a batch that the thread did not finish."""
        if not failure.check(CancelledError):
            return [failure] * len(batch)
        error = StoreError("the daemon stopped before this was done")
        return [RetryLater(error) if operation.done is None else Failure(error) for operation in batch]

    def _finished(self, results: Sequence[Any], batch: Sequence[StoreOperation]) -> None:
        """Settle a batch, and submit the next."""
        try:
            self._settle(list(zip(batch, results, strict=True)))
        finally:
            self._isBusy = False
            if self.fault is not None and self._retrying is None and not self._hasStopped:
                self._retrying = self._clock.callLater(_RETRY, self._retryWrites)
            self._submitNext()

    def _settle(self, results: Sequence[tuple[StoreOperation, Any]]) -> None:
        self._queue[:0] = [operation for operation, result in results if isinstance(result, RetryLater)]
        hadFault = self.fault is not None
        self._noteFaults([result for _, result in results])
        self.written = self._queue[0].number - 1 if self._queue else self.lastNumber
        for operation, result in results:
            if operation.done is not None:
                operation.done.callback(result)
            elif isinstance(result, Failure):
                self._lost = operation.number
                self.log.failure("a write to the store of xmpp is lost", result, event="xmpp.store")
        while self._callbacks and self._callbacks[0][0] <= self.written:
            self._call(heappop(self._callbacks)[2])
        if hadFault and self.fault is None:
            self._call(self.recovered)

    def _call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            self.log.failure("a callback of the XMPP store failed", Failure(), event="xmpp.store")

    # -- faults ---------------------------------------------------------------------------------------------------

    def _noteFaults(self, results: Sequence[Any]) -> None:
        """Set or clear `fault` after a batch, and log the change."""
        errors = [result.error for result in results if isinstance(result, RetryLater)]
        failures = [result.value for result in results if isinstance(result, Failure)]
        errors += [error for error in failures if isinstance(error, StoreError)]
        isProbing = any(operation.owner == _PROBE for operation in self._queue)
        if errors:
            if self.fault is None:
                self.log.critical(
                    "the XMPP store is failing; new writes are refused until it works again: {sentence}",
                    event="xmpp.store",
                    sentence=self._sentence(errors[0]),
                )
            self.fault = errors[0].copy()
            if not isProbing:
                self.lastNumber += 1
                self._queue.append(StoreOperation(self.lastNumber, _PROBE, _writeProbe, None))
        elif self.fault is not None and not isProbing:
            self.fault = None
            self.put(_PROBE, "", "", None)
            self.log.info("the XMPP store works again; all pending writes are done", event="xmpp.store")

    def _sentence(self, error: StoreError) -> str:
        """The error with the path of the file, for the log; clients must not learn the path."""
        return f"{self._path}: {error}" if self._path else str(error)


def _writeProbe(store: RecordStore) -> None:
    """Write as much as a large message takes."""
    store.put(_PROBE, "", "", " " * _PROBE_SIZE)
