"""The vault: a store brought to the reactor's thread, in order, many writes to one commit, none lost when it fails."""

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
from wsd.protocols.xmpp.store import Store, StoreFault
from wsd.protocols.xmpp.threads import Threads

_T = TypeVar("_T")

_BATCH = 2_000
"""Works that are done in one transaction at the most."""
_RETRY = 1.0
"""Seconds between two tries to write what could not be written."""
_PROBE, _ROOM = "probe", 256 * KIB
"""A kind of records, and its size: what is written to find out whether there is room again."""


@dataclass(slots=True)
class _Work:
    """What is to be done with the store."""

    number: int
    owner: str
    """Whom it is about: nobody reads of them while an earlier write about them waits."""
    do: Callable[[Store], Any]
    done: Deferred[Any] | None
    """Fires with the result; a work without it is tried until it is done."""


@dataclass(frozen=True, slots=True)
class _Left:
    """The result of a work that is to be tried again."""

    fault: StoreFault


class Vault:
    """
    A store on a thread of its own.

    What is asked for is done in the order it was asked for, so that who reads finds what was written before. Each write
    has a number: when `written` has reached it, it is kept.

    When the store cannot be written, writes wait in their order and are tried again each second. Meanwhile there is a
    `fault`: who asks for something that has to wait gets it as an error, and everybody else may still read.
    """

    log = Logger(namespace="wsd")

    def __init__(self, thread: Threads, open: Callable[[], Store], clock: Any, path: str = "") -> None:
        self.written = 0
        self.asked = 0
        self.fault: StoreFault | None = None
        """Why writes wait."""
        self.returned: Callable[[], None] = lambda: None
        """Is called when the store can be written again."""
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
        """The number of the last write that no store would take."""

    def start(self) -> None:
        """Begin; the store is opened when it is needed."""
        self._thread.start()

    async def stop(self) -> None:
        """Do what was asked for, as far as that can be done, and end."""
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
        """Works that are not done."""
        return len(self._queue)

    def check(self) -> None:
        """Raises StoreFault: at the moment nothing can be kept."""
        if self.fault is not None:
            raise self.fault.again()

    def put(self, kind: str, owner: str, key: str, value: str | None) -> int:
        """Write a record: the number of the write."""
        return self._write(lambda store: store.put(kind, owner, key, value), owner)

    def append(self, id: int, kind: str, owner: str, value: str) -> int:
        """Write an entry: the number of the write."""
        return self._write(lambda store: store.append(id, kind, owner, value), owner)

    def discard(self, ids: Sequence[int], owner: str = "") -> int:
        """Remove entries: the number of the write."""
        return self._write(lambda store: store.discard(ids), owner)

    def setAside(self, kind: str, owner: str, key: str) -> int:
        """Read a record no more: the number of the write."""
        return self._write(lambda store: store.setAside(kind, owner, key), owner or kind)

    def setEntryAside(self, id: int, owner: str) -> int:
        """Read an entry no more: the number of the write."""
        return self._write(lambda store: store.setEntryAside(id), owner)

    def forget(self, owner: str) -> int:
        """Remove all that is an owner's: the number of the write."""
        return self._write(lambda store: store.forget(owner), owner)

    def get(self, kind: str, owner: str, key: str) -> Deferred[str | None]:
        """A record."""
        return self.read(lambda store: store.get(kind, owner, key), owner=owner)

    def entries(self, kind: str, owner: str) -> Deferred[list[tuple[int, str]]]:
        """Entries."""
        return self.read(lambda store: store.entries(kind, owner), owner=owner)

    def read(self, work: Callable[..., _T], *arguments: Any, owner: str = "") -> Deferred[_T]:
        """What `work(store, *arguments)` gives. It fails with StoreFault, and is not tried again then."""
        done: Deferred[_T] = Deferred()
        self._add(lambda store: work(store, *arguments), owner, done)
        return done

    def when(self, number: int, call: Callable[[], None]) -> None:
        """Call when the writes up to this number are kept; numbers are given in their order."""
        if number <= self.written:
            call()
        else:
            self._waiting.append((number, call))

    async def kept(self, since: int) -> None:
        """Done when all that was asked for since then is kept. Raises StoreFault when it is not, or not yet."""
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
            # What waits has its own time; others may still ask.
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
        """On the thread: all in one transaction, or when one of them fails each in its own."""
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
        """On the thread: each in its own transaction. After a `fault` no write is tried, nor a read of `owners`."""
        results: list[Any] = []
        owners = set(owners)
        for work in batch:
            try:
                if fault is not None and (work.done is None or work.owner in owners):
                    raise fault.again()
                results += self._together([work])
            except StoreFault as error:
                if work.done is None:
                    # No write overtakes one before it, and nobody reads what is older than a write that waits.
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
        """See whether the store fails, or has ceased to."""
        faults = [each.fault for each in results if isinstance(each, _Left)]
        failures = [each.value for each in results if isinstance(each, Failure)]
        faults += [each for each in failures if isinstance(each, StoreFault)]
        if not faults:
            if self.fault is not None and all(work.owner != _PROBE for work in self._queue):
                self.fault = None
                self.put(_PROBE, "", "", None)
                self.log.info("the store of xmpp is written again, and all that waited for it", event="xmpp.store")
            return
        if self.fault is None:
            self.log.critical(
                "the store of xmpp fails, and takes nothing new until it can be written again: {sentence}",
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
            self.log.failure("who waited for the store of xmpp failed", Failure(), event="xmpp.store")
