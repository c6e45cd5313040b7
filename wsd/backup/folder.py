"""Copies the state folder as a whole: the copy is complete when it gets its name, or is not there."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from wsd.backup.files import copyDatabase, copyFile, isDatabase, keep
from wsd.backup.filestore import FileStoreCopy
from wsd.config import ConfigError
from wsd.config.state import LOCK
from wsd.config.stores import FILES, INDEX, PARTS

_BESIDE = ("-wal", "-shm", "-journal")
"""How the names of the files end that SQLite keeps beside a database. A copy of the database does without them."""


class FolderCopy:
    """A copy of the state folder `source` at `target`, which must be a new or empty folder."""

    def __init__(self, source: Path, target: Path) -> None:
        # Under systemd, /var/lib/wsd may be a symbolic link.
        self._source = source.resolve()
        self._target = target.absolute()
        self.databases = self.linked = self.copied = 0
        """How many databases were copied, finished files linked, and other files copied."""

    def make(self) -> None:
        """Make the copy. Raises ConfigError if there can be none, OSError and sqlite3.Error."""
        self._check()
        making = Path(tempfile.mkdtemp(prefix=f".{self._target.name}.", dir=self._target.parent))
        try:
            self._folder(self._source, making)
            # The folder itself tells when the backup was made, so that old ones can be found.
            os.utime(making)
            # Everything is on the disk before the name is.
            os.sync()
            making.rename(self._target)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
        os.sync()

    def _check(self) -> None:
        """Raises ConfigError, and OSError."""
        source, target = self._source, self._target
        if not source.is_dir():
            raise ConfigError(f"there is no state folder at {source}; name the daemon's with --from")
        if target.resolve().is_relative_to(source):
            raise ConfigError(f"{target} is in the state folder itself; name a folder outside of {source}")
        if not target.parent.is_dir():
            raise ConfigError(f"{target.parent} does not exist; create it first")
        if os.path.lexists(target) and (target.is_symlink() or not target.is_dir()):
            raise ConfigError(f"{target} is not a folder; name a new or empty one")
        if target.is_dir() and any(target.iterdir()):
            raise ConfigError(f"{target} is not empty; name a new or empty folder")

    def _folder(self, source: Path, target: Path) -> None:
        names = set(os.listdir(source))
        if INDEX in names and isDatabase(source / INDEX):
            self._fileStore(source, target)
            names -= {INDEX, PARTS, FILES}
        for name in sorted(names):
            # What is gone by now was removed or renamed by the daemon, as temporary files are.
            with suppress(FileNotFoundError):
                if not self._isLeftOut(name, names):
                    self._entry(source / name, target / name)
        keep(source, target)

    @staticmethod
    def _isLeftOut(name: str, names: set[str]) -> bool:
        """Whether a file belongs to the running daemon, or to a database."""
        ends = [end for end in _BESIDE if name.endswith(end) and name.removesuffix(end) in {*names, INDEX}]
        return name == LOCK or bool(ends)

    def _entry(self, source: Path, target: Path) -> None:
        # Symbolic links are followed: a folder may lie on another disk.
        mode = source.stat().st_mode
        if stat.S_ISDIR(mode):
            target.mkdir()
            self._folder(source, target)
        elif not stat.S_ISREG(mode):
            return  # A socket, which the daemon makes anew.
        elif isDatabase(source):
            copyDatabase(source, target)
            self.databases += 1
        else:
            copyFile(source, target)
            self.copied += 1

    def _fileStore(self, source: Path, target: Path) -> None:
        copy = FileStoreCopy(source, target)
        copy.make()
        self.databases += 1
        self.linked += len(copy.linked)
        self.copied += len(copy.copied)
