"""The index of a store in SQLite: its files, its uploads, and the bytes that each user has."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from enum import Enum, auto
from pathlib import Path

from wsd.config.stores import openStore, transaction

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
A row of `parts` is an upload. It is kept for a while after the file is finished, so that a client that did not get the
receipt can ask again. `doomed` lists files whose rows are removed while their bytes may still be on disk. `used` counts
the bytes of files and those that unfinished uploads have reserved; triggers update it in the same transaction.
"""

_ADDED = ("source", "metadata")
"""Columns of `parts` that the stores of earlier versions do not have."""

_UNFINISHED = """
CREATE INDEX IF NOT EXISTS unfinished_by_user ON parts (user) WHERE NOT done;
CREATE INDEX IF NOT EXISTS unfinished_by_source ON parts (source) WHERE NOT done;
"""


@dataclass(frozen=True, slots=True)
class Blob:
    """A finished file."""

    id: str
    user: str
    name: str
    type: str
    size: int
    sha256: str
    at: float
    """Seconds since 1970."""


class UploadState(Enum):
    """The state of an upload."""

    UNFINISHED = auto()
    FINISHING = auto()
    """The file is complete and has an id. It may or may not have been moved there."""
    FINISHED = auto()


@dataclass(frozen=True, slots=True)
class UploadRow:
    """An upload, which is kept for a while after it is finished."""

    part: str
    """The name of its file in the folder `parts`."""
    user: str
    name: str
    type: str | None
    size: int | None
    """The announced size in bytes; None if none was announced."""
    resumable: bool
    durable: int
    reserved: int
    id: str | None
    """The id of the file, once the upload is FINISHING."""
    sha256: str | None
    done: bool
    at: float
    source: str | None = None
    """The client's address, or its /64 for IPv6."""
    metadata: str | None = None
    """Upload-Metadata as the client sent it."""

    @property
    def state(self) -> UploadState:
        """The state of the upload."""
        if self.done:
            return UploadState.FINISHED
        return UploadState.UNFINISHED if self.id is None else UploadState.FINISHING


# Columns in the order of the fields above.
_BLOB = "id, user, name, type, size, sha256, at"
_UPLOAD = "part, user, name, type, size, resumable, durable, reserved, id, sha256, done, at, source, metadata"


