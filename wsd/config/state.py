"""The daemon's state folder: its path, its owner, and its lock."""

from __future__ import annotations

import fcntl
import os
import pwd
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from wsd.config.errors import ConfigError

LOCK = "daemon.lock"
"""The file in a folder that a daemon keeps locked while it runs."""

_TRIES, _MOMENT = 5, 0.02
"""The number of attempts to lock it, and the seconds between two of them."""

SYSTEM = Path("/var/lib/wsd")
"""The state folder of the systemd unit (`StateDirectory=wsd`). A tool has no $STATE_DIRECTORY that names it."""


def stateFolder(environ: Mapping[str, str]) -> str:
    """The state folder: $STATE_DIRECTORY, else wsd in the user's XDG state folder. Does not create it."""
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return given
    home = environ.get("HOME") or os.path.expanduser("~")
    return os.path.join(environ.get("XDG_STATE_HOME") or os.path.join(home, ".local", "state"), "wsd")


def foundFolder(environ: Mapping[str, str], name: str) -> Path:
    """
    The daemon's state folder, for a tool that needs the file or folder of this name in it.

    It is the environment's folder or, if no daemon has ever used that, the system's. If daemons have used both, it is
    the folder of the running daemon. Raises ConfigError if not exactly one of both is in use.
    """
    own = Path(stateFolder(environ))
    if environ.get("STATE_DIRECTORY") or not os.path.lexists(SYSTEM):
        return own
    if not (_isThere(own / LOCK) or _isThere(own / name)):
        return SYSTEM
    if not (_isThere(SYSTEM / LOCK) or _isThere(SYSTEM / name)):
        return own
    held = [folder for folder in (own, SYSTEM) if holderOf(folder / LOCK) is not None]
    if len(held) != 1:
        raise ConfigError(f"{own} and {SYSTEM} both exist; set STATE_DIRECTORY to the one you mean")
    return held[0]


def _isThere(path: Path) -> bool:
    """Whether a file exists; False if we may not see it."""
    with suppress(OSError):
        return path.exists()
    return False


# -- owners ------------------------------------------------------------------------------------------------------


def give(path: Path) -> None:
    """
    Give a file or folder that root has just created to the owner of the folder it lies in.

    Otherwise the daemon, which is seldom root, could not open it.
    """
    if os.geteuid() == 0:
        folder = os.stat(path.parent)
        os.chown(path, folder.st_uid, folder.st_gid, follow_symlinks=False)


def makeFile(path: Path) -> None:
    """Create an empty, private file if there is none. It belongs to its folder's owner, even if root creates it."""
    with suppress(FileExistsError):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if os.geteuid() == 0:
                folder = os.stat(path.parent)
                os.fchown(file, folder.st_uid, folder.st_gid)
        finally:
            os.close(file)


def makeFolder(folder: Path) -> None:
    """Create a private folder, and its parents."""
    if not folder.is_dir():
        makeFolder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            give(folder)


def ownerOf(path: Path) -> str:
    """The user name of the owner of a path or, if it does not exist, of the nearest folder above it."""
    for place in (path, *path.parents):
        with suppress(OSError):
            number = os.stat(place).st_uid
            try:
                return pwd.getpwuid(number).pw_name
            except KeyError:
                return f"the user {number}"
    return "somebody else"


def whoMay(path: Path) -> str:
    """The users who can open a path that this user may not open, for a message."""
    owner = ownerOf(path)
    return owner if owner == "root" else f"{owner} or root"


# -- locks --------------------------------------------------------------------------------------------


class Lock:
    """
    A locked file, which contains the ID of the process that has locked it.

    The kernel unlocks it when the process ends, however it ends. Raises ConfigError if another process has locked it,
    and OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        makeFolder(path.parent)
        makeFile(path)
        self.file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self._take()
        except OSError as error:
            os.close(self.file)
            if not isinstance(error, BlockingIOError):
                raise
            raise ConfigError(
                f"{path.parent} is in use by another daemon, process {_numberIn(path)}; "
                "stop that daemon, or use another folder (STATE_DIRECTORY, or the route's store)"
            ) from None
        self.sign()

    @classmethod
    def adopted(cls, path: Path, file: int) -> Lock:
        """The lock of another process that has passed its descriptor: both hold it until both have closed it."""
        lock = cls.__new__(cls)
        lock.path, lock.file = path, file
        return lock

    def _take(self) -> None:
        """Lock the file, with retries: `holderOf` in another process locks it for a moment."""
        for _ in range(_TRIES):
            with suppress(BlockingIOError):
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(_MOMENT)
        fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def sign(self) -> None:
        """Write the ID of this process, which may be a child of the one that took the lock. Errors are ignored."""
        # Another descriptor is opened for writing: with the locked one, the disk could not be remounted read-only.
        with suppress(OSError):
            file = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.pwrite(file, b"%-20d\n" % os.getpid(), 0)
            finally:
                os.close(file)

    def close(self) -> None:
        """Unlock the file. May be called again."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1


class Locks:
    """The locks of a daemon. It keeps each of them until its end, through every reload that is not refused."""

    def __init__(self) -> None:
        self._locks: dict[Path, Lock] = {}
        self.notices: list[str] = []
        """Sentences about files that could not be locked, each once."""

    @property
    def files(self) -> dict[str, int]:
        """The descriptors of the locked files by their paths."""
        return {str(path): lock.file for path, lock in self._locks.items()}

    def adopt(self, files: Mapping[str, int]) -> None:
        """Hold the locks of another process too, by the descriptors that it has passed."""
        for name, file in files.items():
            self._locks[Path(name)] = Lock.adopted(Path(name), file)

    def take(self, paths: Iterable[Path]) -> list[Path]:
        """
        Lock these files too. Returns those that were not locked before.

        Raises ConfigError, and locks none of them, if another process has locked one.
        """
        new: dict[Path, Lock] = {}
        try:
            for path in dict.fromkeys(path.resolve() for path in paths):
                if path in self._locks:
                    continue
                try:
                    new[path] = Lock(path)
                except OSError as error:
                    # Nothing can be stored there, so no lock is needed. A route that needs the file reports it.
                    notice = f"{path.parent} cannot be written: {error.strerror}; no data can be stored there"
                    if notice not in self.notices:
                        self.notices.append(notice)
        except ConfigError:
            for lock in new.values():
                lock.close()
            raise
        self._locks.update(new)
        return list(new)

    def release(self, paths: Iterable[Path]) -> None:
        """Unlock files that `take` has just locked."""
        for path in paths:
            self._locks.pop(path).close()

    def sign(self) -> None:
        """Write the ID of this process into all of them."""
        for lock in self._locks.values():
            lock.sign()

    def close(self) -> None:
        """Unlock all."""
        for lock in self._locks.values():
            lock.close()
        self._locks.clear()


def holderOf(path: Path) -> str | None:
    """The ID of the process that has locked a file; None if no process has, or we may not read the file."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _numberIn(path)
    except OSError:
        return None
    finally:
        os.close(file)
    return None


def _numberIn(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        number = path.read_text("ascii").strip()
        if number.isdigit():
            return number
    return "unknown"
