"""An upload: what was announced of a file, what has arrived, and how much of that is durable."""

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
Bytes that are reserved at a time: as many as have arrived already, and at least `_LEAST`, so that not every piece needs
a transaction. If the size of the file is unknown, at most `_STEP`.
"""


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What a client announces of a file."""

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
    An unfinished file that is being written.

    Whoever got it from the store writes it alone, until `close`, `finish` or `abort`. Its methods block.
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
        """The user whose file it is."""
        return self._row.user

    @property
    def written(self) -> int:
        """The offset of the next byte."""
        return self.file.written

    @property
    def durable(self) -> int:
        """Bytes that are on disk for good and in the index."""
        return self.file.durable

    @property
    def checked(self) -> int:
        """Bytes before the piece that is still to be checked."""
        return self.file.checked

    @property
    def size(self) -> int | None:
        """The announced size in bytes."""
        return self._row.size

    def append(self, buffers: Sequence[bytes]) -> None:
        """Write these bytes. Raises BlobError if they are more than announced, or have no room."""
        with translateErrors():
            self._makeRoom(self.file.written + sum(map(len, buffers)))
            self.file.append(buffers)

    def _makeRoom(self, end: int) -> None:
        size = self._row.size
        if size is not None and end > size:
            raise BlobError("size", f"{size} bytes were announced, and more have come; announce what you send")
        self._quota.checkEnd(end)
        if end > self._reserved:
            self._reserve(end - self._reserved)

    def _reserve(self, least: int) -> None:
        """Reserve at least `least` bytes. If the size is known, all that is missing must fit, or it is in vain."""
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
        """End a piece. If it is not what was sent, it is cut off, and BlobError ("checksum") is raised."""
        with translateErrors():
            self.file.checkPiece(crc, digest)

    def sync(self) -> int:
        """Bring the checked bytes to the disk, and note it in the index. Returns how many are durable now."""
        with translateErrors():
            if self.file.checked > self.file.durable:
                durable = self.file.sync()
                if self._row.resumable:
                    self._index.checkpoint(self.name, durable, self._now())
                self.file.durable = durable
        return self.file.durable

    def finish(self, digest: str | None = None) -> Blob:
        """
        Make it a finished file; `digest` is its SHA-256 in hex, if the client told it.

        If the content is not what was announced, the upload is removed, since no further byte could mend it.
        """
        with translateErrors():
            row = self._row
            if row.size is not None and self.written != row.size:
                raise BlobError("size", f"{row.size} bytes were announced and {self.written} have come; send the rest")
            found = self.file.sha256
            for announced in (digest, row.sha256):
                if announced not in (None, found):
                    self.abort()
                    raise BlobError("sha256", f"the file's SHA-256 is {found}, not {announced}; send it anew")
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
        """Stop writing, and keep what is checked for whoever has the token. Without a token the upload is removed."""
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
        """Close the file and nothing else, for when `close` cannot be called or has failed. Does not block."""
        self.isOpen = False
        self.file.close()

    def _release(self) -> None:
        """Give back the room that was reserved beyond the durable bytes."""
        if self._reserved > self.durable:
            with translateErrors():
                self._index.release(self.name)
