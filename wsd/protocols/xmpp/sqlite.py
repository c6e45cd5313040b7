"""The store in SQLite: one file, which `wsd xmpp` writes too while the daemon runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from wsd.config.state import makeFile, makeFolder

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    kind TEXT NOT NULL, owner TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (kind, owner, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL, value TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS entry_owner ON entry (kind, owner);
"""


class SqliteStore:
    """`wsd.protocols.xmpp.store.Store`, in a file. Raises sqlite3.Error and OSError."""

    def __init__(self, path: Path) -> None:
        makeFolder(path.parent)
        makeFile(path)
        self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        path.chmod(0o600)
        # A write-ahead log, synced at each commit: what was committed outlives the process, and the machine's power.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is done within it is kept as a whole, or not at all."""
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def get(self, kind: str, owner: str, key: str) -> str | None:
        """A record."""
        row = self._db.execute(
            "SELECT value FROM record WHERE kind = ? AND owner = ? AND key = ?", (kind, owner, key)
        ).fetchone()
        return None if row is None else str(row[0])

    def load(self, kind: str, owner: str) -> dict[str, str]:
        """The records of an owner by their keys."""
        return dict(self._db.execute("SELECT key, value FROM record WHERE kind = ? AND owner = ?", (kind, owner)))

    def owners(self, kind: str) -> list[str]:
        """Who has records of a kind."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT owner FROM record WHERE kind = ?", (kind,))]

    def put(self, kind: str, owner: str, key: str, value: str | None) -> None:
        """Write a record; None removes it."""
        if value is None:
            self._db.execute("DELETE FROM record WHERE kind = ? AND owner = ? AND key = ?", (kind, owner, key))
        else:
            self._db.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)", (kind, owner, key, value))

    def append(self, id: int, kind: str, owner: str, value: str) -> None:
        """Write an entry; ids grow."""
        self._db.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", (id, kind, owner, value))

    def entries(self, kind: str, owner: str) -> list[tuple[int, str]]:
        """The entries of an owner in their order."""
        return list(
            self._db.execute("SELECT id, value FROM entry WHERE kind = ? AND owner = ? ORDER BY id", (kind, owner))
        )

    def discard(self, ids: Sequence[int]) -> None:
        """Remove entries."""
        self._db.executemany("DELETE FROM entry WHERE id = ?", [(id,) for id in ids])

    def forget(self, owner: str) -> None:
        """Remove all records and entries of an owner."""
        self._db.execute("DELETE FROM record WHERE owner = ?", (owner,))
        self._db.execute("DELETE FROM entry WHERE owner = ?", (owner,))

    def close(self) -> None:
        """Set it down."""
        self._db.close()
