"""One document: its content, and the connections that have it open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from wsd.frames.prepared import Prepared
from wsd.protocols.yjs.awareness import Awareness
from wsd.protocols.yjs.messages import ClientState, MalformedMessage, SyncStep, awarenessMessage, syncMessage

if TYPE_CHECKING:
    from pycrdt import Doc, TransactionEvent

_LEAST_COMPACTED = 65536
"""Bytes of updates below which a document is not written anew."""


def isInstalled() -> bool:
    """Whether pycrdt is installed, which holds the documents."""
    return find_spec("pycrdt") is not None


class DocumentEditor(Protocol):
    """A connection to a document."""

    def take(self, message: Prepared, isUpdate: bool) -> None:
        """Called with a message for everyone at the document."""

    def lose(self, sentence: str) -> None:
        """Called when the document was dropped: close, for this reason."""


class DocumentFull(Exception):
    """Raised when an update would make a document too large, with a sentence."""


class DocumentBroken(Exception):
    """Raised when pycrdt panicked: nobody knows what the document is like now."""


class SharedDocument:
    """
    The content is a `pycrdt.Doc`. Updates are applied at once, and sent to everyone when they are on the disk.

    `size` counts the bytes of its updates in the store. When they have doubled, the document is written anew as one.
    """

    def __init__(self, name: str, awareness: Awareness) -> None:
        from pycrdt import Doc

        self.name = name
        self.awareness = awareness
        self.participants: set[DocumentEditor] = set()
        self.used = 0.0
        """When a connection last opened or left it."""
        self.size = 0
        self.written = b"\x00"
        """The state vector of what is on the disk: everything up to it has been sent to everyone."""
        self.isClosed = False
        """Whether it was forgotten: it takes nothing more, and who wants it opens it anew."""
        self._compacted = 0
        self._isDue = False
        """Whether its updates have reached the limit, though the document has not."""
        self._doc: Doc[Any] = Doc()
        self._changes: list[bytes] = []
        self._subscription = self._doc.observe(self._changed)

    def _changed(self, event: TransactionEvent) -> None:
        self._changes.append(event.update)

    @property
    def state(self) -> bytes:
        """The state vector, which says what the document has of each client."""
        return self._doc.get_state()

    def restore(self, updates: Sequence[bytes]) -> None:
        """Apply what the store has."""
        for update in updates:
            self._doc.apply_update(update)
        self._changes.clear()
        self.size = sum(map(len, updates))
        self._compacted = len(updates[0]) if updates else 0
        self.written = self.state

    def apply(self, update: bytes, most: int) -> bytes | None:
        """
        Apply an update that `checkUpdate` has accepted, unless the document would have more than `most` bytes.

        Returns what the update has changed, as an update, or None if it changes nothing yet.

        Raises MalformedMessage or DocumentFull, and changes nothing, or DocumentBroken.
        """
        if self.size + len(update) > most:
            if len(self.whole()) + len(update) > most:
                raise DocumentFull(f"a document has at most {most} bytes; this update would make it larger")
            self._isDue = True
        self._changes.clear()
        try:
            self._doc.apply_update(update)
        except ValueError:
            raise MalformedMessage("an update cannot be applied") from None
        except BaseException as error:
            # A panic of Rust is a BaseException that pycrdt does not export.
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":
                raise DocumentBroken(str(error)) from error
            raise
        changes, self._changes = self._changes, []
        self.size += len(update)
        return changes[0] if changes else None

    def missing(self, state: bytes) -> bytes:
        """Returns an update with what `state`, a state vector, does not have. Raises MalformedMessage."""
        try:
            return self._doc.get_update(state)
        except ValueError:
            raise MalformedMessage("a state vector cannot be read") from None

    def whole(self) -> bytes:
        """Returns the document as one update."""
        return self._doc.get_update()

    @property
    def needsCompaction(self) -> bool:
        """Whether its updates have doubled since it was last written as one, or are at the limit."""
        return self._isDue or self.size > max(_LEAST_COMPACTED, 2 * self._compacted)

    def compact(self) -> bytes:
        """Called when the document is to be written as one update, which is returned."""
        whole = self.whole()
        self.size = self._compacted = len(whole)
        self._isDue = False
        return whole

    def close(self) -> None:
        """Called when the document is forgotten: free its content, which its own observer would keep."""
        self.isClosed = True
        self._doc.unobserve(self._subscription)

    # -- participants ---------------------------------------------------------------------------------------------

    def sendUpdate(self, update: bytes) -> None:
        """Send an update to everyone, its author included: to the author it says that the update is stored."""
        self._send(syncMessage(SyncStep.UPDATE, update), isUpdate=True)

    def sendAwareness(self, states: list[ClientState]) -> None:
        """Send the states of clients to everyone. Clients need their own as well: it tells them that we are here."""
        if states:
            self._send(awarenessMessage(states), isUpdate=False)

    def _send(self, payload: bytes, isUpdate: bool) -> None:
        message = Prepared(payload, True)
        for each in list(self.participants):
            each.take(message, isUpdate)


Then = Callable[[], None]
"""What is done when everything that was applied before is on the disk."""
