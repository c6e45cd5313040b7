"""The finished files of a store: each gets its name, and loses it, together with its row in the index."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsd.config.state import give
from wsd.protocols.blob.file import openFolder, syncFolder
from wsd.protocols.blob.index import Blob, Index


class Shelf:
    """
    The folder `files`, where a file is AB/ID: AB begins its id.

    Who gives or takes names in AB keeps out all others meanwhile, of other processes too; else one could be told that a
    file is kept while another removes the same content. Blocks; raises OSError and sqlite3.Error.
    """

    def __init__(self, folder: Path, index: Index) -> None:
        self._folder = folder
        self._index = index

    def pathOf(self, id: str) -> Path:
        """Where a finished file lies."""
        return self._folder / id[:2] / id

    def put(self, path: Path, blob: Blob) -> Blob:
        """Give an unfinished file that is whole, checked and on disk its name: the file that counts from now on."""
        target = self.pathOf(blob.id)
        with self._alone(blob.id):
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

    def remove(self, id: str) -> None:
        """Remove a file; who reads it now may read it to its end."""
        with self._alone(id):
            self._index.removeBlob(id)
            self._unlink(id)

    def recover(self) -> None:
        """Remove what a crash has left of removed files."""
        for id in self._index.doomed():
            with self._alone(id):
                self._unlink(id)

    def _unlink(self, id: str) -> None:
        if self._index.blob(id) is None:
            self.pathOf(id).unlink(missing_ok=True)
        self._index.buried(id)

    @contextmanager
    def _alone(self, id: str) -> Iterator[None]:
        folder = self.pathOf(id).parent
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            give(folder)
        descriptor = openFolder(folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
