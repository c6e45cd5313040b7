"""Opens a store in an SQLite file, and checks one without changing it."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from wsd.config.state import makeFile, makeFolder

_PATIENCE = 10.0
"""Seconds to wait for another process that uses the file."""

INDEX, PARTS, FILES = "index.sqlite", "parts", "files"
"""
The names in a folder of stored files: a database that knows all files, and the folders of the unfinished and of the
finished ones. A file moves from PARTS to FILES when it is finished, and is never changed after that.
"""

_BACKUP = 0x77736462
"""The application ID of a database that `wsd backup` has written, and that was not opened since then: "wsdb"."""


def openStore(path: Path, schema: str) -> sqlite3.Connection:
    """
    Open the file of a store, and create it if there is none. Only the daemon's user may read it.

    A transaction is on the disk when it is committed: it outlives the process and a loss of power. Threads may share
    the connection if they take turns. Raises sqlite3.Error and OSError.
    """
    makeFolder(path.parent)
    # SQLite gives the files beside it the same mode.
    makeFile(path)
    path.chmod(0o600)
    db = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(schema)
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit everything done in this context at its end, or nothing if it fails. Raises sqlite3.Error."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back itself, as it does when the disk is full.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def markAsBackup(db: sqlite3.Connection) -> None:
    """Mark a database as a backup, for `wasRestored`. Raises sqlite3.Error."""
    db.execute(f"PRAGMA application_id = {_BACKUP}")


def wasRestored(db: sqlite3.Connection) -> bool:
    """Whether a database is a backup that is opened for the first time. Raises sqlite3.Error."""
    return bool(db.execute("PRAGMA application_id").fetchone()[0] == _BACKUP)


def markAsOpened(db: sqlite3.Connection) -> None:
    """Mark a database as one that is in use, and no backup any more. Raises sqlite3.Error."""
    db.execute("PRAGMA application_id = 0")


def checkStore(path: Path) -> list[str]:
    """
    Check the file of a store. Returns warnings if it does not exist and this user could not create it.

    Raises ValueError if it exists and cannot be opened, or if nobody could create it. Nothing is written, and no file
    is created: the caller may run as another user than the daemon.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return _faultsOfFolder(path)
    except OSError as error:
        raise ValueError(f"store: {path} cannot be inspected: {error.strerror}") from None
    for each, mode in ((path, os.R_OK | os.W_OK), (path.parent, os.W_OK | os.X_OK)):
        if not os.access(each, mode):
            raise ValueError(f"store: {each} cannot be written by this user; the store belongs to the daemon's user")
    try:
        _read(path)
    except sqlite3.Error as error:
        raise ValueError(f"store: {path} cannot be opened: {error}; replace it with a good copy") from None
    return []


def _faultsOfFolder(path: Path) -> list[str]:
    there = _nearest(path)
    if not there.is_dir():
        raise ValueError(f"store: {path} cannot be created: {there} is not a folder; name a path below a folder")
    if os.access(there, os.W_OK | os.X_OK):
        return []
    return [f"the store {path} does not exist yet, and this user cannot create it: {there} cannot be written"]


def _nearest(path: Path) -> Path:
    """The nearest path above this one that exists."""
    return next(folder for folder in path.parents if os.path.lexists(folder))


def whyNotCreated(path: Path) -> str | None:
    """Why a missing file could not be created by this process, without its name; None if it exists or could be."""
    if os.path.lexists(path):
        return None
    there = _nearest(path)
    if not there.is_dir():
        return os.strerror(errno.ENOTDIR)
    return None if os.access(there, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)


def _read(path: Path) -> None:
    # If no process has it open, SQLite would create files beside it, which this user would own.
    isOpen = os.path.exists(f"{path}-wal")
    name = f"file:{quote(str(path))}?{'mode=ro' if isOpen else 'immutable=1'}"
    store = sqlite3.connect(name, uri=True, timeout=_PATIENCE)
    try:
        for (table,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            store.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone()
    finally:
        store.close()
