"""
Copies a folder of stored files with its index (wsd.config.stores) to match each other, while the daemon writes to both.

Finished files are never changed, only removed, so most of them are linked before anything is locked. Then the index is
locked for a moment: the daemon waits, and nothing becomes finished, is removed or is added. In this moment the index is
copied, and the links are made to match the folder as it is now. Unfinished files are opened, and copied after that:
they only grow behind what the index knows. They are not linked, because whoever opens the copy would change them for
the daemon as well.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from wsd.backup.files import copyDatabase, copyOpened, keep, link, opened
from wsd.config.stores import FILES, INDEX, PARTS


class FileStoreCopy:
    """The copy of such a folder. Its methods raise OSError and sqlite3.Error."""

    def __init__(self, source: Path, target: Path) -> None:
        self._source = source
        self._target = target
        self.linked: set[str] = set()
        """The finished files that were linked, by their paths in FILES."""
        self.copied: set[str] = set()
        """Those that were copied."""

    def make(self) -> None:
        """Copy all."""
        for name in (PARTS, FILES):
            (self._target / name).mkdir()
        self._addFiles(self._finished())
        with opened(self._source / INDEX) as index:
            index.execute("BEGIN IMMEDIATE")
            copyDatabase(self._source / INDEX, self._target / INDEX)
            # A file moves from PARTS to FILES, so that it is found in one of them in this order.
            parts = self._openParts()
            self._match()
            index.execute("ROLLBACK")
        while parts:
            name, file = parts.popitem()
            copyOpened(file, self._target / PARTS / name)
        for folder in (PARTS, FILES):
            if (self._source / folder).is_dir():
                keep(self._source / folder, self._target / folder)

    def _finished(self) -> set[str]:
        folder = self._source / FILES
        return {os.path.relpath(path, folder) for path in folder.glob("*/*")}

    def _addFiles(self, names: set[str]) -> None:
        for name in sorted(names):
            source, target = self._source / FILES / name, self._target / FILES / name
            # A file that is gone by now was removed.
            with suppress(FileNotFoundError):
                if not target.parent.is_dir():
                    target.parent.mkdir()
                    keep(source.parent, target.parent)
                (self.linked if link(source, target) else self.copied).add(name)

    def _match(self) -> None:
        """Add the files that have become finished, and remove those that were removed."""
        now = self._finished()
        for name in (self.linked | self.copied) - now:
            (self._target / FILES / name).unlink()
            self.linked.discard(name)
            self.copied.discard(name)
        self._addFiles(now - self.linked - self.copied)

    def _openParts(self) -> dict[str, int]:
        """The descriptors of the unfinished files by their names."""
        files: dict[str, int] = {}
        folder = self._source / PARTS
        for name in os.listdir(folder) if folder.is_dir() else ():
            with suppress(FileNotFoundError):
                files[name] = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)
        return files
