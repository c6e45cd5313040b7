"""
The store: a folder of files with an index. A file has its name there only when it is whole, checked and on disk.

    index.sqlite   what there is (wsd.protocols.blob.index)
    parts/PART     unfinished files
    files/AB/ID    finished ones; the id is made from the user and the content with a key that stays in the store

All of it blocks, and belongs on a pool of threads. A method may be called from any; a part belongs to one at a time.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from wsd.protocols.blob.errors import BlobError, told
from wsd.protocols.blob.file import PartFile, Reader, cut, isIdle, makeFolder, syncFolder
from wsd.protocols.blob.index import Blob, Index, PartRow
from wsd.protocols.blob.part import Part, Wanted
from wsd.protocols.blob.shelf import Shelf

INDEX = "index.sqlite"
"""Without this file there is no store yet."""

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a store takes, and for how long; 0 is without a limit."""

    quota: int = 0
    """Bytes of the whole store, with what unfinished files have reserved."""
    userQuota: int = 0
    """Bytes of one user's."""
    maxFile: int = 0
    """Bytes of a file."""
    expire: float = 0
    """Seconds for which an unfinished file is kept after its last byte."""
    keep: float = 0
    """Seconds for which a finished one is kept."""
    unfinished: int = 0
    """Unfinished files of one user, and from one address."""


SLOT = "slot "
"""
The prefix of slot tokens, and of the users whose files they name. A token is kept as long as its file. Everybody
who may read the file knows it, so it opens nothing but the slot.
"""


def nameOf(token: str) -> str:
    """The name of the part that a token stands for: who reads the index cannot go on with it."""
    return sha256(token.removeprefix(SLOT).encode()).hexdigest()[:40]


def isSlot(name: str) -> bool:
    """Whether a token or a user belongs to a slot."""
    return name.startswith(SLOT)


