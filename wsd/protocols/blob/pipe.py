"""The way of one file's bytes to the disk: in order, off the reactor's thread, and with an end to what may wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from wsd.protocols.blob.errors import BlobError, blobErrorOf
from wsd.protocols.blob.index import Blob
from wsd.protocols.blob.iopool import IoPool
from wsd.protocols.blob.part import Part

_T = TypeVar("_T")

_BATCH = 1 << 20
"""Bytes that one turn on the pool writes at most, or a piece more."""
_HIGH = 3 << 20
"""Bytes of one file that may wait to be written; then its sender waits."""


@dataclass(frozen=True, slots=True)
class Syncing:
    """When bytes are brought to the disk for good: with "each" piece, at an "interval", or at the "end"."""

    policy: str = "interval"
    seconds: float = 1.0
    bytes: int = 32 << 20
    """At an interval, not more than so many bytes are at stake."""


class Watcher(Protocol):
    """Who sends the bytes of a pipe, and is told how it goes."""

    def pause(self) -> None:
        """More has come than is written: stop reading."""

    def resume(self) -> None:
        """Go on reading."""

    def progressed(self) -> None:
        """More is written, or counts."""

    def failed(self, error: BlobError) -> None:
        """The transfer is over: set down, or removed."""


@dataclass(frozen=True, slots=True)
class _Step:
    """Something to do with the part when all before it is done."""

    work: Callable[[Part], Any]
    done: Deferred[Any] | None = None


class Pipe:
    """
    What is written to it reaches its part in order, one batch on the pool at a time.

    `written` and `durable` are what has been reached. After `finish`, `abort` or `detach`, and after an error, it takes
    no more.
    """

    def __init__(self, disk: IoPool, part: Part, syncing: Syncing, clock: IReactorTime, watcher: Watcher) -> None:
        self._disk = disk
        self._part = part
        self._syncing = syncing
        self._clock = clock
        self._watcher = watcher
        self._pending: list[bytes | _Step] = []
        self._waiting = 0
        self._busy = False
        self._paused = False
        self._ended = False
        self._isSyncing = False
        self._failure: Failure | None = None
        """What went wrong, until it is told: who asks meanwhile is told with the others."""
        self._later: Any = None
        self._synced = clock.seconds()
        self.gone: Deferred[None] = Deferred()
        """Fires when the part is let go of."""
        self._note()

    @property
    def name(self) -> str:
        """That of the part."""
        return self._part.name

    @property
    def user(self) -> str:
        """The user whose file it is."""
        return self._part.wanted.user

    @property
    def size(self) -> int | None:
        """Bytes that were announced."""
        return self._part.size

    def _note(self) -> None:
        self.written, self.durable = self._part.written, self._part.durable

    # -- what a sender calls --------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Some bytes."""
        if self._ended:
            return
        self._pending.append(data)
        self._waiting += len(data)
        self._disk.waiting += len(data)
        if not self._paused and (self._waiting > _HIGH or self._disk.waiting > self._disk.most):
            self._paused = True
            self._disk.paused.add(self)
            self._watcher.pause()
        self._turn()

    def do(self, work: Callable[[Part], Any]) -> None:
        """Do this with the part when all before it is written."""
        if not self._ended:
            self._pending.append(_Step(work))
            self._turn()

    def ask(self, work: Callable[[Part], _T]) -> Deferred[_T]:
        """As `do`, and say what comes of it. Fails with BlobError."""
        done: Deferred[_T] = Deferred()
        if self._ended and self._failure is None:
            return fail(BlobError("no_transfer", "this transfer is over; begin it again"))
        self._pending.append(_Step(work, done))
        if self._failure is None:
            self._turn()
        return done

    def sync(self) -> Deferred[int]:
        """Bring all of it to the disk now."""
        return self.ask(Part.sync)

    def finish(self, digest: str | None = None) -> Deferred[Blob]:
        """Make it a file."""
        return self.last(lambda part: part.finish(digest))

    def abort(self) -> Deferred[None]:
        """Remove it."""
        return self.last(Part.abort)

    def detach(self) -> Deferred[None]:
        """Write what has come, and set it down."""
        return self.last(Part.close)

    def letGo(self) -> None:
        """As `detach`, for callers that cannot handle a failure; the log has it."""
        self.detach().addErrback(lambda _: None)

    def giveWay(self) -> None:
        """Somebody else goes on with this transfer: it is set down, and its sender told."""
        if not self._ended:
            self.letGo()
            self._watcher.failed(BlobError("taken_over", "a newer connection goes on with this transfer"))

    def last(self, work: Callable[[Part], _T]) -> Deferred[_T]:
        """As `ask`; nothing comes after it."""
        done = self.ask(work)
        self._ended = True
        return done

    # -- turns on the pool ----------------------------------------------------------------------------------------

    def _turn(self) -> None:
        if self._busy or not self._pending:
            return
        batch, size = self._batch()
        if batch:
            self._busy = True
            working = self._disk.run(self._work, batch)
            working.addCallbacks(self._worked, self._workFailed, callbackArgs=(size,), errbackArgs=(batch,))

    def _batch(self) -> tuple[list[bytes | _Step], int]:
        """What is written next. Who asks has to wait while a sync goes on beside."""
        size = count = 0
        for item in self._pending:
            if isinstance(item, bytes):
                size += len(item)
            elif item.done is not None and self._isSyncing:
                break
            count += 1
            if size >= _BATCH:
                break
        batch, self._pending = self._pending[:count], self._pending[count:]
        return batch, size

    def _work(self, batch: Sequence[bytes | _Step]) -> list[tuple[Deferred[Any], Any]]:
        """On a thread of the pool."""
        part, data = self._part, []
        results: list[tuple[Deferred[Any], Any]] = []
        for item in batch:
            if isinstance(item, bytes):
                data.append(item)
                continue
            if data:
                part.append(data)
                data = []
            result = item.work(part)
            if item.done is not None:
                results.append((item.done, result))
        if data:
            part.append(data)
        return results

    def _worked(self, results: list[tuple[Deferred[Any], Any]], size: int) -> None:
        self._busy = False
        self._note()
        for done, result in results:
            done.callback(result)
        if self._failure is not None:
            self._setDown()
            return
        self._waiting -= size
        if not self._part.isOpen:
            self._over()
        else:
            self._syncIfDue()
            self._watcher.progressed()
        self._disk.taken(size)
        self._turn()

    # -- to the disk for good -------------------------------------------------------------------------------------

    def _syncIfDue(self) -> None:
        """Beside the writing, which goes on meanwhile."""
        if self._ended or self._isSyncing or self._part.checked <= self.durable or self._syncing.policy == "end":
            return
        syncing, now = self._syncing, self._clock.seconds()
        at = self._synced + syncing.seconds
        if syncing.policy == "each" or now >= at or self._part.checked - self.durable >= syncing.bytes:
            self._isSyncing, self._synced = True, now
            self._disk.run(self._part.sync).addCallbacks(self._syncDone, self._syncFailed)
        elif self._later is None or not self._later.active():
            # What comes last before a pause counts in time as well.
            self._later = self._clock.callLater(at - now, self._syncIfDue)

    def _syncDone(self, _: int) -> None:
        self._isSyncing = False
        self._note()
        if self._failure is not None:
            self._setDown()
            return
        self._watcher.progressed()
        self._syncIfDue()
        self._turn()

    # -- going wrong ----------------------------------------------------------------------------------------------

    def _workFailed(self, failure: Failure, batch: list[bytes | _Step]) -> None:
        self._busy = False
        self._fail(failure, batch)

    def _syncFailed(self, failure: Failure) -> None:
        self._isSyncing = False
        self._fail(failure, [])

    def _fail(self, failure: Failure, batch: list[bytes | _Step]) -> None:
        """Nothing more is done with the part but to set it down."""
        self._ended = True
        self._failure = self._failure or failure
        self._pending = [item for item in (*batch, *self._pending) if isinstance(item, _Step)]
        size, self._waiting = self._waiting, 0
        self._disk.taken(size)
        self._setDown()

    def _setDown(self) -> None:
        if not self._busy and not self._isSyncing:
            setDown = self._disk.run(self._part.close)
            setDown.addErrback(lambda _: None)
            setDown.addCallback(lambda _: self._tell())

    def _tell(self) -> None:
        failure, self._failure = self._failure, None
        assert failure is not None
        self._note()
        self._over()
        steps, self._pending = self._pending, []
        asked = [item.done for item in steps if isinstance(item, _Step) and item.done is not None]
        for done in asked:
            done.errback(failure)
        if not asked:
            self._watcher.failed(blobErrorOf(failure))

    def _over(self) -> None:
        self._ended = True
        if self._later is not None and self._later.active():
            self._later.cancel()
        self._disk.paused.discard(self)
        if self._paused:
            self._paused = False
            self._watcher.resume()
        self.gone.callback(None)

    def reconsider(self) -> None:
        """Less waits than before."""
        if self._paused and self._waiting <= _HIGH // 2 and self._disk.waiting <= self._disk.most:
            self._paused = False
            self._disk.paused.discard(self)
            self._watcher.resume()
