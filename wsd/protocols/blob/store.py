"""
The store: a folder of files with an index. A file is moved to `files` only when it is complete, checked and synced.

    index.sqlite   the files and the uploads (wsd.protocols.blob.index)
    parts/PART     unfinished files
    files/AB/ID    finished files; the id is made from the user, the content and a key that stays in the store

Everything here blocks, so it runs on threads. Threads may share the store; an upload is written by one thread at a
time.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from wsd.config.stores import FILES, INDEX, PARTS
from wsd.protocols.blob.errors import BlobError, translateErrors
from wsd.protocols.blob.file import FileReader, UploadFile, cut, isIdle, makeFolder, syncFolder
from wsd.protocols.blob.finished import FinishedFiles
from wsd.protocols.blob.index import Blob, BlobIndex, UploadRow, UploadState
from wsd.protocols.blob.quota import BlobLimits, Quota
from wsd.protocols.blob.upload import BlobUpload, NewUpload

SLOT = "slot "
"""
The prefix of the tokens of slots, and of the owners of their files. Everybody who may read such a file knows its
token, so the token opens nothing but the slot.
"""

_READ_SIZE = 1 << 20
"""Bytes that are read at a time when a file is verified."""


def nameOf(token: str) -> str:
    """Returns the name of a token's upload. It is a hash, so the index does not show the tokens."""
    return sha256(token.removeprefix(SLOT).encode()).hexdigest()[:40]


def isSlot(name: str) -> bool:
    """Whether a token or an owner belongs to a slot."""
    return name.startswith(SLOT)


