"""One WebSocket of a route of yjs documents: what y-websocket's provider connects to."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from wsd.connection import Accept, Closed, Connection, Refused, Request
from wsd.frames.codes import CloseCode
from wsd.frames.prepared import Prepared
from wsd.head import decodedPath
from wsd.metrics import Cause
from wsd.protocols.yjs.awareness import MOST_CLIENTS
from wsd.protocols.yjs.document import DocumentFull, SharedDocument, isInstalled
from wsd.protocols.yjs.documents import Documents
from wsd.protocols.yjs.messages import (
    ClientState,
    MalformedMessage,
    MessageType,
    Reader,
    SyncStep,
    awarenessMessage,
    readAwareness,
    syncMessage,
)
from wsd.protocols.yjs.updates import checkUpdate, updateChecks

MISSING = "yjs documents need pycrdt, which is not installed"

_LONGEST_NAME = 200
"""Bytes of a document's name in UTF-8."""

_MOST_PENDING = 1024 * 1024
"""Bytes of a client's updates that are not on the disk, beyond which it is not read."""


_CHECKED_AT_ONCE = 16 * 1024
"""Bytes of an update that is checked at once. A larger one is checked in steps, between which others are served."""


class YjsConnection(Connection):
    """A participant of a document."""

    documents: Documents
    """Set by the factory."""
    below: str
    """The path up to the name of a document. Set by the factory."""
    _document: SharedDocument
    _pending = 0
    """Bytes of updates that are not on the disk yet."""
    _isHeld = False
    """Whether the client is not read, since too much is pending."""
    _seen: bytes | None = None
    """While the client reads too slowly: the state vector of what it was sent. It gets the rest at once, later."""

    async def opening(self, request: Request) -> Accept:
        """Open the document that the path names."""
        if not isInstalled():
            raise Refused(501, f"{MISSING}: pip install pycrdt")
        self._document = await self.documents.take(self._nameIn(request))
        return Accept(self.factory.choose(request.subprotocols))

    def _nameIn(self, request: Request) -> str:
        return nameOf(decodedPath(request.head.path).removeprefix(decodedPath(self.below)))

    def opened(self) -> None:
        """Called when the connection is open: ask for what we do not have, and say who is here."""
        if self._document.isClosed:
            self.lose("the document was closed meanwhile; reconnect")
            return
        self._document.participants.add(self)
        self.send(syncMessage(SyncStep.STATE_VECTOR, self._document.state))
        self._sendStates()

    def closed(self, code: int, reason: str) -> None:
        """Called when the connection is gone: leave the document."""
        self.documents.leave(self._document, self)

    # -- moving to a new process ----------------------------------------------------------------------------------

    @property
    def canMove(self) -> bool:
        """Whether everything that the client has sent is on the disk, and what it waits for is sent."""
        return not self._pending and self.documents.isSettled()

    def saveState(self) -> dict[str, Any]:
        """Whose states came from here, and what a slow client was sent."""
        return {"clients": self._document.awareness.ownedBy(self), "seen": self._seen}

    def restoreState(self, state: Any, version: int) -> None:
        """Join the document again. Nobody is told: the client was there before."""
        self._document = self.documents.openOne(self._nameIn(self.request))
        self._document.participants.add(self)
        self._document.awareness.adopt(state["clients"], self)
        self._seen = state["seen"]

    # -- from the client ------------------------------------------------------------------------------------------

    def received(self, payload: bytes, isBinary: bool) -> None:
        """Called with a message."""
        if not isBinary:
            raise Closed(CloseCode.UNSUPPORTED_DATA, "messages of y-websocket are binary")
        try:
            self._handle(Reader(payload))
        except MalformedMessage as error:
            raise Closed(CloseCode.INVALID_DATA, str(error)) from None
        except DocumentFull as error:
            raise Closed(CloseCode.MESSAGE_TOO_BIG, str(error)) from None

    def _handle(self, message: Reader) -> None:
        kind = message.number()
        if kind == MessageType.SYNC:
            self._sync(message.number(), message.bytes_())
        elif kind == MessageType.AWARENESS:
            self._states(readAwareness(message.bytes_(), MOST_CLIENTS))
        elif kind == MessageType.QUERY_AWARENESS:
            self._sendStates()
        elif kind != MessageType.AUTH:
            raise MalformedMessage(f"a message has the unknown type {kind}")

    def _states(self, states: list[ClientState]) -> None:
        awareness = self._document.awareness
        self._document.sendAwareness(awareness.accept(states, self, self.options.max_awareness))
        if forgotten := awareness.forgotten(states):
            self.send(awarenessMessage(forgotten))

    def _sync(self, step: int, data: bytes) -> None:
        if step == SyncStep.STATE_VECTOR:
            # Made now, sent when it is on the disk: nobody sees an update that could still be lost.
            missing = syncMessage(SyncStep.MISSING, self._document.missing(data))
            self.documents.whenWritten(self._document, lambda: self.send(missing))
        elif step in (SyncStep.MISSING, SyncStep.UPDATE):
            self._pending += len(data)
            if len(data) > _CHECKED_AT_ONCE:
                self.hold()
                self.noteHandled(len(data))
                self.factory.turns.add(self._checking(data, updateChecks(data)))
            else:
                checkUpdate(data)
                self._update(data)
        else:
            raise MalformedMessage(f"a sync message has the unknown step {step}")

    def _checking(self, update: bytes, checks: Iterator[None]) -> Callable[[], bool]:
        """Returns the steps in which a large update is checked and then applied. Nothing is read meanwhile."""

        def step() -> bool:
            isOver = self.state != self.STATE_OPEN or self._document.isClosed
            try:
                if not isOver:
                    isOver = next(checks, self) is self
                    if isOver:
                        self._update(update)
            except MalformedMessage as error:
                isOver = True
                self.close(CloseCode.INVALID_DATA, str(error))
            except DocumentFull as error:
                self.close(CloseCode.MESSAGE_TOO_BIG, str(error))
            if isOver:
                self.noteHandled(-len(update))
                self.release()
            return not isOver

        return step

    def _update(self, data: bytes) -> None:
        """Apply an update. While much of this client's is not on the disk, it is not read."""
        self.documents.update(self._document, data, lambda: self._stored(len(data)))
        if self._pending > _MOST_PENDING and not self._isHeld:
            self._isHeld = True
            self.hold()

    def _stored(self, size: int) -> None:
        """Called when an update of this client is on the disk."""
        self._pending -= size
        if self._isHeld and self._pending <= _MOST_PENDING:
            self._isHeld = False
            self.release()

    # -- to the client --------------------------------------------------------------------------------------------

    def take(self, message: Prepared, isUpdate: bool) -> None:
        """Called with a message for everyone at the document."""
        if self._seen is None:
            self.send(message)
        elif isUpdate:
            self.factory.counters.skipped += 1

    def lose(self, sentence: str) -> None:
        """Called when the document was dropped."""
        self.close(CloseCode.TRY_AGAIN_LATER, sentence, Cause.internal_error)

    def full(self) -> None:
        """Called when the client reads too slowly: send it nothing more for now."""
        if self._seen is None:
            self._seen = self._document.written

    def drained(self) -> None:
        """Called when the client has read what was sent: send everything since then as one update."""
        if self._seen is None:
            return
        missed = syncMessage(SyncStep.UPDATE, self._document.missing(self._seen))
        self._seen = None
        self.documents.whenWritten(self._document, lambda: self.send(missed))
        self._sendStates()

    def _sendStates(self) -> None:
        if states := self._document.awareness.states:
            self.send(awarenessMessage(states))


def nameOf(path: str) -> str:
    """Returns the name of a document, from the percent-encoded rest of the path. Raises `Refused` (404)."""
    try:
        name = unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise Refused(404, "the name of a document is not UTF-8") from None
    if not 0 < len(name.encode()) <= _LONGEST_NAME:
        raise Refused(
            404, f"the name of a document must have 1 to {_LONGEST_NAME} bytes; write it after the route's path"
        )
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise Refused(404, "the name of a document has a control character")
    return name
