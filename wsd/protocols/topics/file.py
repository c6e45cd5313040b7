"""
The file backend: topics in memory, and all that is kept of them in a journal.

Publishes are gathered into batches. A batch is applied in memory, written to the journal on a thread, and delivered and
acknowledged when it is on the disk. Meanwhile the next batch gathers, so that one sync serves all that came during the
one before. What reads a topic waits in the same queue, and so never sees what is not on the disk.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.connection import CannotStart
from wsd.policies.meter import Meter
from wsd.protocols.topics.backend import Acknowledgement, BackendReceiver, Bounds
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.journal import Changes, Journal, Kept
from wsd.protocols.topics.local import LocalBackend
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import Publication, TopicMessage
from wsd.protocols.topics.recorded import RecordedTopics
from wsd.protocols.topics.topic import Recovered, Retention

_T = TypeVar("_T")

_BATCH = 5000
"""Operations of a batch."""

_MOST_WAITING = 20_000
"""Operations that may wait for the disk."""

_RETRY = 1.0
"""Seconds between two attempts to use a journal that failed."""


class Thread(Protocol):
    """A thread that does one job after the other."""

    def run(self, work: Callable[..., _T], /, *arguments: Any) -> Deferred[_T]:
        """Do the work on it."""

    def stop(self) -> Deferred[None]:
        """Fires when the last job is done."""

    def reopen(self) -> None:
        """Do jobs again."""


class _Operation:
    """Something to do with the topics, and the Deferred of its caller."""

    __slots__ = ("delivered", "do", "done", "result")

    def __init__(self, do: Callable[[RecordedTopics], Deferred[Any]]) -> None:
        self.do = do
        self.done: Deferred[Any] = Deferred()
        self.result: Deferred[Any] | None = None
        self.delivered: list[Publication] = []
        """What it has published, to be delivered when it is on the disk."""


class State(Enum):
    """What the backend is doing."""

    stopped = auto()
    idle = auto()
    writing = auto()
    """A batch is on its way to the disk."""
    failed = auto()
    """The journal cannot be used; it is tried again."""


class FileBackend(LocalBackend):
    """`backend.Backend` in a file of one process."""

    log = Logger(namespace="wsd")

    def __init__(
        self,
        keep: Retention,
        bounds: Bounds,
        thread: Thread,
        openJournal: Callable[[], Journal],
        clock: IReactorTime,
        now: Callable[[], float],
        path: str = "",
        meter: Meter | None = None,
    ) -> None:
        """`now` is the time of day, since ages are compared over a restart. `path` is for the log."""
        super().__init__(keep, bounds)
        self._meter = meter
        self._thread = thread
        self._openJournal = openJournal
        self._clock = clock
        self._now = now
        self._path = path
        self._state = State.stopped
        self._journal: Journal | None = None
        self._model = RecordedTopics(keep, bounds, now, meter)
        self._queue: deque[_Operation] = deque()
        self._fault: str | None = None
        self._retrying: IDelayedCall | None = None
        self._emptied: list[Deferred[None]] = []

    def configure(self, keep: Retention, bounds: Bounds) -> None:
        """Limits that hold from now on."""
        super().configure(keep, bounds)
        self._model.configure(keep, bounds)

    # -- life -----------------------------------------------------------------------------------------------------

    async def _start(self, receiver: BackendReceiver) -> None:
        await super().start(receiver)
        self._thread.reopen()
        self._journal = await self._thread.run(self._openJournal)
        self._load(await self._thread.run(self._journal.load))
        self._state = State.idle

    def start(self, receiver: BackendReceiver) -> Deferred[None]:
        """Read the journal, and begin to deliver. Fails with CannotStart if it cannot be read."""
        return Deferred.fromCoroutine(self._start(receiver)).addErrback(self._unreadable)

    def _unreadable(self, failure: Failure) -> None:
        failure.trap(sqlite3.Error, OSError)
        # Without the path that an OSError names: /readyz shows the cause to everyone.
        reason = getattr(failure.value, "strerror", None) or failure.value
        raise CannotStart(f"its store cannot be opened: {reason}", self._path) from failure.value

    def _load(self, kept: Kept) -> None:
        self._model = RecordedTopics(self._keep, self._bounds, self._now, self._meter)
        self._model.restore(kept)

    async def _stop(self) -> None:
        if self._retrying is not None:
            self._retrying.cancel()
            self._retrying = None
        if self._state is State.writing:
            emptied: Deferred[None] = Deferred()
            self._emptied.append(emptied)
            await emptied
        self._state = State.stopped
        self._refuseAll("the daemon is stopping")
        await super().stop()
        self._model.stop()
        journal, self._journal = self._journal, None
        if journal is not None:
            await self._thread.run(journal.close)
        await self._thread.stop()

    def stop(self) -> Deferred[None]:
        """Write what waits, and close the file. `start` may be called again."""
        return Deferred.fromCoroutine(self._stop())

    def ready(self) -> str | None:
        """Why nothing can be published."""
        return None if self._fault is None else f"topics cannot be written: {self._fault}"

    # -- what callers ask for -------------------------------------------------------------------------------------

    def publish(self, topic: str, message: TopicMessage) -> Deferred[Acknowledgement]:
        """Publish. Fires when the message is on the disk."""
        return self._add(lambda model: model.publish(topic, message))

    def publishAll(self, topic: str, messages: list[TopicMessage]) -> Deferred[list[Acknowledgement]]:
        """Publish several messages in one step: all of them, or none."""
        return self._add(lambda model: model.publishAll(topic, messages))

    def newest(self, topic: str, count: int) -> Deferred[Recovered]:
        """The newest publications of a topic, at most `count`."""
        return self._add(lambda model: model.newest(topic, count))

    def since(self, topic: str, position: Position) -> Deferred[Recovered]:
        """Everything behind a position, as far as it is kept."""
        return self._add(lambda model: model.since(topic, position))

    def last(self, pattern: tuple[str, ...]) -> Deferred[list[Publication]]:
        """The last values of all topics that a filter matches."""
        return self._add(lambda model: model.last(pattern))

    def names(self, count: int) -> Deferred[list[str]]:
        """The topics that keep something, the newest first, at most `count`."""
        return self._add(lambda model: model.names(count))

    def clear(self, topic: str) -> Deferred[None]:
        """Drop history and last values of a topic."""
        return self._add(lambda model: model.clear(topic))

    # -- batches --------------------------------------------------------------------------------------------------

    def _add(self, do: Callable[[RecordedTopics], Deferred[_T]]) -> Deferred[_T]:
        if self._state in (State.failed, State.stopped):
            return fail(TopicError("unavailable", "the topics file is not available; try again later"))
        if len(self._queue) >= _MOST_WAITING:
            return fail(
                TopicError("busy", f"{_MOST_WAITING} messages are already waiting for the disk; try again later")
            )
        operation = _Operation(do)
        self._queue.append(operation)
        if self._state is State.idle:
            self._next()
        return operation.done

    def _next(self) -> None:
        """Apply what waits, and write it. Without changes it is done at once."""
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            for operation in batch:
                operation.result = maybeDeferred(operation.do, self._model)
                operation.delivered = self._model.takePublications()
            changes = self._model.takeChanges()
            self._state = State.writing
            if not changes.isEmpty:
                self._write(batch, changes)
                return
            self._settle(batch)
        self._state = State.idle
        emptied, self._emptied = self._emptied, []
        for waiting in emptied:
            waiting.callback(None)

    def _write(self, batch: list[_Operation], changes: Changes) -> None:
        assert self._journal is not None
        written = self._thread.run(self._journal.write, changes)
        written.addCallbacks(self._written, self._failed, callbackArgs=(batch,), errbackArgs=(batch,))
        written.addErrback(lambda failure: self.log.failure("topics failed", failure, event="topics.store"))

    def _written(self, _: None, batch: list[_Operation]) -> None:
        self._settle(batch)
        self._next()

    def _settle(self, batch: list[_Operation]) -> None:
        """Deliver and acknowledge, in the order in which it was asked for."""
        for operation in batch:
            self._deliverAll(operation.delivered)
            assert operation.result is not None
            operation.result.chainDeferred(operation.done)

    def _deliverAll(self, publications: Iterable[Publication]) -> None:
        try:
            with self._gathering():
                for publication in publications:
                    self._deliver(publication)
        except Exception:
            self.log.failure("a delivery failed", Failure(), event="topics.store")

    # -- faults ---------------------------------------------------------------------------------------------------

    def _failed(self, failure: Failure, batch: list[_Operation]) -> None:
        """Nothing of the batch is on the disk: it is refused, and the journal is read again before anything else."""
        for operation in batch:
            assert operation.result is not None
            operation.result.addErrback(lambda _: None)  # Nobody is told this result: the batch is refused below.
        self._state = State.failed
        self._fault = _sentence(failure)
        self.log.critical(
            "{path}: topics cannot be written, and publishes are refused until they can: {sentence}",
            event="topics.store",
            path=self._path,
            sentence=self._fault,
        )
        self._queue.extendleft(reversed(batch))
        self._refuseAll(self._fault)
        self._retrying = self._clock.callLater(_RETRY, self._retry)

    def _refuseAll(self, sentence: str) -> None:
        refused, self._queue = self._queue, deque()
        for operation in refused:
            operation.done.errback(TopicError("unavailable", f"the message is not published: {sentence}"))
        emptied, self._emptied = self._emptied, []
        for waiting in emptied:
            waiting.callback(None)

    def _retry(self) -> None:
        self._retrying = None
        Deferred.fromCoroutine(self._recover()).addErrback(self._stillFailed)

    async def _recover(self) -> None:
        assert self._journal is not None
        await self._thread.run(self._journal.probe)
        kept = await self._thread.run(self._journal.load)
        if self._state is not State.failed:
            return
        self._load(kept)
        self._fault = None
        self._state = State.idle
        self.log.info("{path}: topics can be written again", event="topics.store", path=self._path)

    def _stillFailed(self, failure: Failure) -> None:
        if self._state is State.failed:
            self._fault = _sentence(failure)
            self._retrying = self._clock.callLater(_RETRY, self._retry)


def _sentence(failure: Failure) -> str:
    if failure.check(sqlite3.Error, OSError):
        return str(failure.value)
    return f"{type(failure.value).__name__}: {failure.value}"
