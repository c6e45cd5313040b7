"""The way of one file's bytes to the disk: in order, off the reactor's thread, and with an end to what may wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from wsd.protocols.blob.disk import Disk
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.index import Blob
from wsd.protocols.blob.part import Part

_T = TypeVar("_T")

_BATCH = 4 << 20
"""Bytes that one turn on the pool writes at most."""
_HIGH = 1 << 20
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

    def __init__(self, disk: Disk, part: Part, syncing: Syncing, clock: IReactorTime, watcher: Watcher) -> None:
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
        self._isBreaking = False
        """Something went wrong, and nobody has been told yet: who asks now is told with the others."""
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
        if self._ended and not self._isBreaking:
            return fail(BlobError("no_transfer", "this transfer is over; begin it again"))
        self._pending.append(_Step(work, done))
        if not self._isBreaking:
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

    def giveWay(self) -> None:
        """Somebody else goes on with this transfer: it is set down, and its sender told."""
        if not self._ended:
            self.detach().addErrback(lambda _: None)
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
        self._busy = True
        sync = self._isDue(size)
        working = self._disk.run(self._work, batch, sync)
        working.addCallbacks(self._worked, self._broke, callbackArgs=(size, sync), errbackArgs=(batch, size))

    def _batch(self) -> tuple[list[bytes | _Step], int]:
        pending, size, count = self._pending, 0, 0
        for item in pending:
            size += len(item) if isinstance(item, bytes) else 0
            count += 1
            if size >= _BATCH:
                break
        self._pending = pending[count:]
        return pending[:count], size

    def _isDue(self, size: int) -> bool:
        syncing = self._syncing
        if syncing.policy != "interval":
            return syncing.policy == "each"
        late = self._clock.seconds() - self._synced >= syncing.seconds
        return late or self.written + size - self.durable >= syncing.bytes

    def _work(self, batch: Sequence[bytes | _Step], sync: bool) -> list[tuple[Deferred[Any], Any]]:
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
        if sync and part.isOpen:
            part.sync()
        return results

    def _worked(self, results: list[tuple[Deferred[Any], Any]], size: int, sync: bool) -> None:
        self._busy = False
        self._waiting -= size
        if sync:
            self._synced = self._clock.seconds()
        self._note()
        over = not self._part.isOpen
        for done, result in results:
            done.callback(result)
        if over:
            self._over()
        else:
            self._syncLater()
            self._watcher.progressed()
        self._disk.taken(size)
        self._turn()

    def _syncLater(self) -> None:
        """What comes last before a pause counts in time as well."""
        idle = self._later is None or not self._later.active()
        if self._syncing.policy == "interval" and self.written > self.durable and idle and not self._ended:
            self._later = self._clock.callLater(self._syncing.seconds, self._syncNow)

    def _syncNow(self) -> None:
        if not self._ended and self.written > self.durable:
            self._synced = float("-inf")
            self.do(lambda part: None)

    def _broke(self, failure: Failure, batch: list[bytes | _Step], size: int) -> None:
        """Nothing more is done with the part but to set it down."""
        self._ended = self._isBreaking = True
        self._pending = [item for item in (*batch, *self._pending) if isinstance(item, _Step)]
        size, self._waiting = self._waiting, 0
        self._disk.taken(size)
        setDown = self._disk.run(self._part.close)
        setDown.addErrback(lambda _: None)
        setDown.addCallback(lambda _: self._tell(failure))

    def _tell(self, failure: Failure) -> None:
        self._isBreaking = False
        self._note()
        self._over()
        steps, self._pending = self._pending, []
        asked = [item.done for item in steps if isinstance(item, _Step) and item.done is not None]
        for done in asked:
            done.errback(failure)
        if not asked:
            error = failure.value
            if not isinstance(error, BlobError):
                failure.raiseException()
            self._watcher.failed(error)

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
