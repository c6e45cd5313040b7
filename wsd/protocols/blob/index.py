"""The index of a store in SQLite: which files there are, which are unfinished, who uses how much."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from wsd.config.state import makeFile

_SHAPE = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL, size INTEGER NOT NULL,
    sha256 TEXT NOT NULL, at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS blobs_by_age ON blobs (at);
CREATE INDEX IF NOT EXISTS blobs_by_user ON blobs (user, at);
CREATE TABLE IF NOT EXISTS parts (
    part TEXT PRIMARY KEY, user TEXT NOT NULL, name TEXT NOT NULL, type TEXT, size INTEGER, resumable INTEGER NOT NULL,
    durable INTEGER NOT NULL DEFAULT 0, reserved INTEGER NOT NULL, id TEXT, sha256 TEXT,
    done INTEGER NOT NULL DEFAULT 0, at REAL NOT NULL, source TEXT, metadata TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS parts_by_age ON parts (at);
CREATE TABLE IF NOT EXISTS doomed (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS used (user TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS blob_comes AFTER INSERT ON blobs BEGIN
    INSERT INTO used VALUES (NEW.user, NEW.size) ON CONFLICT (user) DO UPDATE SET bytes = bytes + NEW.size;
END;
CREATE TRIGGER IF NOT EXISTS blob_goes AFTER DELETE ON blobs BEGIN
    UPDATE used SET bytes = bytes - OLD.size WHERE user = OLD.user;
END;
CREATE TRIGGER IF NOT EXISTS part_comes AFTER INSERT ON parts BEGIN
    INSERT INTO used VALUES (NEW.user, NEW.reserved) ON CONFLICT (user) DO UPDATE SET bytes = bytes + NEW.reserved;
END;
CREATE TRIGGER IF NOT EXISTS part_changes AFTER UPDATE OF reserved ON parts BEGIN
    UPDATE used SET bytes = bytes + NEW.reserved - OLD.reserved WHERE user = NEW.user;
END;
CREATE TRIGGER IF NOT EXISTS part_goes AFTER DELETE ON parts BEGIN
    UPDATE used SET bytes = bytes - OLD.reserved WHERE user = OLD.user;
END;
"""
"""
A row of `parts` stays for a while when the file is done, so that a client which did not hear of it can ask again.
`doomed` has the files whose rows are removed while their bytes may still be there. `used` is kept by triggers, in the
same transaction as what it counts: files, and what unfinished ones have reserved.
"""

_ADDED = ("source", "metadata")
"""Columns of `parts` that stores of earlier versions lack."""

_UNFINISHED = """
CREATE INDEX IF NOT EXISTS unfinished_by_user ON parts (user) WHERE NOT done;
CREATE INDEX IF NOT EXISTS unfinished_by_source ON parts (source) WHERE NOT done;
"""


@dataclass(frozen=True, slots=True)
class Blob:
    """A file that is whole."""

    id: str
    user: str
    name: str
    type: str
    size: int
    sha256: str
    at: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class PartRow:
    """A file that is not whole yet, or was not a while ago."""

    part: str
    user: str
    name: str
    type: str | None
    size: int | None
    """Bytes that were announced; None when nothing was."""
    resumable: bool
    durable: int
    reserved: int
    id: str | None
    """The id it is getting, or has when it is `done`."""
    sha256: str | None
    done: bool
    at: float
    source: str | None = None
    """The client's address, as far as addresses are told apart."""
    metadata: str | None = None
    """Upload-Metadata as the client sent it."""


_BLOB = "id, user, name, type, size, sha256, at"
# In the order of the fields above.
_PART = "part, user, name, type, size, resumable, durable, reserved, id, sha256, done, at, source, metadata"


