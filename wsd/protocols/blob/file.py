"""Files on disk: UploadFile is written and checked piece by piece, FileReader reads a finished file."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from wsd.config.state import give
from wsd.protocols.blob.chunk import crc32
from wsd.protocols.blob.errors import BlobError, translateErrors
from wsd.protocols.blob.names import HEAD

_READ_SIZE = 1 << 20
"""Bytes that are read at a time when a file is hashed again."""
_MOST_BUFFERS = 512
"""Buffers that one system call may write (IOV_MAX is 1024)."""


@dataclass(slots=True)
class _Piece:
    """A piece that is checked when it is complete: its start, and the state of the file before it."""

    start: int
    hashBefore: Any
    headBefore: bytes
    digest: Any
    """A hash of hashlib that is updated with the piece, or None."""
    crc: int = 0


class UploadFile:
    """
    The file of an upload, with a lock that keeps out all other writers, including other processes.

    `written` is the offset of the next byte, `durable` the number of bytes that are safely on disk. Bytes between
    `beginPiece` and `checkPiece` do not count as `checked`, and are cut off if the check fails. The methods block, and
    raise OSError and BlobError.
    """

    def __init__(self, path: Path, durable: int) -> None:
        self.path = path
        self.head = b""
        """The first bytes, which show the media type."""
        self._hash = sha256()
        self._piece: _Piece | None = None
        self._syncError: OSError | None = None
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._replay(durable)
        except BlockingIOError:
            os.close(self._file)
            raise BlobError("busy", "another process is writing this upload; try again") from None
        except BaseException:
            os.close(self._file)
            raise

    def _replay(self, durable: int) -> None:
        """Hash the durable bytes again, and cut off all bytes after them, which may be incomplete."""
        self.written = self.checked = self.durable = min(durable, os.fstat(self._file).st_size)
        os.ftruncate(self._file, self.written)
        at = 0
        while at < self.written:
            data = os.pread(self._file, min(_READ_SIZE, self.written - at), at)
            self._hashBytes(data)
            at += len(data)

    def _hashBytes(self, data: bytes) -> None:
        self._hash.update(data)
        if len(self.head) < HEAD:
            self.head += data[: HEAD - len(self.head)]

    # -- writing --------------------------------------------------------------------------------------------------

    def append(self, buffers: Sequence[bytes]) -> None:
        """Write these bytes at the end of the file."""
        for start in range(0, len(buffers), _MOST_BUFFERS):
            self._append(buffers[start : start + _MOST_BUFFERS])

    def _append(self, buffers: Sequence[bytes]) -> None:
        size = sum(map(len, buffers))
        done = os.pwritev(self._file, buffers, self.written)
        if done != size:
            rest = memoryview(b"".join(buffers))
            while done < size:
                done += os.pwrite(self._file, rest[done:], self.written + done)
        piece = self._piece
        for data in buffers:
            self._hashBytes(data)
            if piece is not None:
                piece.crc = crc32(data, piece.crc)
                if piece.digest is not None:
                    piece.digest.update(data)
        self.written += size
        if piece is None:
            self.checked = self.written

    def beginPiece(self, digest: Any = None) -> None:
        """Begin a piece that is checked at its end: by its CRC-32, and by `digest`, a hash of hashlib, if given."""
        self._piece = _Piece(self.written, self._hash.copy(), self.head, digest)

    def checkPiece(self, crc: int | None = None, digest: bytes | None = None) -> None:
        """End a piece. If a checksum differs, cut the piece off and raise BlobError ("checksum")."""
        piece = self._piece
        assert piece is not None
        if crc not in (None, piece.crc) or (digest is not None and digest != piece.digest.digest()):
            self.cutPiece()
            cause = "the checksum is wrong"
            if crc is not None:
                cause = f"CRC-32 {crc:08x} was announced, but {piece.crc:08x} was received"
            raise BlobError("checksum", f"the piece at {piece.start} was damaged in transit ({cause}); send it again")
        self._piece = None
        self.checked = self.written

    def cutPiece(self) -> None:
        """Cut off the piece that is not checked yet, if there is one."""
        if self._piece is None:
            return
        piece, self._piece = self._piece, None
        self.written, self._hash, self.head = piece.start, piece.hashBefore, piece.headBefore
        os.ftruncate(self._file, self.written)

    def sync(self) -> int:
        """Sync the file to the disk. Returns the number of checked bytes; another thread may write meanwhile."""
        checked = self.checked
        if self._syncError is not None:
            raise self._syncError
        try:
            os.fdatasync(self._file)
        except OSError as error:
            # The kernel reports a failed write only once, so a later success would prove nothing.
            self._syncError = error
            raise
        return checked

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes so far, in hex."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file and give up its lock. May be called again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def openFolder(folder: Path) -> int:
    """Returns a descriptor of a folder, to sync it or to lock it."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def makeFolder(folder: Path) -> None:
    """Make a folder and its parents, accessible only to their owner, and sync them to the disk."""
    if not folder.is_dir():
        makeFolder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        give(folder)
        syncFolder(folder.parent)


def syncFolder(folder: Path) -> None:
    """Sync the names in a folder to the disk."""
    descriptor = openFolder(folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FileReader:
    """Reads a finished file."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise BlobError(
                "unavailable", "the file is missing from the store; run wsd blob verify on the server"
            ) from None

    def read(self, offset: int, size: int) -> bytes:
        """Returns up to `size` bytes from `offset` on; fewer at the end of the file. Raises BlobError."""
        with translateErrors():
            return os.pread(self._file, size, offset)

    def close(self) -> None:
        """Close the file. May be called again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def isIdle(path: Path) -> bool:
    """Whether no process is writing the file."""
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
    """Truncate a file to `size()`, which is called with the file locked. Returns False if another writer has it."""
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
