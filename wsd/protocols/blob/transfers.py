"""Access to the store from the reactor's thread: opened when first needed, and with one writer for each upload."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime

from wsd.protocols.blob.backlog import Backlog
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.index import Blob, UploadRow
from wsd.protocols.blob.iopool import IoPool
from wsd.protocols.blob.pipe import Pipe, Syncing, UploadSender
from wsd.protocols.blob.store import BlobStore, isSlot, nameOf
from wsd.protocols.blob.upload import BlobUpload, NewUpload

_T = TypeVar("_T")


class Transfers:
    """Runs the methods of the store on the pool, and hands out pipes. All coroutines raise BlobError."""

    def __init__(
        self, disk: IoPool, backlog: Backlog, build: Callable[[], BlobStore], syncing: Syncing, clock: IReactorTime
    ) -> None:
        self.disk = disk
        self.backlog = backlog
        self.fault: str | None = None
        """Why the last attempt to open the store failed; None if it did not."""
        self._build = build
        self._syncing = syncing
        self._clock = clock
        self._store: BlobStore | None = None
        self._opening = DeferredLock()
        self._pipes: dict[str, Pipe] = {}
        self._locks: dict[str, DeferredLock] = {}

    # -- the store ------------------------------------------------------------------------------------------------

    async def run(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """Call a method of the store on the pool: `await run(BlobStore.blob, blobId)`."""
        store = await self._opened()
        return await self.disk.run(work, store, *arguments)

    async def _opened(self) -> BlobStore:
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
        """Close all uploads, then the store."""
        for pipe in list(self._pipes.values()):
            pipe.letGo()
            await pipe.gone
        if self._store is not None:
            await self.disk.run(self._store.close)

    # -- uploads --------------------------------------------------------------------------------------------------

    async def begin(self, new: NewUpload, token: str | None, sender: UploadSender) -> Pipe | Blob:
        """Returns a pipe to a new upload or to that of the token; a Blob if the file is here already."""
        if token is None:
            return self._pipe(await self.run(BlobStore.begin, new, None), sender)
        begun: Pipe | Blob = await self._alone(token, sender, BlobStore.begin, new, token)
        return begun

    async def resume(self, token: str, sender: UploadSender) -> Pipe:
        """Returns a pipe to the upload of this token."""
        pipe = await self._alone(token, sender, BlobStore.resume, token)
        assert isinstance(pipe, Pipe)
        return pipe

    async def row(self, token: str) -> UploadRow:
        """Returns the row of this token's upload, after all that has arrived of it is synced."""
        pipe = self._pipeOf(token)
        if pipe is not None:
            with suppress(BlobError):  # A failed upload has a row all the same.
                await pipe.sync()
        return await self.run(BlobStore.row, token)

    async def abort(self, token: str) -> None:
        """Remove the upload of this token. A finished file stays."""
        await self._alone(token, None, BlobStore.forget, token)

    async def _alone(self, token: str, sender: UploadSender | None, work: Callable[..., Any], *arguments: Any) -> Any:
        """Call a method of the store for an upload, after its present sender, if any, has closed it."""
        name = nameOf(token)
        lock = self._locks.setdefault(name, DeferredLock())
        await lock.acquire()
        try:
            old = self._pipeOf(token)
            if old is not None:
                old.giveWay()
                await old.gone
            begun: BlobUpload | Blob = await self.run(work, *arguments)
            return begun if sender is None else self._pipe(begun, sender)
        finally:
            lock.release()
            if not lock.locked:
                self._locks.pop(name, None)

    def _pipeOf(self, token: str) -> Pipe | None:
        """Returns the pipe to the upload of this token, or None."""
        pipe = self._pipes.get(nameOf(token))
        return pipe if pipe is not None and isSlot(pipe.user) == isSlot(token) else None

    def _pipe(self, begun: BlobUpload | Blob, sender: UploadSender) -> Pipe | Blob:
        if isinstance(begun, Blob):
            return begun
        pipe = Pipe(self.disk, self.backlog, begun, self._syncing, self._clock, sender)
        self._pipes[pipe.name] = pipe
        pipe.gone.addCallback(lambda _: self._gone(pipe))
        return pipe

    def _gone(self, pipe: Pipe) -> None:
        if self._pipes.get(pipe.name) is pipe:
            del self._pipes[pipe.name]
