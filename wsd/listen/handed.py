"""Listening sockets that another process has bound: the one before an upgrade, or a daemon that has crashed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, MutableMapping
from typing import NamedTuple

from wsd.listen.systemd import KEPT, KEPT_TLS, NotListening, adopt, inherited


class BoundSocket(NamedTuple):
    """A listening socket that the daemon has bound itself, and whether it is for TLS."""

    socket: socket.socket
    secure: bool


class HandedSockets(NamedTuple):
    """
    What a process is given at its start.

    `passed` are the sockets of .socket units, each with its name, in systemd's order. `bound` are those that an earlier
    process of the daemon has bound itself; a listener takes the one with its address, if there is one. In a reload,
    both are the daemon's own.
    """

    passed: list[tuple[str, int]]
    bound: list[BoundSocket]
    shared: frozenset[int] = frozenset()
    """Ports that a new listener may share at other addresses, as in a reload from 127.0.0.1 to 0.0.0.0."""

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> HandedSockets:
        """Those that systemd passes. Sockets that are not listening any more are closed."""
        found = inherited(environ)
        kept = [(descriptor, name == KEPT_TLS) for name, descriptor in found if name in (KEPT, KEPT_TLS)]
        return cls([each for each in found if each[0] not in (KEPT, KEPT_TLS)], _adopted(kept))

    @classmethod
    def from_(cls, passed: Iterable[tuple[str, int]], bound: Iterable[tuple[int, bool]]) -> HandedSockets:
        """Those that the process before an upgrade passes: descriptors, and whether they are for TLS."""
        return cls(list(passed), _adopted(bound))

    def takeTcp(self, family: int, host: str, port: int, secure: bool) -> socket.socket | None:
        """
        Returns a socket that is bound to this host and port, and removes it.

        Port 0 stands for any, if the socket was for TLS or not for TLS, as it is now.
        """
        for each in self.bound:
            if each.socket.family != family or each.socket.getsockname()[0] != host:
                continue
            if port == each.socket.getsockname()[1] or (port == 0 and secure == each.secure):
                self.bound.remove(each)
                return each.socket
        return None

    def takeUnix(self, path: str) -> socket.socket | None:
        """Returns a socket that is bound to this path, and removes it."""
        for each in self.bound:
            if each.socket.family == socket.AF_UNIX and each.socket.getsockname() == path:
                self.bound.remove(each)
                return each.socket
        return None

    def closeRest(self) -> None:
        """Close the sockets that no listener has taken."""
        for each in self.bound:
            each.socket.close()
        self.bound.clear()


def _adopted(descriptors: Iterable[tuple[int, bool]]) -> list[BoundSocket]:
    adopted = []
    for descriptor, secure in descriptors:
        try:
            adopted.append(BoundSocket(adopt(descriptor), secure))
        except NotListening:
            os.close(descriptor)
    return adopted
