"""SqliteStore: a store in one file, which `wsd xmpp` may write while the daemon runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import ENOSPC
from pathlib import Path
from typing import Any

from wsd.config.stores import openStore, transaction
from wsd.protocols.xmpp.store import QUARANTINED, StoreError

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

_STATEMENT_ERRORS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.NotSupportedError)
"""Errors of a statement or its values. They say nothing about the file."""


class SqliteStore:
    """A `wsd.protocols.xmpp.store.RecordStore` in a file. Raises StoreError if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        with _storeErrors():
            self._db = openStore(path, _SCHEMA)
        # A text that is not UTF-8 must not prevent others from being read.
        self._db.text_factory = _text

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything done in this context at its end, or nothing if it fails. Raises StoreError."""
        with _storeErrors(), transaction(self._db):
            yield

    def get(self, kind: str, owner: str, key: str) -> str | None:
        """The value of a record, None if there is none."""
        row = self._db.execute(
            "SELECT value FROM record WHERE kind = ? AND owner = ? AND key = ?", (kind, owner, key)
        ).fetchone()
        return None if row is None else _text(row[0])

    def load(self, kind: str, owner: str) -> dict[str, str]:
        """The values of an owner's records by their keys."""
        rows = self._db.execute("SELECT key, value FROM record WHERE kind = ? AND owner = ?", (kind, owner))
        return {_text(key): _text(value) for key, value in rows}

    def owners(self, kind: str) -> list[str]:
        """The owners of records of a kind."""
        return [_text(row[0]) for row in self._db.execute("SELECT DISTINCT owner FROM record WHERE kind = ?", (kind,))]

    def put(self, kind: str, owner: str, key: str, value: str | None) -> None:
        """Write a record; None removes it."""
        if value is None:
            self._db.execute("DELETE FROM record WHERE kind = ? AND owner = ? AND key = ?", (kind, owner, key))
        else:
            self._db.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)", (kind, owner, key, value))

    def append(self, entryId: int, kind: str, owner: str, value: str) -> None:
        """Write an entry, whose id is greater than those of all before."""
        # REPLACE: a write is repeated when it may or may not have failed.
        self._db.execute("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", (entryId, kind, owner, value))

    def entries(self, kind: str, owner: str) -> list[tuple[int, str]]:
        """The ids and values of an owner's entries, in the order of the ids."""
        rows = self._db.execute("SELECT id, value FROM entry WHERE kind = ? AND owner = ? ORDER BY id", (kind, owner))
        return [(entryId, _text(value)) for entryId, value in rows]

    def last(self) -> int:
        """The greatest id of an entry, 0 if there is none."""
        return int(self._db.execute("SELECT max(id) FROM entry").fetchone()[0] or 0)

    def quarantine(self, kind: str, owner: str, key: str) -> None:
        """Keep a record under a kind that is never read."""
        # Compared as bytes, so that keys that are not UTF-8 are found.
        self._db.execute(
            "UPDATE OR REPLACE record SET kind = ?"
            " WHERE kind = ? AND CAST(owner AS BLOB) = ? AND CAST(key AS BLOB) = ?",
            (QUARANTINED + kind, kind, *(text.encode("utf-8", "surrogateescape") for text in (owner, key))),
        )

    def quarantineEntry(self, entryId: int) -> None:
        """Keep an entry under a kind that is never read."""
        self._db.execute("UPDATE entry SET kind = ? || kind WHERE id = ?", (QUARANTINED, entryId))

    def discard(self, entryIds: Sequence[int]) -> None:
        """Remove entries."""
        self._db.executemany("DELETE FROM entry WHERE id = ?", [(entryId,) for entryId in entryIds])

    def forget(self, owner: str) -> None:
        """Remove all records and entries of an owner."""
        self._db.execute("DELETE FROM record WHERE owner = ?", (owner,))
        self._db.execute("DELETE FROM entry WHERE owner = ?", (owner,))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _text(value: Any) -> str:
    """The text of a column. Bytes that are not UTF-8 become surrogates, which every reader refuses."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


@contextmanager
def _storeErrors() -> Iterator[None]:
    """Translate errors of the file to StoreError."""
    try:
        yield
    except _STATEMENT_ERRORS:
        raise
    except (sqlite3.Error, OSError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        # A file that is in use, or for which there is no space, stays open: to open it again takes space itself.
        isFull = code == sqlite3.SQLITE_FULL or getattr(error, "errno", None) == ENOSPC
        # Without the path of an OSError: clients must not learn it.
        sentence = (isinstance(error, OSError) and error.strerror) or str(error)
        raise StoreError(sentence, isFull, isFull or code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)) from error
