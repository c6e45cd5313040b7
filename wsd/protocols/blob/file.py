"""Files on disk: one that is being written, with the checks of its pieces, and one that is read."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from wsd.config.state import give
from wsd.protocols.blob.crc import crc32
from wsd.protocols.blob.errors import BlobError, told
from wsd.protocols.blob.names import HEAD

_PIECE = 1 << 20
_MOST_PIECES = 512
"""Pieces that one system call may write (IOV_MAX is 1024)."""


class PartFile:
    """
    One open file, written by us alone: a lock on it keeps out every other writer, of other processes too.

    `written` is where the next byte goes, `durable` how much is on disk for good. A piece that is checked is between
    `mark` and `check`: when it is not what it should be, it is taken back; `checked` bytes are no part of such a piece.
    Blocking; raises OSError and BlobError.
    """

    def __init__(self, path: Path, durable: int) -> None:
        self.path = path
        self.head = b""
        self._hash = sha256()
        self._marked: tuple[int, Any, bytes] | None = None
        self._check: Any = None
        self._crc = 0
        self._refused: OSError | None = None
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._replay(durable)
        except BlockingIOError:
            os.close(self._file)
            raise BlobError("busy", "this transfer is being written by another process; try again") from None
        except BaseException:
            os.close(self._file)
            raise

    def _replay(self, durable: int) -> None:
        """What was there for good is hashed again; what may or may not be there is cut off."""
        self.written = self.checked = self.durable = min(durable, os.fstat(self._file).st_size)
        os.ftruncate(self._file, self.written)
        at = 0
        while at < self.written:
            data = os.pread(self._file, min(_PIECE, self.written - at), at)
            self._take(data)
            at += len(data)

    def _take(self, data: bytes) -> None:
        self._hash.update(data)
        if len(self.head) < HEAD:
            self.head += data[: HEAD - len(self.head)]

    # -- writing --------------------------------------------------------------------------------------------------

    def append(self, pieces: Sequence[bytes]) -> None:
        """Write these behind what there is."""
        for start in range(0, len(pieces), _MOST_PIECES):
            self._append(pieces[start : start + _MOST_PIECES])

    def _append(self, pieces: Sequence[bytes]) -> None:
        size = sum(map(len, pieces))
        done = os.pwritev(self._file, pieces, self.written)
        if done != size:
            rest = memoryview(b"".join(pieces))
            while done < size:
                done += os.pwrite(self._file, rest[done:], self.written + done)
        for piece in pieces:
            self._take(piece)
            if self._marked is not None:
                self._crc = crc32(piece, self._crc)
                if self._check is not None:
                    self._check.update(piece)
        self.written += size
        if self._marked is None:
            self.checked = self.written

    def mark(self, check: Any = None) -> None:
        """A piece begins that will be checked: by its CRC-32, and by a hash of hashlib's where one is given."""
        self._marked = (self.written, self._hash.copy(), self.head)
        self._check = check
        self._crc = 0

    def check(self, crc: int | None = None, digest: bytes | None = None) -> None:
        """The piece is whole. Raises BlobError ("checksum") when it is another one; it is taken back then."""
        assert self._marked is not None
        start, got = self._marked[0], self._crc
        good = crc in (None, got) and (digest is None or digest == self._check.digest())
        if not good:
            self.takeBack()
            told = f"CRC-32 {crc:08x} was announced, {got:08x} came" if crc is not None else "the checksum is another"
            raise BlobError("checksum", f"the piece at {start} is not what was sent ({told}); send it again")
        self._marked = None
        self.checked = self.written

    def takeBack(self) -> None:
        """Forget what was written since `mark`, if it has not been checked; else what is not on disk for good stays."""
        if self._marked is None:
            return
        self.written, self._hash, self.head = self._marked
        self._marked = None
        os.ftruncate(self._file, self.written)

    def sync(self) -> int:
        """Bring all of it to the disk; how much of it counts. More may be written meanwhile, on another thread."""
        checked = self.checked
        if self._refused is not None:
            raise self._refused
        try:
            os.fdatasync(self._file)
        except OSError as refused:
            # The kernel tells once of what it could not write, and forgets it: a later sync would vouch for nothing.
            self._refused = refused
            raise
        return checked

    @property
    def sha256(self) -> str:
        """Of all that is written, in hex."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Let go of it, and of its lock. May be called again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def openFolder(folder: Path) -> int:
    """A descriptor of a folder, to sync it or to lock it."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def makeFolder(folder: Path) -> None:
    """Make it, and what is above it, for us alone; what is made is on disk when this returns."""
    if not folder.is_dir():
        makeFolder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        give(folder)
        syncFolder(folder.parent)


def syncFolder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = openFolder(folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Reader:
    """The bytes of a finished file."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise BlobError("unavailable", "the file is missing in the store; run wsd blob verify there") from None

    def read(self, offset: int, size: int) -> bytes:
        """So many bytes from there, fewer at the end."""
        with told():
            return os.pread(self._file, size, offset)

    def close(self) -> None:
        """Let go of it. May be called again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def isIdle(path: Path) -> bool:
    """Whether no process writes it."""
    with suppress(FileNotFoundError):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(file)
    return True


def cut(path: Path, size: Callable[[], int]) -> bool:
    """Cut the file to `size()`, which is called once nobody else can write to it. False if somebody is writing."""
    with suppress(FileNotFoundError):
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, min(size(), os.fstat(file).st_size))
        except BlockingIOError:
            return False
        finally:
            os.close(file)
    return True
