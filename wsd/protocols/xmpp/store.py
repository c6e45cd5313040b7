"""
What the rules ask of a store: records by kind, owner and key, and entries in their order by kind and owner.

Rosters, block lists, users and rooms are records; messages that wait and the histories of rooms are entries. A `Store`
blocks; `wsd.protocols.xmpp.vault.Vault` brings it to the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from wsd.protocols.xmpp.stanza import StanzaError

ASIDE = "aside "
"""Before the kind of a row that cannot be read: it is kept, and not read any more."""


class StoreFault(Exception):
    """The store cannot be read or written, and may be able to later."""

    def __init__(self, sentence: str, isFull: bool = False, isWhole: bool = False) -> None:
        super().__init__(sentence)
        self.isFull = isFull
        """Whether there is no room."""
        self.isWhole = isWhole
        """Whether the store may be kept open."""

    def again(self) -> StoreFault:
        """The same for somebody else, without the traceback of this one."""
        return StoreFault(str(self), self.isFull, self.isWhole)


def refusal(fault: StoreFault) -> StanzaError:
    """What is told to who asked for something that the store would have to keep, or to know."""
    if fault.isFull:
        return StanzaError("resource-constraint", "there is no room to keep anything at the moment; try again later")
    return StanzaError("internal-server-error", "the store fails at the moment; try again later")


class Store(Protocol):
    """A store that keeps what was committed, whatever happens to the process. Transactions raise StoreFault."""

    def get(self, kind: str, owner: str, key: str) -> str | None:
        """A record."""

    def load(self, kind: str, owner: str) -> dict[str, str]:
        """The records of an owner by their keys."""

    def owners(self, kind: str) -> list[str]:
        """Who has records of a kind."""

    def put(self, kind: str, owner: str, key: str, value: str | None) -> None:
        """Write a record; None removes it."""

    def append(self, id: int, kind: str, owner: str, value: str) -> None:
        """Write an entry; ids grow."""

    def entries(self, kind: str, owner: str) -> list[tuple[int, str]]:
        """The entries of an owner in their order."""

    def last(self) -> int:
        """The greatest id of an entry, 0 when there is none."""

    def discard(self, ids: Sequence[int]) -> None:
        """Remove entries."""

    def setAside(self, kind: str, owner: str, key: str) -> None:
        """Keep a record under a kind that nobody reads."""

    def setEntryAside(self, id: int) -> None:
        """Keep an entry under a kind that nobody reads."""

    def forget(self, owner: str) -> None:
        """Remove all records and entries of an owner."""

    def transaction(self) -> AbstractContextManager[Any]:
        """What is done within it is kept as a whole, or not at all."""

    def close(self) -> None:
        """Set it down."""
