"""A file on its way into the store: what was announced of it, what has come, and what of that counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wsd.protocols.blob.errors import BlobError, told
from wsd.protocols.blob.file import PartFile
from wsd.protocols.blob.index import Blob, PartRow
from wsd.protocols.blob.names import typeOf

if TYPE_CHECKING:
    from wsd.protocols.blob.store import Store

_LEAST = 1 << 16
_STEP = 16 << 20
"""
Bytes that are reserved at a time: as many as have arrived already, and at least these, so that not every piece is a
transaction. If the size of the file is unknown, at most `_STEP`.
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is announced of a file."""

    user: str
    name: str
    type: str | None = None
    size: int | None = None
    sha256: str | None = None
    source: str | None = None
    """The client's address, as far as addresses are told apart."""
    metadata: str | None = None
    """Upload-Metadata as the client sent it."""


class Part:
    """
    An unfinished file: what is written to it, and what of that counts.

    It belongs to whoever `Store.begin` gave it to, until `close`, `finish` or `abort`.
    """

    def __init__(self, store: Store, row: PartRow, file: PartFile) -> None:
        self._store = store
        self._row = row
        self.file = file
        self._reserved = row.reserved
        self.isOpen = True

    @property
    def name(self) -> str:
        """What tells it from other parts."""
        return self._row.part

    @property
    def wanted(self) -> Wanted:
        """What was announced of it."""
        row = self._row
        return Wanted(row.user, row.name, row.type, row.size, row.sha256, row.source, row.metadata)

    @property
    def written(self) -> int:
        """Where the next byte goes."""
        return self.file.written

    @property
    def durable(self) -> int:
        """Bytes that are on disk for good, and in the index."""
        return self.file.durable

    @property
    def checked(self) -> int:
        """Bytes of it that belong to no piece which is still to be checked."""
        return self.file.checked

    @property
    def size(self) -> int | None:
        """Bytes that were announced."""
        return self._row.size

    def append(self, pieces: Sequence[bytes]) -> None:
        """Write these. Raises BlobError when they are more than announced, or than there is room for."""
        with told():
            self._makeRoom(self.file.written + sum(map(len, pieces)))
            self.file.append(pieces)

    def _makeRoom(self, end: int) -> None:
        size, most = self._row.size, self._store.limits.maxFile
        if size is not None and end > size:
            raise BlobError("size", f"{size} bytes were announced, and more have come; announce what you send")
        if most and end > most:
            raise BlobError("too_large", f"the file is larger than {most} bytes, which is the most here")
        if end > self._reserved:
            self._reserve(end - self._reserved)

    def _reserve(self, least: int) -> None:
        """Reserve room for `least` bytes. If the size is known, the whole file must fit: a part would be of no use."""
        ahead = max(least, self._reserved, _LEAST)
        if self._row.size is None:
            needed = least
            steps = [max(least, min(ahead, _STEP)), least]
        else:
            needed = self._row.size - self._reserved
            steps = [min(ahead, needed)]
        for more in steps:
            limits = self._store.limits
            if self._store.index.reserve(self.name, self._row.user, more, needed, limits.quota, limits.userQuota):
                self._reserved += more
                return
        raise self._store.full(self._row.user, needed)

    def mark(self, check: Any = None) -> None:
        """A piece begins that will be checked: by its CRC-32, and by a hash of hashlib's where one is given."""
        self.file.mark(check)

    def check(self, crc: int | None = None, digest: bytes | None = None) -> None:
        """The piece is whole. Raises BlobError ("checksum") when it is not what was sent; it is taken back then."""
        with told():
            self.file.check(crc, digest)

    def sync(self) -> int:
        """Bring what has been checked to the disk, and note it: how many bytes count from now on."""
        with told():
            if self.file.checked > self.file.durable:
                durable = self.file.sync()
                if self._row.resumable:
                    self._store.index.checkpoint(self.name, durable, self._store.now())
                self.file.durable = durable
        return self.file.durable

    def finish(self, digest: str | None = None) -> Blob:
        """
        Make it a file; `digest` is its SHA-256 in hex, when it is known.

        With another content than was announced it is removed: no byte more could make it right.
        """
        with told():
            row = self._row
            if row.size is not None and self.written != row.size:
                raise BlobError("size", f"{row.size} bytes were announced and {self.written} have come; send the rest")
            found = self.file.sha256
            for announced in (digest, row.sha256):
                if announced not in (None, found):
                    self.abort()
                    raise BlobError("sha256", f"the file's SHA-256 is {found}, not {announced}; send it anew")
            self.file.sync()
            kind = typeOf(self.file.head, row.name, row.type)
            id = self._store.idOf(row.user, found)
            self._store.index.finishing(row.part, id, found, self.written, kind)
            blob = self._store.place(replace(row, id=id, sha256=found, type=kind), self.written)
            self.isOpen = False
            self.file.close()
            return blob

    def abort(self) -> None:
        """Remove it."""
        with told():
            self.isOpen = False
            self.file.path.unlink(missing_ok=True)
            self.file.close()
            self._store.index.removePart(self.name)

    def close(self) -> None:
        """Set it down: what counts is kept, for whoever has the token. One without a token is removed."""
        if not self.isOpen:
            return
        if not self._row.resumable:
            self.abort()
            return
        self.isOpen = False
        try:
            with told():
                self.file.takeBack()
            self.sync()
            self._release()
        finally:
            self.file.close()

    def _release(self) -> None:
        """Nobody is writing: give back the room beyond the bytes that count."""
        if self._reserved > self.durable:
            with told():
                self._store.index.release(self.name)
