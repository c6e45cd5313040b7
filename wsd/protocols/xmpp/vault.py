"""The vault: runs a store on a thread, in order, with many writes in a commit; a failing store loses none."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.config.values import KIB
from wsd.policies.pool import PoolShare
from wsd.protocols.xmpp.store import Store, StoreFault

_T = TypeVar("_T")

_BATCH = 2_000
"""Limit of the operations in one transaction."""
_RETRY = 1.0
"""Seconds between two attempts to write again."""
_PROBE, _ROOM = "probe", 256 * KIB
"""The kind and the size of the record that is written to find out whether there is space again."""


@dataclass(slots=True)
class _Work:
    """An operation on the store."""

    number: int
    owner: str
    """The user or room concerned, whose data is not read while an earlier write for them waits."""
    do: Callable[[Store], Any]
    done: Deferred[Any] | None
    """Fires with the result; an operation without it is retried until it succeeds."""


@dataclass(frozen=True, slots=True)
class _Left:
    """The result of an operation that is to be retried."""

    fault: StoreFault


class Vault:
    """
    A store whose operations are done off the reactor's thread, one at a time: its share of the pool has one thread.

    Operations are done in the order in which they are called, so that a read finds all earlier writes. Each write
    has a number; the write is on disk when `written` has reached it.

    When the store cannot be written, writes wait in order and are retried every second. Meanwhile `fault` is set:
    operations that would have to wait fail with it, and other reads still work.
    """

    log = Logger(namespace="wsd")

    def __init__(self, thread: PoolShare, open: Callable[[], Store], clock: Any, path: str = "") -> None:
        self.written = 0
        self.asked = 0
        self.fault: StoreFault | None = None
        """Why writes wait, None if they do not."""
        self.returned: Callable[[], None] = lambda: None
        """Called when the store can be written again."""
        self._open = open
        self._path = path
        self._store: Store | None = None
        self._thread = thread
        self._clock = clock
        self._queue: list[_Work] = []
        self._isBusy = False
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._retrying: IDelayedCall | None = None
        self._lost = 0
        """The number of the last write that failed for good."""

    async def stop(self) -> None:
        """Do all pending operations, as far as possible, and stop."""
        if self.asked:
            self._begin(self._do, self._queue, [])
            with suppress(StoreFault):
                await self.read(lambda store: None)
            lost = sum(work.done is None and work.owner != _PROBE for work in self._queue)
            if self.fault is not None and lost:
                self.log.critical(
                    "{count} writes to the store of xmpp are lost: {sentence}",
                    event="xmpp.store",
                    count=lost,
                    sentence=self._sentence(self.fault),
                )
            await self._thread.run(self._close)
        if self._retrying is not None:
            self._retrying.cancel()
            self._retrying = None
        self._thread.stop()

    @property
    def pending(self) -> int:
        """The number of pending operations."""
        return len(self._queue)

    def check(self) -> None:
        """Raises StoreFault if nothing can be stored at present."""
        if self.fault is not None:
            raise self.fault.again()

    def put(self, kind: str, owner: str, key: str, value: str | None) -> int:
        """Write a record. Returns the number of the write."""
        return self._write(lambda store: store.put(kind, owner, key, value), owner)

    def append(self, id: int, kind: str, owner: str, value: str) -> int:
        """Write an entry. Returns the number of the write."""
        return self._write(lambda store: store.append(id, kind, owner, value), owner)

    def discard(self, ids: Sequence[int], owner: str = "") -> int:
        """Remove entries. Returns the number of the write."""
        return self._write(lambda store: store.discard(ids), owner)

    def setAside(self, kind: str, owner: str, key: str) -> int:
        """Set a record aside. Returns the number of the write."""
        return self._write(lambda store: store.setAside(kind, owner, key), owner or kind)

    def setEntryAside(self, id: int, owner: str) -> int:
        """Set an entry aside. Returns the number of the write."""
        return self._write(lambda store: store.setEntryAside(id), owner)

    def forget(self, owner: str) -> int:
        """Remove everything of an owner. Returns the number of the write."""
        return self._write(lambda store: store.forget(owner), owner)

    def get(self, kind: str, owner: str, key: str) -> Deferred[str | None]:
        """A record."""
        return self.read(lambda store: store.get(kind, owner, key), owner=owner)

    def entries(self, kind: str, owner: str) -> Deferred[list[tuple[int, str]]]:
        """Entries."""
        return self.read(lambda store: store.entries(kind, owner), owner=owner)

    def read(self, work: Callable[..., _T], *arguments: Any, owner: str = "") -> Deferred[_T]:
        """The result of `work(store, *arguments)`. A read that fails with StoreFault is not retried."""
        done: Deferred[_T] = Deferred()
        self._add(lambda store: work(store, *arguments), owner, done)
        return done

    def when(self, number: int, call: Callable[[], None]) -> None:
        """Call when all writes up to this number are on disk; calls must pass ascending numbers."""
        if number <= self.written:
            call()
        else:
            self._waiting.append((number, call))

    async def kept(self, since: int) -> None:
        """Wait until all writes after `since` are on disk. Raises StoreFault if one is lost or has to wait."""
        last = self.asked
        if last == since:
            return
        await self.read(lambda store: None)
        if last > self.written:
            self.check()
        if self._lost > since:
            raise StoreFault("a write is lost")

    # -- the thread -----------------------------------------------------------------------------------------------

    def _write(self, work: Callable[[Store], None], owner: str) -> int:
        return self._add(work, owner, None)

    def _add(self, do: Callable[[Store], Any], owner: str, done: Deferred[Any] | None) -> int:
        self.asked = number = self.asked + 1
        self._queue.append(_Work(number, owner, do, done))
        self._next()
        return number

    def _next(self) -> None:
        if self.fault is None:
            self._begin(self._do, self._queue[:_BATCH], self._queue[_BATCH:])
        else:
            # Waiting writes are retried by a timer; other reads go on.
            asked = [work for work in self._queue if work.done is not None]
            left = [work for work in self._queue if work.done is None]
            self._begin(self._apart, asked, left, self.fault, {work.owner for work in left})

    def _retry(self) -> None:
        self._retrying = None
        self._begin(self._do, self._queue, [])

    def _begin(self, do: Callable[..., list[Any]], batch: list[_Work], left: list[_Work], *arguments: object) -> None:
        if self._isBusy or not batch:
            return
        self._isBusy, self._queue = True, left
        done = self._thread.run(do, batch, *arguments)
        done.addErrback(lambda failure: [failure] * len(batch)).addCallback(self._done, batch)

    def _do(self, batch: Sequence[_Work]) -> list[Any]:
        """On the thread: do all in one transaction, or each in its own if one of them fails."""
        try:
            return self._together(batch)
        except Exception:
            return self._apart(batch)

    def _together(self, works: Sequence[_Work]) -> list[Any]:
        try:
            if self._store is None:
                self._store = self._open()
            with self._store.transaction():
                return [work.do(self._store) for work in works]
        except StoreFault as fault:
            if not fault.isWhole:
                with suppress(Exception):
                    self._close()
            raise

    def _apart(
        self, batch: Sequence[_Work], fault: StoreFault | None = None, owners: Collection[str] = ()
    ) -> list[Any]:
        """On the thread: do each in its own transaction. After a `fault` no write is tried, nor a read of `owners`."""
        results: list[Any] = []
        owners = set(owners)
        for work in batch:
            try:
                if fault is not None and (work.done is None or work.owner in owners):
                    raise fault.again()
                results += self._together([work])
            except StoreFault as error:
                if work.done is None:
                    # No write overtakes an earlier one, and no read returns data older than a waiting write.
                    fault = fault or error
                    owners.add(work.owner)
                results.append(Failure() if work.done is not None else _Left(error))
            except Exception:
                results.append(Failure())
        return results

    def _close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()

    # -- the reactor's thread -------------------------------------------------------------------------------------

    def _done(self, results: Sequence[Any], batch: Sequence[_Work]) -> None:
        pairs = list(zip(batch, results, strict=True))
        self._queue[:0] = [work for work, result in pairs if isinstance(result, _Left)]
        hadFault = self.fault is not None
        self._judge(results)
        self.written = self._queue[0].number - 1 if self._queue else self.asked
        for work, result in pairs:
            if work.done is not None:
                work.done.callback(result)
            elif isinstance(result, Failure):
                self._lost = work.number
                self.log.failure("a write to the store of xmpp is lost", result, event="xmpp.store")
        while self._waiting and self._waiting[0][0] <= self.written:
            self._call(self._waiting.popleft()[1])
        if hadFault and self.fault is None:
            self._call(self.returned)
        self._isBusy = False
        if self.fault is not None and self._retrying is None:
            self._retrying = self._clock.callLater(_RETRY, self._retry)
        self._next()

    def _sentence(self, fault: StoreFault) -> str:
        """What is wrong, and with which file: for the log alone."""
        return f"{self._path}: {fault}" if self._path else str(fault)

    def _judge(self, results: Sequence[Any]) -> None:
        """Note whether the store fails or works again."""
        faults = [each.fault for each in results if isinstance(each, _Left)]
        failures = [each.value for each in results if isinstance(each, Failure)]
        faults += [each for each in failures if isinstance(each, StoreFault)]
        if not faults:
            if self.fault is not None and all(work.owner != _PROBE for work in self._queue):
                self.fault = None
                self.put(_PROBE, "", "", None)
                self.log.info("the store of xmpp works again, and all pending writes are done", event="xmpp.store")
            return
        if self.fault is None:
            self.log.critical(
                "the store of xmpp fails, and new writes are refused until it works again: {sentence}",
                event="xmpp.store",
                sentence=self._sentence(faults[0]),
            )
        self.fault = faults[0].again()
        if all(work.owner != _PROBE for work in self._queue):
            self.asked += 1
            self._queue.append(_Work(self.asked, _PROBE, lambda store: store.put(_PROBE, "", "", " " * _ROOM), None))

    def _call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            self.log.failure("a callback of the store of xmpp failed", Failure(), event="xmpp.store")
