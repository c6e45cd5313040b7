"""The store of documents: one SQLite file with the updates of each document. Used on a thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wsd.config.state import makeFile, makeFolder

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
        makeFolder(path.parent)
        makeFile(path)
        self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            path.chmod(0o600)
            # A write-ahead log, synced at each commit: what was committed outlives the process and a loss of power.
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except BaseException:
            self._db.close()
            raise

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
        with self._transaction():
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
        with self._transaction():
            for name in names:
                self._db.execute("DELETE FROM part WHERE document = ?", (name,))
                self._db.execute("DELETE FROM document WHERE name = ?", (name,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # SQLite may have rolled back itself, as it does when the disk is full.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
