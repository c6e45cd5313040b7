"""The pipe of an upload writes its bytes to the disk: in order, on threads, and with backpressure."""

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
"""Bytes after which a batch is complete. Its last piece may exceed them."""
_HIGH = 3 << 20
"""With more bytes queued for one upload, its sender stops reading."""


@dataclass(frozen=True, slots=True)
class Syncing:
    """When bytes are synced to the disk: after "each" piece, at an "interval", or at the "end"."""

    policy: str = "interval"
    seconds: float = 1.0
    bytes: int = 32 << 20
    """With an interval: bytes after which a sync is due before the interval is over."""


class UploadSender(Protocol):
    """Sends the bytes of an upload, and is told of its progress."""

    def pause(self) -> None:
        """Called when too many bytes are queued: stop reading."""

    def resume(self) -> None:
        """Called when few enough bytes are queued: resume reading."""

    def progressed(self) -> None:
        """Called when more bytes are written or durable."""

    def failed(self, error: BlobError) -> None:
        """Called when the upload has failed. It is closed already, and the pipe accepts nothing more."""


@dataclass(slots=True)
class _Step:
    """A step in the queue: something to do with the upload after all that was queued before."""

    work: Callable[[BlobUpload], Any]
    done: Deferred[Any] | None = None


class _Phase(Enum):
    """The phase of a pipe. Only an OPEN pipe accepts bytes and steps."""

    OPEN = auto()
    ENDING = auto()
    """The last step is in the queue."""
    FAILED = auto()
    """There was an error. The upload is closed once no job on the pool uses it."""
    OVER = auto()
    """The upload is closed."""


class Pipe:
    """
    Writes to an upload in order, one batch at a time on the pool. A sync may run at the same time.

    `written` and `durable` are the offsets reached so far. After `finish`, `abort`, `detach` or an error the pipe
    accepts nothing more.
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
        """The owner of the file."""
        return self._upload.user

    def _note(self) -> None:
        self.written, self.durable = self._upload.written, self._upload.durable

    # -- called by the sender -------------------------------------------------------------------------------------

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
        """Call `work` with the upload on the pool, after all that was queued before."""
        if self._phase is _Phase.OPEN:
            self._queue.append(_Step(work))
            self._turn()

    def ask(self, work: Callable[[BlobUpload], _T]) -> Deferred[_T]:
        """As `do`. The Deferred fires with the result, or fails with BlobError."""
        if self._phase in (_Phase.ENDING, _Phase.OVER):
            return fail(BlobError("no_transfer", "this transfer has ended; begin again"))
        done: Deferred[_T] = Deferred()
        self._queue.append(_Step(work, done))
        if self._phase is _Phase.OPEN:
            self._turn()
        return done

    def last(self, work: Callable[[BlobUpload], _T]) -> Deferred[_T]:
        """As `ask`, and accept nothing more."""
        done = self.ask(work)
        if self._phase is _Phase.OPEN:
            self._phase = _Phase.ENDING
        return done

    def sync(self) -> Deferred[int]:
        """Sync everything to the disk now. Fires with the durable offset."""
        return self.ask(BlobUpload.sync)

    def finish(self, digest: str | None = None) -> Deferred[Blob]:
        """Make the upload a finished file. `digest` is its SHA-256 in hex, if the client sent it."""
        return self.last(lambda upload: upload.finish(digest))

    def abort(self) -> Deferred[None]:
        """Remove the upload."""
        return self.last(BlobUpload.abort)

    def detach(self) -> Deferred[None]:
        """Write all that has arrived, and close the upload, which can be resumed."""
        return self.last(BlobUpload.close)

    def letGo(self) -> None:
        """As `detach`, for callers that have no use for a failure."""
        self.detach().addErrback(lambda _: None)  # A fault of the store is logged already; nobody waits for the result.

    def discard(self) -> None:
        """As `abort`, for callers that have no use for a failure."""
        self.abort().addErrback(lambda _: None)  # As in `letGo`. A file that is left over is removed at the next start.

    def giveWay(self) -> None:
        """Close the upload, because another sender takes it over. The sender gets the error "taken_over"."""
        if self._phase is _Phase.OPEN:
            self.letGo()
            self._tell(self._sender.failed, BlobError("taken_over", "a newer connection has taken over this upload"))

    def _tell(self, method: Callable[..., None], *arguments: Any) -> None:
        """Call a method of the sender. If it raises, this upload fails, and no other does."""
        try:
            method(*arguments)
        except Exception:
            self._fail(Failure())

    def _tellProgress(self) -> None:
        if self._phase in (_Phase.OPEN, _Phase.ENDING):
            self._tell(self._sender.progressed)

    # -- writing -------------------------------------------------------------------------------------------------

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
        """Take the next batch from the queue. A step with a Deferred does not run while a sync does."""
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
        """Write a batch, on a thread of the pool. Returns the results of its steps with Deferreds."""
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

    # -- syncing -------------------------------------------------------------------------------------------------

    def _syncIfDue(self) -> None:
        """Begin a sync if one is due. Writing goes on meanwhile."""
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
        """Close the upload. Then fail the Deferreds of all queued steps; if there are none, tell the sender."""
        if self._phase is _Phase.OVER:
            blobErrorOf(failure)  # This logs it; nobody is left to be told.
            return
        self._phase = _Phase.FAILED
        self._failure = self._failure or failure
        self._queue = [item for item in (*batch, *self._queue) if isinstance(item, _Step)]
        size, self._waiting = self._waiting, 0
        self._backlog.remove(size)
        self._close()

    def _close(self) -> None:
        """Close the upload, unless a batch or a sync still uses it. Called again when that is done."""
        if not self._isWriting and not self._isSyncing:
            closed = self._disk.run(self._upload.close)
            # If this fails too, the pool has logged it. The sender is told of the first failure.
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
        """Called when the backlog has become smaller: resume the sender if few enough bytes are queued."""
        if self._waiting <= _HIGH // 2 and not self._backlog.isFull and self._backlog.resume(self):
            self._tell(self._sender.resume)
