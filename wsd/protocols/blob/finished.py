"""The finished files of a store, which are added and removed together with their rows in the index."""

from __future__ import annotations

import fcntl
import hmac
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from wsd.config.state import give
from wsd.protocols.blob.file import openFolder, syncFolder
from wsd.protocols.blob.index import Blob, BlobIndex, UploadRow


class FinishedFiles:
    """
    The folder `files`: a file is at AB/ID, where AB is the first two characters of its id.

    Adding and removing a file locks the folder AB, for other processes too. Without the lock, an upload could be told
    that its content is stored already while another client removes that file. The methods block, and raise OSError and
    sqlite3.Error.
    """

    def __init__(self, folder: Path, index: BlobIndex, now: Callable[[], float]) -> None:
        self._folder = folder
        self._index = index
        self._now = now

    def idOf(self, user: str, digest: str) -> str:
        """
        Returns the id of a user's file with this SHA-256.

        It is made with a key of the store, so nobody else can compute it or learn the content from it.
        """
        return hmac.new(self._index.key, f"{user}\0{digest}".encode(), sha256).hexdigest()[:40]

    def pathOf(self, blobId: str) -> Path:
        """Returns the path of a finished file."""
        return self._folder / blobId[:2] / blobId

    def add(self, path: Path, row: UploadRow, size: int) -> Blob:
        """
        Move the file of an upload, which is complete, checked and synced, to the path of its id.

        Returns the file as the index has it. May be repeated after a crash.
        """
        assert row.id is not None
        assert row.sha256 is not None
        assert row.type is not None
        blob = Blob(row.id, row.user, row.name, row.type, size, row.sha256, self._now())
        target = self.pathOf(blob.id)
        with self._locked(blob.id):
            isNew = not target.exists()
            if isNew:
                os.rename(path, target)
            else:
                path.unlink(missing_ok=True)
            for folder in (target.parent, self._folder, path.parent):
                syncFolder(folder)
            try:
                return self._index.finish(path.name, blob)
            except sqlite3.Error:
                if isNew:
                    os.rename(target, path)
                raise

    def remove(self, blobId: str) -> None:
        """Remove a file. A reader that has it open can read it to its end."""
        with self._locked(blobId):
            self._index.removeBlob(blobId)
            self._unlink(blobId)

    def recover(self) -> None:
        """Complete the removals that a crash interrupted."""
        for blobId in self._index.beingRemoved():
            with self._locked(blobId):
                self._unlink(blobId)

    def _unlink(self, blobId: str) -> None:
        if self._index.blob(blobId) is None:
            self.pathOf(blobId).unlink(missing_ok=True)
        self._index.removed(blobId)

    @contextmanager
    def _locked(self, blobId: str) -> Iterator[None]:
        """Lock the folder of a file."""
        folder = self.pathOf(blobId).parent
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            give(folder)
        descriptor = openFolder(folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
