"""
All documents of a store: they are read when somebody opens them, and written in batches on a thread.

Nothing is sent before it is on the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.connection import CannotStart, Refused
from wsd.policies.meter import Meter
from wsd.policies.pool import PoolShare
from wsd.protocols.yjs.awareness import Awareness
from wsd.protocols.yjs.document import DocumentBroken, DocumentEditor, DocumentFull, SharedDocument, Then
from wsd.protocols.yjs.options import YjsOptions
from wsd.protocols.yjs.store import Store, Stored, Write
from wsd.protocols.yjs.weights import DocumentWeights
from wsd.protocols.yjs.writing import Batch, BatchWriter

_SWEEP = 10.0
"""Seconds between two checks for clients that are gone and documents that nobody has open."""

_FAILURES = (sqlite3.Error, OSError)


class Documents:
    """The documents of one store, for all routes that use it one after the other."""

    log = Logger(namespace="wsd")

    def __init__(
        self,
        path: Path,
        thread: PoolShare,
        options: YjsOptions,
        clock: IReactorTime,
        now: Callable[[], float],
        meter: Meter | None = None,
    ) -> None:
        """`now` is the time of day, in seconds since 1970."""
        self.options = options
        self._path = path
        self._thread = thread
        self._clock = clock
        self._now = now
        self._store: Store | None = None
        self._stored: dict[str, Stored] = {}
        self._open: dict[str, SharedDocument] = {}
        self._reading: dict[str, list[Deferred[SharedDocument]]] = {}
        self._writer = BatchWriter(clock, self._write)
        self._weights = DocumentWeights(meter, self._relieve)
        self._total = 0
        """Bytes of all documents."""
        self._fault: str | None = None
        """Why the last batch could not be written."""
        self._users: set[object] = set()
        self._starting = DeferredLock()
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = clock

    def __len__(self) -> int:
        """The number of documents, stored or open."""
        return len(self._stored.keys() | self._open.keys())

    # -- starting and stopping ------------------------------------------------------------------------------------

    def start(self, user: object) -> Deferred[None]:
        """Open the store, for this user or for one more. Fails with CannotStart."""
        self._users.add(user)
        return self._starting.run(lambda: Deferred.fromCoroutine(self._start()))

    async def _start(self) -> None:
        if self._store is not None:
            return
        self._thread.reopen()
        try:
            self._store = await self._thread.run(Store, self._path)
            stored = await self._thread.run(self._store.all)
        except _FAILURES as error:
            # Without the path that an OSError names: /readyz shows the cause to everyone.
            reason = error.strerror if isinstance(error, OSError) else error
            raise CannotStart(f"its store cannot be opened: {reason}", str(self._path)) from None
        self._stored = {each.name: each for each in stored}
        self._total = sum(each.size for each in stored)
        self._sweeping.start(_SWEEP, now=False)

    def stop(self, user: object) -> Deferred[None]:
        """Close the store when everything is written, unless there are other users."""
        self._users.discard(user)
        if self._users:
            return succeed(None)
        return self._starting.run(lambda: Deferred.fromCoroutine(self._stop()))

    async def _stop(self) -> None:
        if self._sweeping.running:
            self._sweeping.stop()
        await self._writer.settled()
        store, self._store = self._store, None
        if store is not None:
            await self._thread.run(store.close)
        await self._thread.stop()

    def ready(self) -> str | None:
        """Returns why documents cannot be written now, or None."""
        return None if self._fault is None else f"its store cannot be written: {self._fault}"

    # -- opening and closing documents ----------------------------------------------------------------------------

    async def take(self, name: str) -> SharedDocument:
        """Returns the document of this name. Raises `Refused` (503) if there are too many, or it cannot be read."""
        document = self._open.get(name)
        if document is not None:
            document.used = self._clock.seconds()
            return document
        waiting: Deferred[SharedDocument] = Deferred()
        if name in self._reading:
            self._reading[name].append(waiting)
            return await waiting
        if name not in self._stored and len(self) + len(self._reading) >= self.options.max_documents:
            raise Refused(
                503, f"there are {self.options.max_documents} documents, which is the limit; use one of them instead"
            )
        self._reading[name] = [waiting]
        Deferred.fromCoroutine(self._read(name)).addBoth(self._haveRead, name)
        return await waiting

    async def _read(self, name: str) -> SharedDocument:
        if self._store is None:
            raise Refused(503, "the documents cannot be read now; try again later")
        document = SharedDocument(name, Awareness(self._clock.seconds))
        try:
            document.restore(await self._thread.run(self._store.read, name))
        except (*_FAILURES, ValueError) as error:
            self.log.error(
                "the document {name} cannot be read from {path}: {reason}",
                event="yjs.unreadable",
                name=name,
                path=str(self._path),
                reason=str(error),
            )
            raise Refused(503, "this document cannot be read now; try again later") from None
        document.used = self._clock.seconds()
        self._open[name] = document
        self._weights.weigh(document)
        return document

    def _haveRead(self, result: SharedDocument | Failure, name: str) -> None:
        for waiting in self._reading.pop(name):
            waiting.callback(result)

    # -- moving to a new process ----------------------------------------------------------------------------------

    def isSettled(self) -> bool:
        """Whether everything is on the disk, and everybody knows it."""
        return self._writer.isSettled

    def saveState(self) -> list[Any]:
        """The open documents, with who is at them."""
        return [[each.name, each.size, each.whole(), each.awareness.saveState()] for each in self._open.values()]

    def restoreState(self, saved: list[Any]) -> None:
        """Go on with the open documents of the process before, which has written all of them."""
        for name, size, whole, awareness in saved:
            document = SharedDocument(name, Awareness(self._clock.seconds))
            document.restore([whole])
            document.size = size
            document.awareness.restoreState(awareness)
            document.used = self._clock.seconds()
            self._open[name] = document
            self._weights.weigh(document)

    def openOne(self, name: str) -> SharedDocument:
        """Returns an open document. Raises KeyError if it is not open."""
        return self._open[name]

    def stateComplete(self) -> None:
        """Clients whose connections have not arrived are gone: tell the others."""
        for document in self._open.values():
            document.sendAwareness(document.awareness.remove(None))

    def leave(self, document: SharedDocument, participant: DocumentEditor) -> None:
        """Called when a connection to a document is gone."""
        document.participants.discard(participant)
        document.used = self._clock.seconds()
        document.sendAwareness(document.awareness.remove(participant))

    def _sweep(self) -> None:
        """Drop states of clients that are gone, documents that nobody has open, and stored ones that are unused."""
        unusedSince = self._clock.seconds() - _SWEEP
        for document in list(self._open.values()):
            document.sendAwareness(document.awareness.removeOutdated())
            if not document.participants and document.used <= unusedSince and not self._writer.isWriting:
                self._open.pop(document.name).close()
                self._weights.weigh(document)
        unused = self.options.unused
        if unused and self._store is not None:
            before = self._now() - unused
            names = [name for name, each in self._stored.items() if each.used < before and name not in self._open]
            names = [name for name in names if name not in self._reading]
            if names:
                self._thread.run(self._store.remove, names).addCallbacks(self._removed, self._failed, (names,))

    def _removed(self, _: None, names: list[str]) -> None:
        for name in names:
            if name in self._stored:
                self._total -= self._stored.pop(name).size

    # -- writing --------------------------------------------------------------------------------------------------

    def update(self, document: SharedDocument, update: bytes, then: Then) -> None:
        """
        Apply an update, send it to everyone when it is on the disk, and then call `then`.

        Raises MalformedMessage or DocumentFull, and changes nothing. If the disk fails, the connections of the document
        are closed instead; their clients have what was not stored, and send it when they connect again.
        """
        if self._total + len(update) > self.options.max_total:
            raise DocumentFull("the store of documents is full")
        before = document.size
        try:
            change = document.apply(update, self.options.max_document)
        except DocumentBroken:
            self._failed(Failure())
            self._drop(document, "the server failed at an update of this document; reconnect")
            return
        self._total += document.size - before
        self._weights.weigh(document)
        if change is not None:
            self._writer.add(document, Write(document.name, change), lambda: document.sendUpdate(change))
        self.whenWritten(document, then)

    def whenWritten(self, document: SharedDocument, then: Then) -> None:
        """
        Call `then` when everything that was applied to this document until now is on the disk.

        It is never called if that cannot be written: the connections of the document are closed.
        """
        self._writer.whenWritten(document, then)

    def _write(self, batch: Batch) -> Deferred[None]:
        states = {document: document.state for document in batch.documents}
        for document in states:
            if document.needsCompaction:
                before = document.size
                batch.writes = [each for each in batch.writes if each.name != document.name]
                batch.writes.append(Write(document.name, document.compact(), replaces=True))
                self._total += document.size - before
                self._weights.weigh(document)
        written: Deferred[None] = succeed(None)
        if batch.writes and self._store is not None:
            written = self._thread.run(self._store.write, batch.writes, self._now())
        written.addCallbacks(self._written, self._notWritten, (batch, states), {}, (batch,))
        return written.addErrback(self._failed)

    def _written(self, _: None, batch: Batch, states: dict[SharedDocument, bytes]) -> None:
        if batch.writes:
            self._fault = None
        now = self._now()
        for document in states:
            self._stored[document.name] = Stored(document.name, document.size, now)
        for _document, then in batch.thens:
            then()
        for document, state in states.items():
            document.written = state

    def _notWritten(self, failure: Failure, batch: Batch) -> None:
        """Called when the disk failed: forget what it does not have. The clients have it, and send it again."""
        failure.trap(*_FAILURES)
        self._fault = str(failure.value)
        self.log.error(
            "documents cannot be stored in {path}: {reason}",
            event="yjs.unwritable",
            path=str(self._path),
            reason=self._fault,
        )
        following = self._writer.takeNext()
        for document in {*batch.documents, *following.documents}:
            self._drop(document, "the document cannot be stored now; reconnect to send what is missing")
        for document, then in (*batch.thens, *following.thens):
            if not document.isClosed:
                then()

    def _drop(self, document: SharedDocument, sentence: str) -> None:
        """Forget an open document, and close its connections, whose clients read it again from the disk."""
        if document.isClosed:
            return
        self._open.pop(document.name, None)
        document.close()
        self._weights.weigh(document)
        stored = self._stored.get(document.name)
        self._total += (0 if stored is None else stored.size) - document.size
        for participant in list(document.participants):
            participant.lose(sentence)

    def _relieve(self, document: SharedDocument) -> None:
        """Called when memory is short: close a document, whose clients have what is not on the disk."""
        self._drop(document, "the server has no memory left for this document; reconnect later")

    def _failed(self, failure: Failure) -> None:
        self.log.failure("the documents of {path} failed", failure, event="yjs.failed", path=str(self._path))
