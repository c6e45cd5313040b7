"""
The interface of a store: records by kind, owner and key, and ordered entries by kind and owner.

Rosters, block lists, users and rooms are records; waiting messages and room histories are entries. A `Store`
blocks; `wsd.protocols.xmpp.vault.Vault` brings it to the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from wsd.protocols.xmpp.errors import StanzaError

ASIDE = "aside "
"""Prefix of the kind of a row that cannot be read: it is kept, but no longer read."""


class StoreFault(Exception):
    """The store cannot be read or written at present."""

    def __init__(self, sentence: str, isFull: bool = False, isWhole: bool = False) -> None:
        super().__init__(sentence)
        self.isFull = isFull
        """Whether the disk is full."""
        self.isWhole = isWhole
        """Whether the store may stay open."""

    def again(self) -> StoreFault:
        """A copy for another caller, without this one's traceback."""
        return StoreFault(str(self), self.isFull, self.isWhole)


def refusal(fault: StoreFault) -> StanzaError:
    """The error for a client whose request needs the store."""
    if fault.isFull:
        return StanzaError("resource-constraint", "the store is full; try again later")
    return StanzaError("internal-server-error", "the store is not available; try again later")


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
        """The greatest id of an entry, 0 if there is none."""

    def discard(self, ids: Sequence[int]) -> None:
        """Remove entries."""

    def setAside(self, kind: str, owner: str, key: str) -> None:
        """Keep a record under a kind that is never read."""

    def setEntryAside(self, id: int) -> None:
        """Keep an entry under a kind that is never read."""

    def forget(self, owner: str) -> None:
        """Remove all records and entries of an owner."""

    def transaction(self) -> AbstractContextManager[Any]:
        """What is done within it is kept as a whole, or not at all."""

    def close(self) -> None:
        """Set it down."""
