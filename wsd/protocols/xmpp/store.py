"""
What the rules ask of a store: records by kind, owner and key, and entries in their order by kind and owner.

Rosters, block lists, users and rooms are records; messages that wait and the histories of rooms are entries. A `Store`
blocks; the `Vault` brings it to the reactor's thread, in order, many writes to one commit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.protocols.xmpp.threads import Threads

_T = TypeVar("_T")

_BATCH = 2_000
"""Works that are done in one transaction at the most."""


class Store(Protocol):
    """A store that keeps what was committed, whatever happens to the process."""

    def get(self, kind: str, owner: str, key: str) -> str | None:
        """A record."""

    def load(self, kind: str, owner: str) -> dict[str, str]:
        """The records of an owner by their keys."""

    def owners(self, kind: str) -> list[str]:
        """Who has records of a kind."""

    def put(self, kind: str, owner: str, key: str, value: str | None) -> None:
        """Write a record; None removes it."""

    def append(self, id: int, kind: str, owner: str, value: str) -> None:
        """Write an entry; ids grow."""

    def entries(self, kind: str, owner: str) -> list[tuple[int, str]]:
        """The entries of an owner in their order."""

    def discard(self, ids: Sequence[int]) -> None:
        """Remove entries."""

    def forget(self, owner: str) -> None:
        """Remove all records and entries of an owner."""

    def transaction(self) -> AbstractContextManager[Any]:
        """What is done within it is kept as a whole, or not at all."""

    def close(self) -> None:
        """Set it down."""


class Vault:
    """
    A store on a thread of its own.

    What is asked for is done in the order it was asked for, so that who reads finds what was written before. Each write
    has a number: when `written` has reached it, it is kept.
    """

    log = Logger(namespace="wsd")

    def __init__(self, thread: Threads, open: Callable[[], Store]) -> None:
        self.written = 0
        self.asked = 0
        self.fault: str | None = None
        """Why a write was lost; from then on nothing counts as written."""
        self._open = open
        self._store: Store | None = None
        self._thread = thread
        self._queue: list[tuple[int, Callable[[Store], Any], Deferred[Any] | None]] = []
        self._isBusy = False
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    def start(self) -> None:
        """Begin; the store is opened when it is needed."""
        self._thread.start()

    async def stop(self) -> None:
        """Do what was asked for, and end."""
        try:
            if self.asked:
                await self.read(lambda store: None)
                await self._thread.run(self._close)
        finally:
            self._thread.stop()

    def put(self, kind: str, owner: str, key: str, value: str | None) -> int:
        """Write a record: the number of the write."""
        return self._write(lambda store: store.put(kind, owner, key, value))

    def append(self, id: int, kind: str, owner: str, value: str) -> int:
        """Write an entry: the number of the write."""
        return self._write(lambda store: store.append(id, kind, owner, value))

    def discard(self, ids: Sequence[int]) -> int:
        """Remove entries: the number of the write."""
        return self._write(lambda store: store.discard(ids))

    def forget(self, owner: str) -> int:
        """Remove all that is an owner's: the number of the write."""
        return self._write(lambda store: store.forget(owner))

    def get(self, kind: str, owner: str, key: str) -> Deferred[str | None]:
        """A record."""
        return self.read(lambda store: store.get(kind, owner, key))

    def entries(self, kind: str, owner: str) -> Deferred[list[tuple[int, str]]]:
        """Entries."""
        return self.read(lambda store: store.entries(kind, owner))

    def read(self, work: Callable[..., _T], *arguments: Any) -> Deferred[_T]:
        """What `work(store, *arguments)` gives."""
        done: Deferred[_T] = Deferred()
        self._add(lambda store: work(store, *arguments), done)
        return done

    def when(self, number: int, call: Callable[[], None]) -> None:
        """Call when the writes up to this number are kept; numbers are given in their order."""
        if number <= self.written and self.fault is None:
            call()
        else:
            self._waiting.append((number, call))

    # -- the thread -----------------------------------------------------------------------------------------------

    def _write(self, work: Callable[[Store], None]) -> int:
        self._add(work, None)
        return self.asked

    def _add(self, work: Callable[[Store], Any], done: Deferred[Any] | None) -> None:
        self.asked += 1
        self._queue.append((self.asked, work, done))
        self._next()

    def _next(self) -> None:
        if self._isBusy or not self._queue:
            return
        self._isBusy = True
        batch, self._queue = self._queue[:_BATCH], self._queue[_BATCH:]
        self._thread.run(self._do, batch).addCallback(self._done, batch)

    def _do(self, batch: Sequence[Any]) -> list[Any]:
        """On the thread: all in one transaction, or when one of them fails each in its own."""
        try:
            if self._store is None:
                self._store = self._open()
            with self._store.transaction():
                return [work(self._store) for _, work, _ in batch]
        except Exception:
            return [self._alone(work) for _, work, _ in batch]

    def _alone(self, work: Callable[[Store], Any]) -> Any:
        try:
            if self._store is None:
                self._store = self._open()
            with self._store.transaction():
                return work(self._store)
        except Exception:
            return Failure()

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _done(self, results: Sequence[Any], batch: Sequence[Any]) -> None:
        for (number, _, done), result in zip(batch, results, strict=True):
            if isinstance(result, Failure) and done is None:
                if self.fault is None:
                    self.log.failure("a write to the store of xmpp is lost", result, event="xmpp.store")
                self.fault = f"the store cannot be written: {result.getErrorMessage()}"
            if self.fault is None:
                self.written = number
            if done is not None:
                done.callback(result)
        while self._waiting and self._waiting[0][0] <= self.written:
            self._waiting.popleft()[1]()
        self._isBusy = False
        self._next()
