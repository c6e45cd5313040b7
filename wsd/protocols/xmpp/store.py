"""
The interface of a store: records by kind, owner and key, and ordered entries by kind and owner.

Rosters, block lists, users and rooms are records; waiting messages and room histories are entries. A `RecordStore`
blocks: `wsd.protocols.xmpp.asyncstore.AsyncStore` runs one on a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from wsd.protocols.xmpp.errors import StanzaError

QUARANTINED = "aside "
"""Prefix of the kind of a row in quarantine: it is kept, but never read."""


class StoreError(Exception):
    """The store cannot be read or written at present."""

    def __init__(self, sentence: str, isFull: bool = False, mayStayOpen: bool = False) -> None:
        super().__init__(sentence)
        self.isFull = isFull
        """Whether the disk is full."""
        self.mayStayOpen = mayStayOpen
        """Whether the file itself is intact, so that it need not be opened again."""

    def copy(self) -> StoreError:
        """The same error for another caller, with a traceback of its own."""
        return StoreError(str(self), self.isFull, self.mayStayOpen)


def refusal(error: StoreError) -> StanzaError:
    """The error for a client whose request needs the store."""
    if error.isFull:
        return StanzaError("resource-constraint", "the store is full; try again later")
    return StanzaError("internal-server-error", "the store is not available; try again later")


class RecordStore(Protocol):
    """A store. What was committed is kept, even if the process or the machine fails."""

    def get(self, kind: str, owner: str, key: str) -> str | None:
        """The value of a record, None if there is none."""

    def load(self, kind: str, owner: str) -> dict[str, str]:
        """The values of an owner's records by their keys."""

    def owners(self, kind: str) -> list[str]:
        """The owners of records of a kind."""

    def put(self, kind: str, owner: str, key: str, value: str | None) -> None:
        """Write a record; None removes it."""

    def append(self, entryId: int, kind: str, owner: str, value: str) -> None:
        """Write an entry, whose id is greater than those of all before."""

    def entries(self, kind: str, owner: str) -> list[tuple[int, str]]:
        """The ids and values of an owner's entries, in the order of the ids."""

    def last(self) -> int:
        """The greatest id of an entry, 0 if there is none."""

    def discard(self, entryIds: Sequence[int]) -> None:
        """Remove entries."""

    def quarantine(self, kind: str, owner: str, key: str) -> None:
        """Keep a record under a kind that is never read."""

    def quarantineEntry(self, entryId: int) -> None:
        """Keep an entry under a kind that is never read."""

    def forget(self, owner: str) -> None:
        """Remove all records and entries of an owner."""

    def transaction(self) -> AbstractContextManager[Any]:
        """Commit everything done in this context at its end, or nothing if it fails. Raises StoreError."""

    def close(self) -> None:
        """Close the file."""
