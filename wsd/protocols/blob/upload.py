"""An upload: a file that is being written, with its announced properties and its durable bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wsd.protocols.blob.errors import BlobError, translateErrors
from wsd.protocols.blob.file import UploadFile
from wsd.protocols.blob.finished import FinishedFiles
from wsd.protocols.blob.index import Blob, BlobIndex, UploadRow
from wsd.protocols.blob.names import typeOf
from wsd.protocols.blob.quota import Quota

_LEAST = 1 << 16
_STEP = 16 << 20
"""
Room is reserved in steps, so that not every piece needs a transaction: as many bytes as are reserved already, and at
least `_LEAST`. If the size of the file is unknown, at most `_STEP`.
"""


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What a client announces about a file."""

    user: str
    name: str
    type: str | None = None
    size: int | None = None
    sha256: str | None = None
    source: str | None = None
    """The client's address, or its /64 for IPv6."""
    metadata: str | None = None
    """Upload-Metadata as the client sent it."""


class BlobUpload:
    """
    An unfinished file that is being written, until `close`, `finish` or `abort`.

    Its caller is the only writer. The methods block.
    """

    def __init__(
        self,
        row: UploadRow,
        file: UploadFile,
        index: BlobIndex,
        quota: Quota,
        finished: FinishedFiles,
        now: Callable[[], float],
    ) -> None:
        self._row = row
        self.file = file
        self._index = index
        self._quota = quota
        self._finished = finished
        self._now = now
        self._reserved = row.reserved
        self.isOpen = True

    @property
    def name(self) -> str:
        """The name of its row and of its file in the folder `parts`."""
        return self._row.part

    @property
    def user(self) -> str:
        """The owner of the file."""
        return self._row.user

    @property
    def written(self) -> int:
        """The offset of the next byte."""
        return self.file.written

    @property
    def durable(self) -> int:
        """The number of bytes that are safely on disk and in the index."""
        return self.file.durable

    @property
    def checked(self) -> int:
        """The number of bytes before the piece that is not checked yet."""
        return self.file.checked

    @property
    def size(self) -> int | None:
        """The announced size in bytes."""
        return self._row.size

    def append(self, buffers: Sequence[bytes]) -> None:
        """Write bytes. Raises BlobError if they are more than announced, or if there is no room."""
        with translateErrors():
            self._makeRoom(self.file.written + sum(map(len, buffers)))
            self.file.append(buffers)

    def _makeRoom(self, end: int) -> None:
        size = self._row.size
        if size is not None and end > size:
            raise BlobError("size", f"{size} bytes were announced, but more were received")
        self._quota.checkEnd(end)
        if end > self._reserved:
            self._reserve(end - self._reserved)

    def _reserve(self, least: int) -> None:
        """Reserve at least `least` bytes. If the size is known, there must be room for the whole rest of the file."""
        ahead = max(least, self._reserved, _LEAST)
        if self._row.size is None:
            needed = least
            steps = [max(least, min(ahead, _STEP)), least]
        else:
            needed = self._row.size - self._reserved
            steps = [min(ahead, needed)]
        for more in steps:
            if self._quota.reserve(self.name, self._row.user, more, needed):
                self._reserved += more
                return
        raise self._quota.exceeded(self._row.user, needed)

    def beginPiece(self, digest: Any = None) -> None:
        """Begin a piece that is checked at its end: by its CRC-32, and by `digest`, a hash of hashlib, if given."""
        self.file.beginPiece(digest)

    def checkPiece(self, crc: int | None = None, digest: bytes | None = None) -> None:
        """End a piece. If a checksum differs, cut the piece off and raise BlobError ("checksum")."""
        with translateErrors():
            self.file.checkPiece(crc, digest)

    def sync(self) -> int:
        """Sync the checked bytes to the disk, and note that in the index. Returns the number of durable bytes."""
        with translateErrors():
            if self.file.checked > self.file.durable:
                durable = self.file.sync()
                if self._row.resumable:
                    self._index.checkpoint(self.name, durable, self._now())
                self.file.durable = durable
        return self.file.durable

    def finish(self, digest: str | None = None) -> Blob:
        """
        Make it a finished file. `digest` is its SHA-256 in hex, if the client sent it.

        If the SHA-256 differs, the upload is removed, since no further byte could correct it.
        """
        with translateErrors():
            row = self._row
            if row.size is not None and self.written != row.size:
                raise BlobError(
                    "size", f"{row.size} bytes were announced, but only {self.written} were received; send the rest"
                )
            found = self.file.sha256
            for announced in (digest, row.sha256):
                if announced not in (None, found):
                    self.abort()
                    raise BlobError("sha256", f"the file's SHA-256 is {found}, not {announced}; send the file again")
            self.file.sync()
            mediaType = typeOf(self.file.head, row.name, row.type)
            blobId = self._finished.idOf(row.user, found)
            self._index.finishing(row.part, blobId, found, self.written, mediaType)
            finishing = replace(row, id=blobId, sha256=found, type=mediaType)
            blob = self._finished.add(self.file.path, finishing, self.written)
            self.isOpen = False
            self.file.close()
            return blob

    def abort(self) -> None:
        """Remove the upload."""
        with translateErrors():
            self.isOpen = False
            self.file.path.unlink(missing_ok=True)
            self.file.close()
            self._index.removeUpload(self.name)

    def close(self) -> None:
        """Stop writing. Keep the checked bytes, so that the upload can be resumed; without a token, remove it."""
        if not self.isOpen:
            return
        if not self._row.resumable:
            self.abort()
            return
        self.isOpen = False
        try:
            with translateErrors():
                self.file.cutPiece()
            self.sync()
            self._release()
        finally:
            self.file.close()

    def drop(self) -> None:
        """Only close the file, if `close` has failed or cannot be called. Does not block."""
        self.isOpen = False
        self.file.close()

    def _release(self) -> None:
        """Release the room that is reserved beyond the durable bytes."""
        if self._reserved > self.durable:
            with translateErrors():
                self._index.release(self.name)