class Index:
    """
    One connection to the index, for any thread, one at a time; other processes may have theirs.

    A method that writes is one transaction, on disk when it returns. Raises sqlite3.Error.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        makeFile(path)  # the files that SQLite puts beside it are as private: they have the key and everybody's names
        try:
            self._open(path)
        except sqlite3.Error as error:
            raise type(error)(f"{path}: {error}") from error

    def _open(self, path: Path) -> None:
        self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SHAPE)
        with self._writing():
            self._addColumns()
            self._db.execute("INSERT OR IGNORE INTO meta VALUES ('key', ?)", (secrets.token_bytes(32),))
        self._db.executescript(_UNFINISHED)
        (self.key,) = self._db.execute("SELECT value FROM meta WHERE name = 'key'").fetchone()

    def _addColumns(self) -> None:
        there = {row[1] for row in self._db.execute("PRAGMA table_info(parts)")}
        for column in _ADDED:
            if column not in there:
                self._db.execute(f"ALTER TABLE parts ADD COLUMN {column} TEXT")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # -- files ----------------------------------------------------------------------------------------------------

    def blob(self, id: str) -> Blob | None:
        """The file of this id."""
        with self._lock:
            row = self._db.execute(f"SELECT {_BLOB} FROM blobs WHERE id = ?", (id,)).fetchone()
        return None if row is None else Blob(*row)

    def blobs(self, user: str | None = None, before: float | None = None) -> list[Blob]:
        """The files, oldest first: of one user, or all; those older than `before`, or all."""
        query = (
            f"SELECT {_BLOB} FROM blobs WHERE (:user IS NULL OR user = :user) AND (:before IS NULL OR at < :before) "
            "ORDER BY at"
        )
        with self._lock:
            return [Blob(*row) for row in self._db.execute(query, {"user": user, "before": before})]

    def removeBlob(self, id: str) -> None:
        """Forget a file, and that it was ever uploaded; it is doomed until it is `buried`."""
        with self._writing() as db:
            db.execute("INSERT OR IGNORE INTO doomed SELECT id FROM blobs WHERE id = ?", (id,))
            db.execute("DELETE FROM blobs WHERE id = ?", (id,))
            db.execute("DELETE FROM parts WHERE id = ? AND done", (id,))

    def doomed(self) -> list[str]:
        """The ids of removed files whose bytes may still be there."""
        with self._lock:
            return [id for (id,) in self._db.execute("SELECT id FROM doomed")]

    def buried(self, id: str) -> None:
        """Its bytes are gone."""
        with self._writing() as db:
            db.execute("DELETE FROM doomed WHERE id = ?", (id,))

    # -- unfinished -----------------------------------------------------------------------------------------------

    def part(self, part: str) -> PartRow | None:
        """The unfinished file of this name."""
        with self._lock:
            row = self._db.execute(f"SELECT {_PART} FROM parts WHERE part = ?", (part,)).fetchone()
        return None if row is None else _part(row)

    def parts(self, before: float | None = None) -> list[PartRow]:
        """The unfinished files: those not touched since `before`, or all."""
        with self._lock:
            query = f"SELECT {_PART} FROM parts WHERE :before IS NULL OR at < :before"
            rows = self._db.execute(query, {"before": before}).fetchall()
        return [_part(row) for row in rows]

    def addPart(self, row: PartRow, mostUnfinished: int) -> bool:
        """Begin an upload. False if its user or its address has the maximum of unfinished ones."""
        with self._writing() as db:
            if mostUnfinished and self._unfinished(row) >= mostUnfinished:
                return False
            db.execute(f"INSERT INTO parts ({_PART}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", astuple(row))
            return True

    def _unfinished(self, row: PartRow) -> int:
        query = "SELECT COUNT(*) FROM parts WHERE NOT done AND {} = ?"
        counts = [
            self._db.execute(query.format(column), (value,)).fetchone()[0]
            for column, value in (("user", row.user), ("source", row.source))
        ]
        return int(max(counts))

    def reserve(self, part: str, user: str, more: int, needed: int, quota: int, userQuota: int) -> bool:
        """Reserve `more` bytes for an upload. False if there is no room for the `needed` bytes."""
        with self._writing() as db:
            if not self._fits(user, max(more, needed), quota, userQuota):
                return False
            db.execute("UPDATE parts SET reserved = reserved + ? WHERE part = ?", (more, part))
            return True

    def release(self, part: str) -> None:
        """Give back the bytes reserved for an upload beyond those that are safely on disk."""
        with self._writing() as db:
            db.execute("UPDATE parts SET reserved = durable WHERE part = ? AND reserved > durable", (part,))

    def checkpoint(self, part: str, durable: int, at: float) -> None:
        """So many bytes of it are on disk for good."""
        with self._writing() as db:
            db.execute("UPDATE parts SET durable = ?, at = ? WHERE part = ?", (durable, at, part))

    def finishing(self, part: str, id: str, sha256: str, durable: int, kind: str) -> None:
        """Its file is about to move to this id."""
        with self._writing() as db:
            db.execute(
                "UPDATE parts SET id = ?, sha256 = ?, durable = ?, type = ? WHERE part = ?",
                (id, sha256, durable, kind, part),
            )

    def finish(self, part: str, blob: Blob) -> Blob:
        """It is whole, and in its place; the file that counts, which is an older one when there was one already."""
        with self._writing() as db:
            db.execute(f"INSERT OR IGNORE INTO blobs ({_BLOB}) VALUES (?,?,?,?,?,?,?)", _values(blob))
            db.execute("UPDATE parts SET done = 1, reserved = 0, at = ? WHERE part = ?", (blob.at, part))
            db.execute("DELETE FROM parts WHERE part = ? AND NOT resumable", (part,))
        return self.blob(blob.id) or blob

    def removePart(self, part: str) -> None:
        """Forget one."""
        with self._writing() as db:
            db.execute("DELETE FROM parts WHERE part = ?", (part,))

    # -- who uses how much ----------------------------------------------------------------------------------------

    def used(self, user: str | None = None) -> int:
        """Bytes of files and reservations: of one user, or of all."""
        query = "SELECT COALESCE(SUM(bytes), 0) FROM used WHERE :user IS NULL OR user = :user"
        with self._lock:
            return int(self._db.execute(query, {"user": user}).fetchone()[0])

    def fits(self, user: str, more: int, quota: int, userQuota: int) -> bool:
        """Whether there is room for `more` bytes of a user."""
        with self._lock:
            return self._fits(user, more, quota, userQuota)

    def _fits(self, user: str, more: int, quota: int, userQuota: int) -> bool:
        if more <= 0:
            return True
        if quota and self.used() + more > quota:
            return False
        return not userQuota or self.used(user) + more <= userQuota


def _part(row: tuple[object, ...]) -> PartRow:
    part = PartRow(*row)  # type: ignore[arg-type]
    return replace(part, resumable=bool(part.resumable), done=bool(part.done))


def _values(blob: Blob) -> tuple[object, ...]:
    return (blob.id, blob.user, blob.name, blob.type, blob.size, blob.sha256, blob.at)
