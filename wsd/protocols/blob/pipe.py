"""The way of an upload's bytes to the disk: in order, off the reactor's thread, and with a limit on what may wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from wsd.protocols.blob.backlog import Backlog
from wsd.protocols.blob.errors import BlobError, blobErrorOf
from wsd.protocols.blob.index import Blob
from wsd.protocols.blob.iopool import IoPool
from wsd.protocols.blob.upload import BlobUpload

_T = TypeVar("_T")

_BATCH = 1 << 20
"""Bytes after which a batch is complete; its last piece may exceed them."""
_HIGH = 3 << 20
"""Bytes of one upload that may wait to be written; with more its sender stops reading."""


@dataclass(frozen=True, slots=True)
class Syncing:
    """When bytes are brought to the disk for good: with "each" piece, at an "interval", or at the "end"."""

    policy: str = "interval"
    seconds: float = 1.0
    bytes: int = 32 << 20
    """With an interval: bytes after which the next sync is due early."""


class UploadSender(Protocol):
    """Sends the bytes of an upload, and is told how it goes."""

    def pause(self) -> None:
        """Called when too many bytes wait to be written: stop reading."""

    def resume(self) -> None:
        """Called when few enough bytes wait: resume reading."""

    def progressed(self) -> None:
        """Called when more bytes are written or durable."""

    def failed(self, error: BlobError) -> None:
        """Called when the upload has failed. The pipe has closed it already, and takes nothing more."""


@dataclass(slots=True)
class _Step:
    """Something to do with the upload when all before it is done."""

    work: Callable[[BlobUpload], Any]
    done: Deferred[Any] | None = None


class _Phase(Enum):
    """How far a pipe is. Only an open one takes bytes and work."""

    OPEN = auto()
    ENDING = auto()
    """The last step is in the queue."""
    FAILED = auto()
    """An error has come. The upload is closed when nothing on the pool uses it any more."""
    OVER = auto()
    """The upload is closed."""


class Pipe:
    """
    Writes to an upload in order, one batch on the pool at a time. A sync may run beside it.

    `written` and `durable` are the offsets that have been reached. After `finish`, `abort`, `detach` or an error the
    pipe takes nothing more.
    """

    def __init__(
        self,
        disk: IoPool,
        backlog: Backlog,
        upload: BlobUpload,
        syncing: Syncing,
        clock: IReactorTime,
        sender: UploadSender,
    ) -> None:
        self._disk = disk
        self._backlog = backlog
        self._upload = upload
        self._syncing = syncing
        self._clock = clock
        self._sender = sender
        self._phase = _Phase.OPEN
        self._queue: list[bytes | _Step] = []
        self._waiting = 0
        self._isWriting = False
        self._isSyncing = False
        self._failure: Failure | None = None
        """The first error, while the phase is FAILED."""
        self._later: Any = None
        self._lastSync = clock.seconds()
        self.gone: Deferred[None] = Deferred()
        """Fires when the upload is closed."""
        self._note()

    @property
    def name(self) -> str:
        """The name of the upload."""
        return self._upload.name

    @property
    def user(self) -> str:
        """The user whose file it is."""
        return self._upload.user

    def _note(self) -> None:
        self.written, self.durable = self._upload.written, self._upload.durable

    # -- what a sender calls --------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Append these bytes to the upload."""
        if self._phase is not _Phase.OPEN:
            return
        self._queue.append(data)
        self._waiting += len(data)
        isFull = self._backlog.add(len(data))
        if (isFull or self._waiting > _HIGH) and not self._backlog.isPaused(self):
            self._backlog.pause(self)
            self._tell(self._sender.pause)
        if not self._isWriting:
            self._turn()

    def do(self, work: Callable[[BlobUpload], Any]) -> None:
        """Do this with the upload when all before it is written."""
        if self._phase is _Phase.OPEN:
            self._queue.append(_Step(work))
            self._turn()

    def ask(self, work: Callable[[BlobUpload], _T]) -> Deferred[_T]:
        """As `do`. Fires with the result, or fails with BlobError."""
        if self._phase in (_Phase.ENDING, _Phase.OVER):
            return fail(BlobError("no_transfer", "this transfer is over; begin it again"))
        done: Deferred[_T] = Deferred()
        self._queue.append(_Step(work, done))
        if self._phase is _Phase.OPEN:
            self._turn()
        return done

    def last(self, work: Callable[[BlobUpload], _T]) -> Deferred[_T]:
        """As `ask`, and take nothing more."""
        done = self.ask(work)
        if self._phase is _Phase.OPEN:
            self._phase = _Phase.ENDING
        return done

    def sync(self) -> Deferred[int]:
        """Bring all of it to the disk now."""
        return self.ask(BlobUpload.sync)

    def finish(self, digest: str | None = None) -> Deferred[Blob]:
        """Make the upload a finished file."""
        return self.last(lambda upload: upload.finish(digest))

    def abort(self) -> Deferred[None]:
        """Remove the upload."""
        return self.last(BlobUpload.abort)

    def detach(self) -> Deferred[None]:
        """Write what has arrived, and close the upload. It can be resumed."""
        return self.last(BlobUpload.close)

    def letGo(self) -> None:
        """As `detach`, for callers that cannot handle a failure."""
        self.detach().addErrback(lambda _: None)  # The pool has logged a fault of the store; nobody waits for more.

    def discard(self) -> None:
        """As `abort`, for callers that cannot handle a failure."""
        self.abort().addErrback(lambda _: None)  # As in `letGo`; what is left is removed at the next start.

    def giveWay(self) -> None:
        """Close the upload because another sender takes it over; its sender is told so."""
        if self._phase is _Phase.OPEN:
            self.letGo()
            self._tell(self._sender.failed, BlobError("taken_over", "a newer connection goes on with this transfer"))

    def _tell(self, method: Callable[..., None], *arguments: Any) -> None:
        """Call a method of the sender. An error in it ends this upload, and no other."""
        try:
            method(*arguments)
        except Exception:
            self._fail(Failure())

    def _tellProgress(self) -> None:
        if self._phase in (_Phase.OPEN, _Phase.ENDING):
            self._tell(self._sender.progressed)

    # -- turns on the pool ----------------------------------------------------------------------------------------

    def _turn(self) -> None:
        if self._isWriting or not self._queue or self._phase is _Phase.FAILED:
            return
        batch, size = self._batch()
        if batch:
            self._isWriting = True
            working = self._disk.run(self._work, batch)
            working.addCallbacks(self._worked, self._workFailed, callbackArgs=(size,), errbackArgs=(batch,))
            working.addErrback(self._fail)

    def _batch(self) -> tuple[list[bytes | _Step], int]:
        """Take the next batch from the queue. A step that is waited for does not run beside a sync."""
        size = count = 0
        for item in self._queue:
            if isinstance(item, bytes):
                size += len(item)
            elif item.done is not None and self._isSyncing:
                break
            count += 1
            if size >= _BATCH:
                break
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch, size

    def _work(self, batch: Sequence[bytes | _Step]) -> list[tuple[Deferred[Any], Any]]:
        """Write a batch, on a thread of the pool. Returns the results that are waited for."""
        upload = self._upload
        data: list[bytes] = []
        results: list[tuple[Deferred[Any], Any]] = []
        for item in batch:
            if isinstance(item, bytes):
                data.append(item)
                continue
            if data:
                upload.append(data)
                data = []
            result = item.work(upload)
            if item.done is not None:
                results.append((item.done, result))
        if data:
            upload.append(data)
        return results

    def _worked(self, results: list[tuple[Deferred[Any], Any]], size: int) -> None:
        self._isWriting = False
        self._note()
        for done, result in results:
            done.callback(result)
        if self._phase is _Phase.FAILED:
            self._close()
            return
        self._waiting -= size
        if not self._upload.isOpen:
            self._over()
        else:
            self._syncIfDue()
            self._tellProgress()
        self._backlog.remove(size)
        self._turn()

    # -- to the disk for good -------------------------------------------------------------------------------------

    def _syncIfDue(self) -> None:
        """Begin a sync if one is due; writing goes on beside it."""
        syncing = self._syncing
        unsynced = self._upload.checked - self.durable
        if self._phase is not _Phase.OPEN or self._isSyncing or unsynced <= 0 or syncing.policy == "end":
            return
        now, due = self._clock.seconds(), self._lastSync + syncing.seconds
        if syncing.policy == "each" or now >= due or unsynced >= syncing.bytes:
            self._isSyncing, self._lastSync = True, now
            done = self._disk.run(self._upload.sync)
            done.addCallbacks(self._synced, self._syncFailed).addErrback(self._fail)
        elif self._later is None or not self._later.active():
            # Without this, the last bytes before a pause would not be acknowledged.
            self._later = self._clock.callLater(due - now, self._syncIfDue)

    def _synced(self, _: int) -> None:
        self._isSyncing = False
        self._note()
        if self._phase is _Phase.FAILED:
            self._close()
            return
        self._tellProgress()
        self._syncIfDue()
        self._turn()

    # -- failing --------------------------------------------------------------------------------------------------

    def _workFailed(self, failure: Failure, batch: list[bytes | _Step]) -> None:
        self._isWriting = False
        self._fail(failure, batch)

    def _syncFailed(self, failure: Failure) -> None:
        self._isSyncing = False
        self._fail(failure)

    def _fail(self, failure: Failure, batch: Sequence[bytes | _Step] = ()) -> None:
        """Close the upload, then tell those who wait for a step, or else the sender."""
        if self._phase is _Phase.OVER:
            blobErrorOf(failure)  # to log it: nobody is left to be told
            return
        self._phase = _Phase.FAILED
        self._failure = self._failure or failure
        self._queue = [item for item in (*batch, *self._queue) if isinstance(item, _Step)]
        size, self._waiting = self._waiting, 0
        self._backlog.remove(size)
        self._close()

    def _close(self) -> None:
        """Close the upload when neither a batch nor a sync uses it any more."""
        if not self._isWriting and not self._isSyncing:
            closed = self._disk.run(self._upload.close)
            # The pool takes no more work, or has logged what failed; the first failure is the one to tell.
            closed.addErrback(lambda _: self._upload.drop())
            closed.addCallback(lambda _: self._tellFailure())

    def _tellFailure(self) -> None:
        failure, self._failure = self._failure, None
        assert failure is not None
        self._note()
        self._over()
        steps, self._queue = self._queue, []
        asked = [item.done for item in steps if isinstance(item, _Step) and item.done is not None]
        for done in asked:
            done.errback(failure)
        if not asked:
            self._tell(self._sender.failed, blobErrorOf(failure))

    def _over(self) -> None:
        self._phase = _Phase.OVER
        if self._later is not None and self._later.active():
            self._later.cancel()
        if self._backlog.resume(self):
            self._tell(self._sender.resume)
        self.gone.callback(None)

    def reconsider(self) -> None:
        """Called when fewer bytes wait than before: the sender may resume."""
        if self._waiting <= _HIGH // 2 and not self._backlog.isFull and self._backlog.resume(self):
            self._tell(self._sender.resume)
