"""The store of documents: one SQLite file with the updates of each document. Used on a thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsd.config.stores import openStore, transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS document (name TEXT PRIMARY KEY, used REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS part (
    document TEXT NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (document, number)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """A document in the store, without its updates."""

    name: str
    size: int
    """Bytes of its updates."""
    used: float
    """When it was last changed: seconds since 1970."""


@dataclass(slots=True)
class Write:
    """What a batch does to one document."""

    name: str
    update: bytes
    replaces: bool = False
    """Whether `update` is the whole document, which replaces everything that was written before."""


class Store:
    """The file. Its methods raise sqlite3.Error and OSError."""

    def __init__(self, path: Path) -> None:
        self._db = openStore(path, _SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def all(self) -> list[Stored]:
        """Returns all documents."""
        rows = self._db.execute(
            "SELECT name, (SELECT coalesce(sum(length(data)), 0) FROM part WHERE document = name), used FROM document"
        )
        return [Stored(*row) for row in rows]

    def read(self, name: str) -> list[bytes]:
        """Returns the updates of a document in the order of their writing, none if there is no such document."""
        rows = self._db.execute("SELECT data FROM part WHERE document = ? ORDER BY number", (name,))
        return [data for (data,) in rows]

    def write(self, writes: Sequence[Write], now: float) -> None:
        """Write a batch. It is on the disk when this returns, as a whole or not at all."""
        with transaction(self._db):
            for each in writes:
                if each.replaces:
                    self._db.execute("DELETE FROM part WHERE document = ?", (each.name,))
                self._db.execute(
                    "INSERT INTO part SELECT ?, coalesce(max(number), 0) + 1, ? FROM part WHERE document = ?",
                    (each.name, each.update, each.name),
                )
                self._db.execute("INSERT OR REPLACE INTO document VALUES (?, ?)", (each.name, now))

    def remove(self, names: Sequence[str]) -> None:
        """Remove documents."""
        with transaction(self._db):
            for name in names:
                self._db.execute("DELETE FROM part WHERE document = ?", (name,))
                self._db.execute("DELETE FROM document WHERE name = ?", (name,))