class Store:
    """
    A folder of blobs. `now` gives the seconds since 1970.

    Raises BlobError, for all that a disk may refuse too.
    """

    def __init__(self, root: Path, limits: Limits, now: Callable[[], float]) -> None:
        self.limits = limits
        self.now = now
        self.parts = root / "parts"
        self.files = root / "files"
        with told():
            for folder in (root, self.parts, self.files):
                makeFolder(folder)
            self.index = Index(root / INDEX)
            self._shelf = Shelf(self.files, self.index)
            self._recover()

    def pathOf(self, id: str) -> Path:
        """Where a finished file lies."""
        return self._shelf.pathOf(id)

    def idOf(self, user: str, digest: str) -> str:
        """The id of a user's file with this SHA-256: nobody else can tell it, or tell from it."""
        return hmac.new(self.index.key, f"{user}\0{digest}".encode(), sha256).hexdigest()[:40]

    def close(self) -> None:
        """Let go of the index."""
        self.index.close()

    # -- writing --------------------------------------------------------------------------------------------------

    def begin(self, wanted: Wanted, token: str | None = None) -> Part | Blob:
        """
        A part to write, at its durable offset when the token is that of one; or the file, when it is here already.

        Without a token it can not be gone on with.
        """
        with told():
            self._checkSize(wanted.size)
            have = self._have(wanted)
            if have is not None:
                return have
            name = secrets.token_hex(20) if token is None else nameOf(token)
            row = None if token is None else self._rowOf(name)
            if row is not None and isSlot(row.user) != isSlot(wanted.user):
                raise BlobError("conflict", "this token belongs to another file; use a new one for each file")
            if row is not None and row.done:
                blob = self.index.blob(row.id or "")
                if blob is not None:
                    return blob
                self.index.removePart(name)
                row = None
            if row is None:
                self._checkRoom(wanted.user, wanted.size or 0)
                row = self._add(name, wanted, token is not None)
            elif (row.name, row.size) != (wanted.name, wanted.size):
                raise BlobError(
                    "conflict", "this token is that of a file of another name or size; take a new one for each file"
                )
            else:
                self._checkRest(row)
            return self._part(row)

    def create(self, wanted: Wanted, token: str) -> None:
        """Begin with nothing; an empty file is whole by that."""
        part = self.begin(wanted, token)
        if isinstance(part, Part):
            if wanted.size == 0:
                part.finish()
            part.close()

    def resume(self, token: str) -> Part:
        """The part of a token, to write. Raises BlobError ("unknown")."""
        with told():
            row = self.row(token)
            if row.done:
                raise BlobError("size", "this file is whole already; begin another")
            self._checkRest(row)
            return self._part(row)

    def row(self, token: str) -> PartRow:
        """What the index has of a token. Raises BlobError ("unknown")."""
        with told():
            row = self._rowOf(nameOf(token))
            if row is None or isSlot(row.user) != isSlot(token):
                raise BlobError("unknown", "there is no such transfer, or not any more; begin it anew")
            return row

    def forget(self, token: str) -> None:
        """Remove the unfinished file of a token, or the memory of a finished one's. Raises BlobError ("unknown")."""
        with told():
            row = self.row(token)
            if not row.done:
                (self.parts / row.part).unlink(missing_ok=True)
            self.index.removePart(row.part)

    def _checkSize(self, size: int | None) -> None:
        most = self.limits.maxFile
        if size is not None and most and size > most:
            raise BlobError("too_large", f"the file is {size} bytes; {most} is the most here")

    def _checkRoom(self, user: str, more: int) -> None:
        """Refuse a file that does not fit now, before any byte of it is sent. Nothing is reserved yet."""
        if not self.index.fits(user, more, self.limits.quota, self.limits.userQuota):
            raise self.full(user, more)

    def _checkRest(self, row: PartRow) -> None:
        if row.size is not None:
            self._checkRoom(row.user, row.size - row.reserved)

    def _have(self, wanted: Wanted) -> Blob | None:
        if wanted.sha256 is None:
            return None
        blob = self.index.blob(self.idOf(wanted.user, wanted.sha256))
        return blob if blob is not None and wanted.size in (None, blob.size) else None

    def _add(self, name: str, wanted: Wanted, resumable: bool) -> PartRow:
        row = PartRow(
            part=name,
            user=wanted.user,
            name=wanted.name,
            type=wanted.type,
            size=wanted.size,
            resumable=resumable,
            durable=0,
            reserved=0,
            id=None,
            sha256=wanted.sha256,
            done=False,
            at=self.now(),
            source=wanted.source,
            metadata=wanted.metadata,
        )
        most = self.limits.unfinished
        if not self.index.addPart(row, most):
            raise BlobError(
                "too_many", f"you or your address already have {most} unfinished files; finish or abort one"
            )
        return row

    def _rowOf(self, name: str) -> PartRow | None:
        """What the index has of a part. An end that was begun and went wrong is tried again before."""
        row = self.index.part(name)
        if row is not None and row.id is not None and not row.done and isIdle(self.parts / name):
            self._settle(row)
            row = self.index.part(name)
        return row

    def _settle(self, row: PartRow) -> None:
        """A part whose end was begun becomes a file."""
        path = self.parts / row.part
        if path.exists() or self.pathOf(row.id or "").exists():
            self.place(row, row.durable)
        else:
            self.index.removePart(row.part)

    def _part(self, row: PartRow) -> Part:
        part = Part(self, row, PartFile(self.parts / row.part, row.durable))
        syncFolder(self.parts)
        return part

    def full(self, user: str, more: int) -> BlobError:
        """There is no room for so many bytes: whose quota it is, and what is left of it."""
        limits = self.limits
        left = limits.quota - self.index.used() if limits.quota else more
        if more > left:
            return BlobError("quota", f"{more} bytes more are too many: there is room for {max(0, left)}; try later")
        left = limits.userQuota - self.index.used(user)
        return BlobError("quota", f"{more} bytes more are too many: {max(0, left)} are left to you; remove some")

    # -- what is there --------------------------------------------------------------------------------------------

    def blob(self, id: str) -> Blob:
        """The file of this id. Raises BlobError ("unknown")."""
        with told():
            blob = self.index.blob(id)
        if blob is None:
            raise BlobError("unknown", "there is no such file, or not any more")
        return blob

    def list(self, user: str | None = None) -> list[Blob]:
        """The files, oldest first, of one user or of all."""
        with told():
            return self.index.blobs(user)

    def remove(self, id: str) -> None:
        """Remove a file; who reads it now may read it to its end."""
        with told():
            self._shelf.remove(id)

    def reader(self, id: str) -> tuple[Blob, Reader]:
        """A file and its bytes."""
        blob = self.blob(id)
        with told():
            return blob, Reader(self.pathOf(id))

    # -- in the course of time ------------------------------------------------------------------------------------

    def expire(self) -> tuple[int, int]:
        """Remove what has had its time: how many unfinished files, how many finished ones."""
        limits, parts, blobs = self.limits, 0, 0
        with told():
            for row in self.index.parts(self.now() - limits.expire) if limits.expire else ():
                parts += self._expirePart(row)
            for blob in self.index.blobs(before=self.now() - limits.keep) if limits.keep else ():
                self.remove(blob.id)
                blobs += 1
        return parts, blobs

    def _expirePart(self, row: PartRow) -> bool:
        path = self.parts / row.part
        if not isIdle(path) or (row.done and isSlot(row.user)):
            return False
        path.unlink(missing_ok=True)
        self.index.removePart(row.part)
        return not row.done

    def _recover(self) -> None:
        """What a crash has left becomes a resumable part or a finished file; what nobody can go on with is removed."""
        self._shelf.recover()
        rows = {row.part: row for row in self.index.parts() if not row.done}
        for row in rows.values():
            path = self.parts / row.part
            if not isIdle(path):
                continue
            if row.id is not None:
                self._settle(row)
            elif not row.resumable:
                path.unlink(missing_ok=True)
                self.index.removePart(row.part)
            elif row.reserved > row.durable:
                self._cut(row.part)
        for path in list(self.parts.iterdir()):
            if path.name not in rows and isIdle(path) and self.index.part(path.name) is None:
                path.unlink(missing_ok=True)

    def _cut(self, name: str) -> None:
        """Remove the bytes that did not count when their writer died, and give back the room reserved for more."""

        def durable() -> int:
            row = self.index.part(name)
            return 0 if row is None else row.durable

        if cut(self.parts / name, durable):
            self.index.release(name)

    def place(self, row: PartRow, size: int) -> Blob:
        """Make a part that is whole, checked and on disk the file of its row; again, where a crash came between."""
        assert row.id is not None
        assert row.sha256 is not None
        assert row.type is not None
        blob = Blob(row.id, row.user, row.name, row.type, size, row.sha256, self.now())
        return self._shelf.put(self.parts / row.part, blob)

    def verify(self) -> Iterator[tuple[str, str]]:
        """What is wrong, as pairs of an id and a sentence: files that are missing, changed, or in no index."""
        known = {blob.id: blob for blob in self.list()}
        for blob in known.values():
            sentence = self._fault(blob)
            if sentence is not None:
                yield blob.id, sentence
        with told():
            for path in sorted(self.files.glob("*/*")):
                if path.name not in known and self.index.blob(path.name) is None:
                    yield path.name, "is in no index"

    def _fault(self, blob: Blob) -> str | None:
        try:
            with open(self.pathOf(blob.id), "rb") as file:
                digest = sha256()
                while data := file.read(_PIECE):
                    digest.update(data)
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return None if digest.hexdigest() == blob.sha256 else "is not what was uploaded: its SHA-256 is another"
