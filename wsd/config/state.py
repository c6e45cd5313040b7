"""Where the daemon keeps things: which folder that is, whose it is, and which process has it."""

from __future__ import annotations

import fcntl
import os
import pwd
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from wsd.config.reading import stateFolder
from wsd.config.values import ConfigError

LOCK = "daemon.lock"
"""The file in a folder that a daemon holds as long as it lives."""

_TRIES, _MOMENT = 5, 0.02
"""How often to try to hold it, and the seconds between."""

SYSTEM = Path("/var/lib/wsd")
"""The state folder of the unit for systemd (`StateDirectory=wsd`), which tools are not told of by their environment."""


def foundFolder(environ: Mapping[str, str], name: str) -> Path:
    """
    The state folder of the daemon beside which a tool is run, and which has something of this name.

    It is the one that we are told of or, where that has never been a daemon's, the system's; where both have been,
    that of the daemon which runs. Raises ConfigError when there is no telling.
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
        raise ConfigError(f"{own} and {SYSTEM} are both state folders; set STATE_DIRECTORY to the one that is meant")
    return held[0]


def _isThere(path: Path) -> bool:
    """Whether there is such a file that we may know of."""
    with suppress(OSError):
        return path.exists()
    return False


# -- whose it is ------------------------------------------------------------------------------------------------------


def give(path: Path) -> None:
    """
    Give what root has just made to the owner of the folder that it lies in.

    The daemon is seldom root, and could not open it.
    """
    if os.geteuid() == 0:
        folder = os.stat(path.parent)
        os.chown(path, folder.st_uid, folder.st_gid, follow_symlinks=False)


def makeFile(path: Path) -> None:
    """Make an empty file for its owner alone, if there is none. It is never root's where the daemon is not."""
    with suppress(FileExistsError):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if os.geteuid() == 0:
                folder = os.stat(path.parent)
                os.fchown(file, folder.st_uid, folder.st_gid)
        finally:
            os.close(file)


def makeFolder(folder: Path) -> None:
    """Make it, and what is above it, for its owner alone."""
    if not folder.is_dir():
        makeFolder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            give(folder)


def ownerOf(path: Path) -> str:
    """The name of the user whose it is, or of the folder that it would lie in."""
    for place in (path, *path.parents):
        with suppress(OSError):
            number = os.stat(place).st_uid
            try:
                return pwd.getpwuid(number).pw_name
            except KeyError:
                return f"the user {number}"
    return "somebody else"


def whoMay(path: Path) -> str:
    """As whom a tool is to be run that may not open it."""
    owner = ownerOf(path)
    return owner if owner == "root" else f"{owner} or root"


# -- which process has it ---------------------------------------------------------------------------------------------


class Lock:
    """
    A file that one process holds, and that has its number.

    The kernel lets go of it when the process ends, however it does. Raises ConfigError when another has it, and
    OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        makeFolder(path.parent)
        makeFile(path)
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self._take()
        except OSError as error:
            os.close(self._file)
            if not isinstance(error, BlockingIOError):
                raise
            raise ConfigError(
                f"{path.parent} has the state of another daemon, which runs as process {_numberIn(path)}; "
                "end that one, or have this one keep its state elsewhere (STATE_DIRECTORY, or the route's store)"
            ) from None
        self.sign()

    def _take(self) -> None:
        """Who only looks whether it is held has it for a moment (`holderOf`)."""
        for _ in range(_TRIES):
            with suppress(BlockingIOError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(_MOMENT)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def sign(self) -> None:
        """Write down the number of this process, which may be a child of the one that took it, if the disk takes it."""
        # What is held is not open for writing: the disk may be made read-only meanwhile.
        with suppress(OSError):
            file = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.pwrite(file, b"%-20d\n" % os.getpid(), 0)
            finally:
                os.close(file)

    def close(self) -> None:
        """Let go of it. May be called again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Locks:
    """What a daemon holds. A path that it has once is its own until the end, through every reload."""

    def __init__(self) -> None:
        self._locks: dict[Path, Lock] = {}
        self.notices: list[str] = []
        """Sentences about what could not be held, each once."""

    def take(self, paths: Iterable[Path]) -> None:
        """Hold these too. Raises ConfigError, and holds none of them, when another process has one."""
        new: dict[Path, Lock] = {}
        try:
            for path in dict.fromkeys(path.resolve() for path in paths):
                if path in self._locks:
                    continue
                try:
                    new[path] = Lock(path)
                except OSError as error:
                    # Nothing can be kept there, so there is nothing to hold: who needs the place will say so.
                    notice = f"{path.parent} cannot be written: {error.strerror}; nothing is kept there"
                    if notice not in self.notices:
                        self.notices.append(notice)
        except ConfigError:
            for lock in new.values():
                lock.close()
            raise
        self._locks.update(new)

    def sign(self) -> None:
        """Write down the number of this process in all of them."""
        for lock in self._locks.values():
            lock.sign()

    def close(self) -> None:
        """Let go of all."""
        for lock in self._locks.values():
            lock.close()
        self._locks.clear()


def holderOf(path: Path) -> str | None:
    """The number of the process that holds it; None when nobody does, or we may not know."""
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
