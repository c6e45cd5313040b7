"""Copies one file of the state folder: a database by SQLite's own backup, others as they are."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from wsd.config.stores import markAsBackup

_MAGIC = b"SQLite format 3\0"
"""How the file of a database begins."""

_COPY_SIZE = 1 << 20
"""Bytes that are copied at a time."""

_PATIENCE = 60.0
"""Seconds to wait for another process that has locked a database."""


def isDatabase(path: Path) -> bool:
    """Whether a file is an SQLite database. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database that the daemon may have open as well. Raises sqlite3.Error."""
    # Opened for writing, since SQLite shares memory with the daemon. With `mode=rw` it creates no database.
    name = f"file:{quote(os.fspath(path))}?mode=rw"
    with closing(sqlite3.connect(name, uri=True, timeout=_PATIENCE, isolation_level=None)) as db:
        yield db


def copyDatabase(source: Path, target: Path) -> None:
    """
    Copy a database, as it is at one moment, and mark the copy as a backup. Raises sqlite3.Error and OSError.

    The daemon may write to it meanwhile: with a write-ahead log, neither waits for the other.
    """
    with opened(source) as db, closing(sqlite3.connect(target, isolation_level=None)) as copy:
        db.backup(copy)
        markAsBackup(copy)
    keep(source, target)


def copyFile(source: Path, target: Path) -> None:
    """Copy a file with its owner, mode and times. Raises OSError."""
    file = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    copyOpened(file, target)


def copyOpened(file: int, target: Path) -> None:
    """Copy the file with this descriptor, and close it. Raises OSError."""
    with open(file, "rb") as source:
        with open(target, "xb") as copy:
            shutil.copyfileobj(source, copy, _COPY_SIZE)
        keep(file, target)


def link(source: Path, target: Path) -> bool:
    """
    Give a file that is never changed again a second name; copy it where that is not possible.

    Returns whether it was linked. Raises OSError.
    """
    with suppress(OSError):
        os.link(source, target)
        return True
    copyFile(source, target)
    return False


def keep(source: Path | int, target: Path) -> None:
    """Give a file or folder the owner, if this user may, the mode and the times of its source. Raises OSError."""
    status = os.stat(source)
    if os.geteuid() == 0:
        os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, status.st_mode & 0o7777)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