class BlobStore:
    """A folder of blobs. `now` returns the seconds since 1970. The methods raise BlobError."""

    def __init__(self, root: Path, limits: BlobLimits, now: Callable[[], float]) -> None:
        self._limits = limits
        self._now = now
        self.parts = root / PARTS
        self.files = root / FILES
        with translateErrors():
            for folder in (root, self.parts, self.files):
                makeFolder(folder)
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
            self.index = BlobIndex(root / INDEX)
            self._quota = Quota(self.index, limits)
            self._finished = FinishedFiles(self.files, self.index, now)
            self._recover()

    def pathOf(self, blobId: str) -> Path:
        """Returns the path of a finished file."""
        return self._finished.pathOf(blobId)

    def close(self) -> None:
        """Close the index."""
        self.index.close()

    # -- uploads --------------------------------------------------------------------------------------------------

    def begin(self, new: NewUpload, token: str | None = None) -> BlobUpload | Blob:
        """
        Begin an upload, or resume that of the token at its durable offset. Returns a Blob if the file is here already.

        Without a token the upload cannot be resumed later.
        """
        with translateErrors():
            self._quota.checkSize(new.size)
            have = self._have(new)
            if have is not None:
                return have
            name = secrets.token_hex(20) if token is None else nameOf(token)
            row = None if token is None else self._rowOf(name)
            if row is not None and isSlot(row.user) != isSlot(new.user):
                raise BlobError("conflict", "this token belongs to another file; use a new one for each file")
            if row is not None and row.state is UploadState.FINISHED:
                blob = self.index.blob(row.id or "")
                if blob is not None:
                    return blob
                self.index.removeUpload(name)
                row = None
            if row is None:
                self._quota.checkRoom(new.user, new.size or 0)
                row = self._add(name, new, token is not None)
            elif (row.name, row.size) != (new.name, new.size):
                raise BlobError(
                    "conflict", "this token belongs to a file with another name or size; use a new token for each file"
                )
            else:
                self._checkRest(row)
            return self._open(row)

    def create(self, new: NewUpload, token: str) -> None:
        """Begin an upload without any bytes. An empty file is finished at once."""
        upload = self.begin(new, token)
        if isinstance(upload, BlobUpload):
            if new.size == 0:
                upload.finish()
            upload.close()

    def resume(self, token: str) -> BlobUpload:
        """Resume the upload of a token. Raises BlobError ("unknown")."""
        with translateErrors():
            row = self.row(token)
            if row.state is UploadState.FINISHED:
                raise BlobError("size", "this file is already complete")
            self._checkRest(row)
            return self._open(row)

    def row(self, token: str) -> UploadRow:
        """Returns the row of a token's upload. Raises BlobError ("unknown")."""
        with translateErrors():
            row = self._rowOf(nameOf(token))
            if row is None or isSlot(row.user) != isSlot(token):
                raise BlobError("unknown", "there is no such upload; begin again")
            return row

    def forget(self, token: str) -> None:
        """Remove the upload of a token. A finished file stays. Raises BlobError ("unknown")."""
        with translateErrors():
            row = self.row(token)
            if row.state is not UploadState.FINISHED:
                (self.parts / row.part).unlink(missing_ok=True)
            self.index.removeUpload(row.part)

    def _checkRest(self, row: UploadRow) -> None:
        """Raises BlobError if there is no room for the missing bytes of an upload."""
        if row.size is not None:
            self._quota.checkRoom(row.user, row.size - row.reserved)

    def _have(self, new: NewUpload) -> Blob | None:
        """Returns the user's file with the announced SHA-256, or None."""
        if new.sha256 is None:
            return None
        blob = self.index.blob(self._finished.idOf(new.user, new.sha256))
        return blob if blob is not None and new.size in (None, blob.size) else None

    def _add(self, name: str, new: NewUpload, resumable: bool) -> UploadRow:
        row = UploadRow(
            part=name,
            user=new.user,
            name=new.name,
            type=new.type,
            size=new.size,
            resumable=resumable,
            durable=0,
            reserved=0,
            id=None,
            sha256=new.sha256,
            done=False,
            at=self._now(),
            source=new.source,
            metadata=new.metadata,
        )
        most = self._limits.unfinished
        if not self.index.addUpload(row, most):
            raise BlobError(
                "too_many", f"you or your address already have {most} unfinished files; finish or abort one"
            )
        return row

    def _rowOf(self, name: str) -> UploadRow | None:
        """Returns the row of an upload. If finishing it was interrupted, that is completed first."""
        row = self.index.upload(name)
        if row is not None and row.state is UploadState.FINISHING and isIdle(self.parts / name):
            self._finish(row)
            row = self.index.upload(name)
        return row

    def _finish(self, row: UploadRow) -> None:
        """Complete an upload in the state FINISHING, whether its file was moved or not."""
        path = self.parts / row.part
        if path.exists() or self.pathOf(row.id or "").exists():
            self._finished.add(path, row, row.durable)
        else:
            self.index.removeUpload(row.part)

    def _open(self, row: UploadRow) -> BlobUpload:
        file = UploadFile(self.parts / row.part, row.durable)
        upload = BlobUpload(row, file, self.index, self._quota, self._finished, self._now)
        syncFolder(self.parts)
        return upload

    # -- files ----------------------------------------------------------------------------------------------------

    def blob(self, blobId: str) -> Blob:
        """Returns the file with this id. Raises BlobError ("unknown")."""
        with translateErrors():
            blob = self.index.blob(blobId)
        if blob is None:
            raise BlobError("unknown", "there is no such file")
        return blob

    def list(self, user: str | None = None) -> list[Blob]:
        """Returns the files of one user or of all, oldest first."""
        with translateErrors():
            return self.index.blobs(user)

    def remove(self, blobId: str) -> None:
        """Remove a file. A reader that has it open can read it to its end."""
        with translateErrors():
            self._finished.remove(blobId)

    def reader(self, blobId: str) -> tuple[Blob, FileReader]:
        """Returns a file, and a reader of its bytes. Raises BlobError ("unknown")."""
        blob = self.blob(blobId)
        with translateErrors():
            return blob, FileReader(self.pathOf(blobId))

    # -- upkeep ---------------------------------------------------------------------------------------------------

    def expire(self) -> tuple[int, int]:
        """Remove expired uploads and files. Returns the numbers of unfinished and of finished files removed."""
        limits, uploads, blobs = self._limits, 0, 0
        with translateErrors():
            for row in self.index.uploads(self._now() - limits.expire) if limits.expire else ():
                uploads += self._expireUpload(row)
            for blob in self.index.blobs(before=self._now() - limits.keep) if limits.keep else ():
                self.remove(blob.id)
                blobs += 1
        return uploads, blobs

    def _expireUpload(self, row: UploadRow) -> bool:
        """Remove an expired upload, unless it is being written. Returns whether an unfinished one was removed."""
        path = self.parts / row.part
        isFinished = row.state is UploadState.FINISHED
        if not isIdle(path) or (isFinished and isSlot(row.user)):
            return False
        path.unlink(missing_ok=True)
        self.index.removeUpload(row.part)
        return not isFinished

    def _recover(self) -> None:
        """After a crash, make each upload a resumable one or a finished file, and remove all others."""
        self._finished.recover()
        rows = {row.part: row for row in self.index.uploads() if row.state is not UploadState.FINISHED}
        for row in rows.values():
            path = self.parts / row.part
            if not isIdle(path):
                continue
            if row.state is UploadState.FINISHING:
                self._finish(row)
            elif not row.resumable:
                path.unlink(missing_ok=True)
                self.index.removeUpload(row.part)
            elif row.reserved > row.durable:
                self._cut(row.part)
        for path in list(self.parts.iterdir()):
            if path.name not in rows and isIdle(path) and self.index.upload(path.name) is None:
                path.unlink(missing_ok=True)

    def _cut(self, name: str) -> None:
        """Cut off the bytes of an upload that are not durable, and release their room."""

        def durable() -> int:
            row = self.index.upload(name)
            return 0 if row is None else row.durable

        if cut(self.parts / name, durable):
            self.index.release(name)

    def verify(self) -> Iterator[tuple[str, str]]:
        """Read all files. Yields an id and a sentence for each that is missing, changed, or in no index."""
        known = {blob.id: blob for blob in self.list()}
        for blob in known.values():
            sentence = self._fault(blob)
            if sentence is not None:
                yield blob.id, sentence
        with translateErrors():
            for path in sorted(self.files.glob("*/*")):
                if path.name not in known and self.index.blob(path.name) is None:
                    yield path.name, "is not in the index"

    def _fault(self, blob: Blob) -> str | None:
        """Returns what is wrong with the content of a file, or None."""
        try:
            with open(self.pathOf(blob.id), "rb") as file:
                digest = sha256()
                while data := file.read(_READ_SIZE):
                    digest.update(data)
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return None if digest.hexdigest() == blob.sha256 else "is damaged: its SHA-256 is wrong"
