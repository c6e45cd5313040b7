"""
Binds the listeners of a new configuration beside those that listen now, none of which it touches.

A listener whose address is in both configurations is kept with its socket and its queue of waiting connections.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from wsd.config import Config
from wsd.listen.bind import bind
from wsd.listen.checking import check
from wsd.listen.handed import BoundSocket, HandedSockets
from wsd.listen.listener import Listener


@dataclass(frozen=True, slots=True)
class Rebound:
    """The listeners of a new configuration, in its order, of which those in `added` are bound and not in use yet."""

    listeners: list[Listener]
    """Of those that stay, these are the listeners of now, unchanged."""
    wanted: list[Listener]
    """For each of them what it is to be: with the `secure`, `proxied` and `mode` of the new configuration."""
    added: list[Listener]
    removed: list[Listener]
    notices: list[str] = field(default_factory=list)

    def close(self) -> None:
        """Close what was bound, since the configuration is refused."""
        for listener in self.added:
            listener.discard()


def rebind(config: Config, current: Sequence[Listener]) -> Rebound:
    """Bind what a new configuration adds to the current listeners. Raises `CannotListen`; nothing is bound then."""
    check(config)
    copies: dict[int, Listener] = {}
    passed: list[tuple[int, str, int]] = []
    bound: list[BoundSocket] = []
    for listener in current:
        if listener.descriptor is None:
            continue
        copy = os.dup(listener.descriptor)
        copies[copy] = listener
        if listener.unitSocket is not None:
            passed.append((*listener.unitSocket, copy))
        else:
            bound.append(BoundSocket(_opened(copy), listener.secure))
    handed = HandedSockets([(name, copy) for _, name, copy in sorted(passed)], bound, _portsOf(bound))
    try:
        with _sharing([each.socket for each in bound]):
            wanted, notices = bind(config, {}, handed)
    finally:
        handed.closeRest()
    return _sorted(wanted, copies, current, notices)


def _opened(descriptor: int) -> socket.socket:
    """The socket of a copied descriptor. The copies share whether they block, and none may."""
    opened = socket.socket(fileno=descriptor)
    opened.setblocking(False)
    return opened


def _sorted(
    wanted: list[Listener], copies: dict[int, Listener], current: Sequence[Listener], notices: list[str]
) -> Rebound:
    """Tell which of the wanted listeners are there already. Closes the copies of their sockets."""
    endpoints: dict[tuple[str | None, bool], Listener]
    endpoints = {(each.endpoint, each.secure): each for each in current if each.endpoint is not None}
    listeners: list[Listener] = []
    added: list[Listener] = []
    for listener in wanted:
        if listener.socket is None:
            found = endpoints.get((listener.endpoint, listener.secure))
        else:
            found = copies.get(listener.socket.fileno())
            if found is not None:
                listener.close()
        listeners.append(listener if found is None else found)
        if found is None:
            added.append(listener)
    removed = [each for each in current if each not in listeners]
    return Rebound(listeners, wanted, added, removed, notices)


def _portsOf(bound: Sequence[BoundSocket]) -> frozenset[int]:
    return frozenset(each.socket.getsockname()[1] for each in bound if each.socket.family != socket.AF_UNIX)


@contextmanager
def _sharing(sockets: Sequence[socket.socket]) -> Iterator[None]:
    """
    Meanwhile another socket of this process can be bound to a port of these, such as 0.0.0.0 beside 127.0.0.1.

    Linux allows that if both have SO_REUSEPORT (socket(7)).
    """
    changed = [
        each
        for each in sockets
        if each.family != socket.AF_UNIX and not each.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    ]
    # The copies that `bind` takes or closes share their sockets with these.
    own = [_opened(os.dup(each.fileno())) for each in changed]
    for each in own:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        yield
    finally:
        for each in own:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
            each.close()
