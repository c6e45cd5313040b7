"""Checks listeners without binding them, since the daemon with their configuration may be running."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import NamedTuple

from wsd.config import Config
from wsd.listen.bind import bindHost
from wsd.listen.endpoints import CannotListen, TcpEndpoint, UnixEndpoint, cannotShare, readEndpoint
from wsd.listen.handed import HandedSockets

_LONGEST_PATH = 107
"""Bytes of the longest path of a unix socket (unix(7))."""


def check(config: Config) -> list[str]:
    """
    Check endpoint strings, that hosts are addresses of this machine, and that no two listeners have the same place.

    Returns warnings of folders that do not exist yet, since systemd creates those of a unit when it starts. Raises
    `CannotListen`. Whether ports are free is not checked.
    """
    warnings: list[str] = []
    taken: list[_Place] = []
    for key, port in (("port", config.port), ("tls.port", config.tls.port)):
        for host in config.host if port is not None else ():
            _checkHost(host)
            _claim(taken, _Place(f"{key} (host {host})", host.strip("[]"), port))
    for key, strings in (("listen", config.listen), ("tls.listen", config.tls.listen)):
        for string in strings:
            endpoint, name = readEndpoint(string), f"{key} {string!r}"
            if isinstance(endpoint, TcpEndpoint):
                _checkHost(endpoint.host)
                _claim(taken, _Place(name, endpoint.host.strip("[]"), endpoint.port))
            elif isinstance(endpoint, UnixEndpoint):
                _claim(taken, _Place(name, endpoint.path, None))
                warnings += _checkPath(string, endpoint.path)
            elif endpoint is None and config.workers > 1:
                raise cannotShare(string)
    return warnings


class _Place(NamedTuple):
    """Where a listener would listen: the key that says so, and a host with a port, or a path without one."""

    name: str
    host: str
    port: int | None

    def collides(self, other: _Place) -> bool:
        """Whether two listeners cannot both have their places: the same one, or all addresses and one of them."""
        isSame = self.host == other.host
        isWithin = (":" in self.host) == (":" in other.host) and bool({"0.0.0.0", "::"} & {self.host, other.host})
        return self.port == other.port != 0 and (isSame or (self.port is not None and isWithin))


def _claim(taken: list[_Place], place: _Place) -> None:
    """Add a place to those that are taken. Raises `CannotListen` if another listener would be in its way."""
    for other in taken:
        if place.collides(other):
            names = f"{other.name} and {place.name}" if other.name != place.name else f"two of {place.name}"
            where = place.host if place.port is None else f"port {place.port} on {place.host}"
            raise CannotListen(f"{names} would both listen at {where}; change one of them")
    taken.append(place)


def _checkPath(string: str, path: str) -> list[str]:
    """Check the path of a unix socket. Returns a warning if its folder is missing. Raises `CannotListen`."""
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise CannotListen(f"listen {string!r} has a path of more than {_LONGEST_PATH} bytes; choose a shorter one")
    with suppress(OSError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise CannotListen(f"listen {string!r}: {path} is there, and is not a socket; choose another path")
    folder = os.path.dirname(path) or "."
    return [] if os.path.isdir(folder) else [f"listen {string!r}: the folder {folder} does not exist yet"]


def _checkHost(host: str) -> None:
    """Raises `CannotListen` for a host that is not an address of this machine, by binding a free port of it."""
    listener = bindHost(host, 0, False, [], HandedSockets([], []))
    if listener is not None:
        listener.close()