class BlobIndex:
    """
    A connection to the index. Threads may share it; other processes may have their own.

    Each method that writes is one transaction, which is on disk when the method returns. Raises sqlite3.Error.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._open(path)
        except sqlite3.Error as error:
            raise type(error)(f"{path}: {error}") from error

    def _open(self, path: Path) -> None:
        self._db = openStore(path, _SHAPE)
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
        """Close the index."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, transaction(self._db):
            yield self._db

    # -- files ----------------------------------------------------------------------------------------------------

    def blob(self, blobId: str) -> Blob | None:
        """Returns the file with this id, or None."""
        with self._lock:
            row = self._db.execute(f"SELECT {_BLOB} FROM blobs WHERE id = ?", (blobId,)).fetchone()
        return None if row is None else Blob(*row)

    def blobs(self, user: str | None = None, before: float | None = None) -> list[Blob]:
        """Returns the files, oldest first. With `user`, only that user's; with `before`, only older ones."""
        query = (
            f"SELECT {_BLOB} FROM blobs WHERE (:user IS NULL OR user = :user) AND (:before IS NULL OR at < :before) "
            "ORDER BY at"
        )
        with self._lock:
            return [Blob(*row) for row in self._db.execute(query, {"user": user, "before": before})]

    def removeBlob(self, blobId: str) -> None:
        """Remove a file and its uploads. Its id is in `beingRemoved` until `removed` is called."""
        with self._writing() as db:
            db.execute("INSERT OR IGNORE INTO doomed SELECT id FROM blobs WHERE id = ?", (blobId,))
            db.execute("DELETE FROM blobs WHERE id = ?", (blobId,))
            db.execute("DELETE FROM parts WHERE id = ? AND done", (blobId,))

    def beingRemoved(self) -> list[str]:
        """Returns the ids of removed files whose bytes may still be on disk."""
        with self._lock:
            return [blobId for (blobId,) in self._db.execute("SELECT id FROM doomed")]

    def removed(self, blobId: str) -> None:
        """Note that the bytes of a removed file are deleted."""
        with self._writing() as db:
            db.execute("DELETE FROM doomed WHERE id = ?", (blobId,))

    # -- uploads --------------------------------------------------------------------------------------------------

    def upload(self, part: str) -> UploadRow | None:
        """Returns the upload of this name, or None."""
        with self._lock:
            row = self._db.execute(f"SELECT {_UPLOAD} FROM parts WHERE part = ?", (part,)).fetchone()
        return None if row is None else _uploadRow(row)

    def uploads(self, before: float | None = None) -> list[UploadRow]:
        """Returns the uploads. With `before`, only those without a change since then."""
        with self._lock:
            query = f"SELECT {_UPLOAD} FROM parts WHERE :before IS NULL OR at < :before"
            rows = self._db.execute(query, {"before": before}).fetchall()
        return [_uploadRow(row) for row in rows]

    def addUpload(self, row: UploadRow, mostUnfinished: int) -> bool:
        """Add an upload. Returns False if its user or address already has `mostUnfinished`; 0 is no limit."""
        with self._writing() as db:
            if mostUnfinished and self._unfinished(row) >= mostUnfinished:
                return False
            db.execute(f"INSERT INTO parts ({_UPLOAD}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", astuple(row))
            return True

    def _unfinished(self, row: UploadRow) -> int:
        query = "SELECT COUNT(*) FROM parts WHERE NOT done AND {} = ?"
        counts = [
            self._db.execute(query.format(column), (value,)).fetchone()[0]
            for column, value in (("user", row.user), ("source", row.source))
        ]
        return int(max(counts))

    def reserve(self, part: str, user: str, more: int, needed: int, quota: int, userQuota: int) -> bool:
        """Reserve `more` bytes for an upload. Returns False if there is no room for `more` or for `needed` bytes."""
        with self._writing() as db:
            if not self._fits(user, max(more, needed), quota, userQuota):
                return False
            db.execute("UPDATE parts SET reserved = reserved + ? WHERE part = ?", (more, part))
            return True

    def release(self, part: str) -> None:
        """Release the bytes that are reserved for an upload and not durable."""
        with self._writing() as db:
            db.execute("UPDATE parts SET reserved = durable WHERE part = ? AND reserved > durable", (part,))

    def checkpoint(self, part: str, durable: int, at: float) -> None:
        """Note how many bytes of an upload are durable."""
        with self._writing() as db:
            db.execute("UPDATE parts SET durable = ?, at = ? WHERE part = ?", (durable, at, part))

    def finishing(self, part: str, blobId: str, sha256: str, durable: int, mediaType: str) -> None:
        """Note that the file of an upload is about to be moved to this id."""
        with self._writing() as db:
            db.execute(
                "UPDATE parts SET id = ?, sha256 = ?, durable = ?, type = ? WHERE part = ?",
                (blobId, sha256, durable, mediaType, part),
            )

    def finish(self, part: str, blob: Blob) -> Blob:
        """Note that the file of an upload is moved. Returns that file, or an older one with the same id."""
        with self._writing() as db:
            db.execute(f"INSERT OR IGNORE INTO blobs ({_BLOB}) VALUES (?,?,?,?,?,?,?)", _values(blob))
            db.execute("UPDATE parts SET done = 1, reserved = 0, at = ? WHERE part = ?", (blob.at, part))
            db.execute("DELETE FROM parts WHERE part = ? AND NOT resumable", (part,))
        return self.blob(blob.id) or blob

    def removeUpload(self, part: str) -> None:
        """Remove an upload."""
        with self._writing() as db:
            db.execute("DELETE FROM parts WHERE part = ?", (part,))

    # -- quotas ---------------------------------------------------------------------------------------------------

    def used(self, user: str | None = None) -> int:
        """Returns the bytes of files and reservations, of one user or of all."""
        query = "SELECT COALESCE(SUM(bytes), 0) FROM used WHERE :user IS NULL OR user = :user"
        with self._lock:
            return int(self._db.execute(query, {"user": user}).fetchone()[0])

    def fits(self, user: str, more: int, quota: int, userQuota: int) -> bool:
        """Whether there is room for `more` bytes of this user. A quota of 0 is no limit."""
        with self._lock:
            return self._fits(user, more, quota, userQuota)

    def _fits(self, user: str, more: int, quota: int, userQuota: int) -> bool:
        if more <= 0:
            return True
        if quota and self.used() + more > quota:
            return False
        return not userQuota or self.used(user) + more <= userQuota


def _uploadRow(row: tuple[object, ...]) -> UploadRow:
    upload = UploadRow(*row)  # type: ignore[arg-type]
    return replace(upload, resumable=bool(upload.resumable), done=bool(upload.done))


def _values(blob: Blob) -> tuple[object, ...]:
    return (blob.id, blob.user, blob.name, blob.type, blob.size, blob.sha256, blob.at)
