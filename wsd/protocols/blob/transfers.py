"""The store as the reactor's thread sees it: opened when it is first needed, one writer for each transfer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime

from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.index import Blob, PartRow
from wsd.protocols.blob.iopool import IoPool
from wsd.protocols.blob.part import Part, Wanted
from wsd.protocols.blob.pipe import Pipe, Syncing, Watcher
from wsd.protocols.blob.store import Store, isSlot, nameOf

_T = TypeVar("_T")


class Transfers:
    """Every method that is awaited may raise BlobError."""

    def __init__(self, disk: IoPool, build: Callable[[], Store], syncing: Syncing, clock: IReactorTime) -> None:
        self.disk = disk
        self.fault: str | None = None
        """Why the store could not be had when it was last asked for."""
        self._build = build
        self._syncing = syncing
        self._clock = clock
        self._store: Store | None = None
        self._opening = DeferredLock()
        self._pipes: dict[str, Pipe] = {}
        self._locks: dict[str, DeferredLock] = {}

    # -- the store ------------------------------------------------------------------------------------------------

    async def run(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """Call a method of the store, on the pool: `await run(Store.blob, id)`."""
        store = await self._opened()
        return await self.disk.run(work, store, *arguments)

    async def _opened(self) -> Store:
        if self._store is None:
            await self._opening.acquire()
            try:
                if self._store is None:
                    self._store = await self.disk.run(self._build)
                    self.fault = None
            except BlobError as error:
                self.fault = error.sentence
                raise
            finally:
                self._opening.release()
        return self._store

    async def stop(self) -> None:
        """Set down what is being written, and let go of the store."""
        for pipe in list(self._pipes.values()):
            pipe.letGo()
            await pipe.gone
        if self._store is not None:
            await self.disk.run(self._store.close)

    # -- writing --------------------------------------------------------------------------------------------------

    async def begin(self, wanted: Wanted, token: str | None, watcher: Watcher) -> Pipe | Blob:
        """A pipe to write to, at the durable offset; or the file, when it is here already."""
        if token is None:
            return self._pipe(await self.run(Store.begin, wanted, None), watcher)
        begun: Pipe | Blob = await self._alone(token, watcher, Store.begin, wanted, token)
        return begun

    async def resume(self, token: str, watcher: Watcher) -> Pipe:
        """A pipe to go on with what was begun with this token."""
        pipe = await self._alone(token, watcher, Store.resume, token)
        assert isinstance(pipe, Pipe)
        return pipe

    async def row(self, token: str) -> PartRow:
        """How far it is, after what has come is on disk."""
        pipe = self._pipeOf(token)
        if pipe is not None:
            await _quietly(pipe.sync())
        return await self.run(Store.row, token)

    async def abort(self, token: str) -> None:
        """Remove an unfinished file; of a finished one only that it was uploaded with this token is forgotten."""
        await self._alone(token, None, Store.forget, token)

    async def _alone(self, token: str, watcher: Watcher | None, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do it when nobody else writes this transfer: who did has to give way."""
        name = nameOf(token)
        lock = self._locks.setdefault(name, DeferredLock())
        await lock.acquire()
        try:
            old = self._pipeOf(token)
            if old is not None:
                old.giveWay()
                await old.gone
            begun: Part | Blob = await self.run(work, *arguments)
            return begun if watcher is None else self._pipe(begun, watcher)
        finally:
            lock.release()
            if not lock.locked:
                self._locks.pop(name, None)

    def _pipeOf(self, token: str) -> Pipe | None:
        """The pipe that is writing this transfer."""
        pipe = self._pipes.get(nameOf(token))
        return pipe if pipe is not None and isSlot(pipe.user) == isSlot(token) else None

    def _pipe(self, begun: Part | Blob, watcher: Watcher) -> Pipe | Blob:
        if isinstance(begun, Blob):
            return begun
        pipe = Pipe(self.disk, begun, self._syncing, self._clock, watcher)
        self._pipes[pipe.name] = pipe
        pipe.gone.addCallback(lambda _: self._gone(pipe))
        return pipe

    def _gone(self, pipe: Pipe) -> None:
        if self._pipes.get(pipe.name) is pipe:
            del self._pipes[pipe.name]


async def _quietly(waiting: Deferred[Any]) -> None:
    """Wait for it; its end is all that matters."""
    with suppress(BlobError):
        await waiting
