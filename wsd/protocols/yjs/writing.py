"""
Writes the updates of documents in batches: while one is written, the next one gathers.

So one sync of the disk serves all updates that came meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from wsd.protocols.yjs.document import SharedDocument, Then
from wsd.protocols.yjs.store import Write


@dataclass(slots=True)
class Batch:
    """Updates that are written together, and what is done then."""

    writes: list[Write] = field(default_factory=list)
    documents: list[SharedDocument] = field(default_factory=list)
    """The documents that change, once for each update."""
    thens: list[tuple[SharedDocument, Then]] = field(default_factory=list)


class BatchWriter:
    """Gathers batches. `write` writes one, and returns a Deferred that fires when it is done with it."""

    log = Logger(namespace="wsd")

    def __init__(self, clock: IReactorTime, write: Callable[[Batch], Deferred[None]]) -> None:
        self._clock = clock
        self._write = write
        self._next = Batch()
        self._idle: Deferred[None] | None = None
        self.isWriting = False
        """Whether a batch is being written, or is about to be."""

    @property
    def isSettled(self) -> bool:
        """Whether everything is written, and everybody knows it."""
        return not self.isWriting and not self._next.thens

    def add(self, document: SharedDocument, write: Write, then: Then) -> None:
        """Write this with the next batch, and then call `then`."""
        self._next.writes.append(write)
        self._next.documents.append(document)
        self._gather(document, then)

    def whenWritten(self, document: SharedDocument, then: Then) -> None:
        """Call `then` when everything that was added until now is written: now, if it is."""
        if self.isSettled:
            then()
        else:
            self._gather(document, then)

    def takeNext(self) -> Batch:
        """Returns what has gathered, which is not written then."""
        batch, self._next = self._next, Batch()
        return batch

    def settled(self) -> Deferred[None]:
        """Fires when nothing is being written."""
        if not self.isWriting:
            return succeed(None)
        self._idle = Deferred()
        return self._idle

    def _gather(self, document: SharedDocument, then: Then) -> None:
        self._next.thens.append((document, then))
        if not self.isWriting:
            self.isWriting = True
            # The updates of one turn of the reactor are one batch.
            self._clock.callLater(0, self._begin)

    def _begin(self) -> None:
        written = maybeDeferred(self._write, self.takeNext())
        # Without this, the next batch would never be written.
        written.addErrback(lambda failure: self.log.failure("a batch failed", failure, event="yjs.failed"))
        written.addBoth(self._end)

    def _end(self, _: object) -> None:
        self.isWriting = bool(self._next.thens)
        if self.isWriting:
            self._clock.callLater(0, self._begin)
        elif self._idle is not None:
            idle, self._idle = self._idle, None
            idle.callback(None)
