"""A connection to the control socket of a daemon: sends requests, and reads the answers, as JSON lines."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from wsd.config import ConfigError
from wsd.config.sockets import LONGEST, controlPaths, isTooLong
from wsd.config.state import whoMay

_PATIENCE = 300.0
"""Seconds to wait for a line. Only a reload and an upgrade may take more than a moment: they load a user's code."""


class ControlLink:
    """
    A connection to the socket at `path`.

    Raises ConfigError with one sentence if nobody answers there, or the daemon refuses a request.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = _connected(path)
        self._file = self._socket.makefile("rb")
        self.last: Mapping[str, Any] = {}
        """The last line of the latest answer."""

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def ask(self, command: str, **fields: object) -> Mapping[str, Any]:
        """Send a request without items in its answer. Returns the result."""
        for _ in self.lines(command, **fields):
            pass
        return self.last

    def items(self, command: str, **fields: object) -> Iterator[dict[str, Any]]:
        """Send a request, and yield the items of its answer as they come. The result is in `last` after that."""
        return map(json.loads, self.lines(command, **fields))

    def lines(self, command: str, **fields: object) -> Iterator[bytes]:
        """Like `items`, but yields the lines unchanged."""
        given = {name: value for name, value in fields.items() if value not in (None, False, [])}
        try:
            self._socket.sendall(json.dumps({"command": command, **given}).encode() + b"\n")
            for line in self._file:
                # An item never begins with `ok`, and the last line always does.
                if line.startswith(b'{"ok":'):
                    self.last = json.loads(line)
                    if not self.last["ok"]:
                        raise ConfigError(self.last["error"])
                    return
                yield line
        except TimeoutError:
            raise ConfigError(f"the daemon at {self.path} has not answered for {_PATIENCE:g} seconds") from None
        except OSError as error:
            raise ConfigError(f"the connection to {self.path} was lost: {error.strerror}") from None
        raise ConfigError(f"the daemon at {self.path} has hung up; see its log")


def openLink(named: str | None, environ: Mapping[str, str]) -> ControlLink:
    """The link to the daemon whose socket is `named`, or to the only one at the usual places. Raises ConfigError."""
    if named is not None:
        return ControlLink(Path(named).absolute())
    places = controlPaths(environ)
    links: list[ControlLink] = []
    denied: list[ConfigError] = []
    for path in places:
        try:
            links.append(ControlLink(path))
        except NobodyListens:
            continue
        except ConfigError as error:
            denied.append(error)
    if len(links) == 1:
        return links[0]
    for link in links:
        link.close()
    if links:
        found = " and ".join(str(link.path) for link in links)
        raise ConfigError(f"several daemons listen, at {found}; name the one that you mean with --socket")
    if denied:
        raise denied[0]
    raise NobodyListens(places)


class NobodyListens(ConfigError):
    """No daemon has a control socket at these places."""

    def __init__(self, places: list[Path]) -> None:
        names = " or ".join(map(str, places))
        super().__init__(f"no daemon listens at {names}; start one with wsd serve, or name its socket with --socket")


def _connected(path: Path) -> socket.socket:
    if isTooLong(path):
        raise ConfigError(f"{path} is too long for a socket; the path may have {LONGEST} bytes")
    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    own.settimeout(_PATIENCE)
    try:
        own.connect(os.fspath(path))
    except OSError as error:
        own.close()
        _cannotConnect(path, error)
    return own


def _cannotConnect(path: Path, error: OSError) -> NoReturn:
    if error.errno == errno.EACCES:
        raise ConfigError(f"{path} cannot be opened by this user; run this as {whoMay(path)}") from None
    if error.errno == errno.ENOTSOCK:
        raise ConfigError(f"{path} is not a socket; name that of the daemon") from None
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED):
        raise NobodyListens([path]) from None
    raise ConfigError(f"{path} cannot be opened: {error.strerror}") from None
