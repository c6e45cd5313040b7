"""The control socket: created when the daemon starts, moved by a reload, and removed when the daemon ends."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.config import Control
from wsd.config.sockets import LONGEST, controlPath, isTooLong, workerPath
from wsd.config.state import makeFolder
from wsd.control.interface import Steered
from wsd.control.server import ControlFactory


class ControlPort(unix.Port):
    """A listening unix socket whose file is left to `ControlSocket`: it may be another daemon's by now."""

    def connectionLost(self, reason: Failure) -> None:
        """Called when the port is closed."""
        tcp.Port.connectionLost(self, reason)


class ControlSocket:
    """
    The control socket of a daemon.

    If it cannot be created, the daemon serves without it, and the log says why. That of one of several workers has
    its number in its name.
    """

    log = Logger(namespace="wsd")

    def __init__(self, reactor: Any, environ: Mapping[str, str], daemon: Steered, worker: int | None = None) -> None:
        self.path: Path | None = None
        """Where it is, None if there is none."""
        self._reactor = reactor
        self._environ = environ
        self._factory = ControlFactory(daemon)
        self._worker = worker
        self._port: Any = None
        self._identity: tuple[int, int] | None = None

    def configure(self, control: Control) -> None:
        """Be where the configuration says, or nowhere. Clients of an earlier place stay connected."""
        wanted = controlPath(control, self._environ) if control.enabled else None
        if wanted is not None and self._worker is not None:
            wanted = workerPath(wanted, self._worker)
        if self.path is not None and wanted == self.path:
            return
        self.close()
        if wanted is not None:
            self._open(wanted)

    def _open(self, path: Path) -> None:
        try:
            if isTooLong(path):
                raise OSError(errno.ENAMETOOLONG, f"a path of at most {LONGEST} bytes is needed")
            makeFolder(path.parent)
            _removeStale(path)
            port = ControlPort(os.fsencode(path), self._factory, mode=0o600, reactor=self._reactor)
            port.startListening()
        except (OSError, CannotListenError) as error:
            cause = getattr(error, "socketError", error)
            self.log.warn(
                "there is no control socket at {path}: {reason}; wsd ctl cannot reach this daemon",
                event="control.unusable",
                path=str(path),
                reason=getattr(cause, "strerror", None) or str(cause),
            )
            return
        self.path, self._port = path, port
        self._identity = _identityOf(path)
        self.log.info("control socket {path}", event="control.listening", path=str(path))

    def close(self) -> Deferred[Any]:
        """Accept no more clients, and remove the socket, unless another daemon has replaced it."""
        port, path, self._port, self.path = self._port, self.path, None, None
        if port is None or path is None:
            return succeed(None)
        if _identityOf(path) == self._identity:
            with suppress(OSError):
                path.unlink()
        return maybeDeferred(port.stopListening)

    def finish(self) -> None:
        """Close it when the process ends. Whoever has asked for it, as an upgrade does, gets an answer first."""
        self.close()
        self._factory.finish()


def _removeStale(path: Path) -> None:
    """Remove the socket of a daemon that is gone. Raises OSError if it is in use, or no socket."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "there is a file that is not a socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(os.fspath(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise OSError(errno.EADDRINUSE, "another daemon uses it; name another path in [control]")


def _identityOf(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = os.lstat(path)
        return found.st_dev, found.st_ino
    return None
