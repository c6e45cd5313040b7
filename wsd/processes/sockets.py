"""
The listening sockets of all workers: the parent binds and keeps them, and passes them on to each worker.

For TCP, each worker has a socket of its own at the same address (SO_REUSEPORT, socket(7)): the kernel spreads the
connections evenly by their addresses, and those of a worker that is starting wait in its queue. A unix socket, or one
that systemd passed, is the same for all workers, which take turns.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from wsd.config import Config
from wsd.listen.bind import BACKLOG
from wsd.listen.endpoints import CannotListen, cannotShare
from wsd.listen.listener import Listener
from wsd.listen.rebinding import rebind
from wsd.processes.channel import ChannelMessage

_FIELDS = ("number", "url", "secure", "wide", "proxied")


@dataclass(frozen=True, slots=True)
class SharedListener:
    """A listener of the parent, and the sockets of its workers: one for each, or one for all."""

    listener: Listener
    sockets: tuple[socket.socket, ...]

    def socketFor(self, worker: int) -> socket.socket:
        """The socket of a worker."""
        return self.sockets[worker % len(self.sockets)]

    def close(self) -> None:
        """Close the sockets. The path of a unix socket that is ours is removed."""
        for each in self.sockets:
            path = each.getsockname() if each.family == socket.AF_UNIX and not self.listener.inherited else None
            each.close()
            if path:
                with suppress(OSError):
                    os.unlink(path)


def share(listener: Listener, workers: int) -> SharedListener:
    """Prepare a bound listener for so many workers. Raises `CannotListen` if it is an endpoint of another kind."""
    bound, listener.socket = listener.socket, None
    if bound is None:
        assert listener.endpoint is not None
        raise cannotShare(listener.endpoint)
    if listener.inherited or bound.family == socket.AF_UNIX:
        return SharedListener(listener, (bound,))
    try:
        # Only now: the first bind must fail if another program listens, also one that shares its own port.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return SharedListener(listener, (bound, *(_copy(bound) for _ in range(workers - 1))))
    except OSError:
        return SharedListener(listener, (bound,))


def _copy(bound: socket.socket) -> socket.socket:
    """Another socket that listens at the same address."""
    copy = socket.socket(bound.family, socket.SOCK_STREAM)
    try:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            copy.setsockopt(socket.SOL_SOCKET, option, 1)
        if bound.family == socket.AF_INET6:
            copy.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        copy.bind(bound.getsockname())
        copy.listen(BACKLOG)
        copy.setblocking(False)
    except OSError:
        copy.close()
        raise
    return copy


_numbers = count()


def numbered(listener: Listener) -> Listener:
    """The listener with a number by which the workers know it through all reloads."""
    listener.number = next(_numbers)
    return listener


@dataclass(frozen=True, slots=True)
class ReboundShared:
    """The listeners of a new configuration, in its order: those that stay, and the new ones."""

    listeners: list[SharedListener]
    kept: list[tuple[SharedListener, SharedListener]]
    """Those that stay: as they are to be, and as they are."""
    added: list[SharedListener]
    removed: list[SharedListener]


def rebindShared(config: Config, current: Sequence[SharedListener]) -> ReboundShared:
    """Bind what a new configuration adds to the current listeners. Raises `CannotListen`; nothing is bound then."""
    stand = {replace(each.listener, socket=each.sockets[0]): each for each in current}
    rebound = rebind(config, list(stand))
    listeners: list[SharedListener] = []
    kept: list[tuple[SharedListener, SharedListener]] = []
    added: list[SharedListener] = []
    try:
        for listener, wanted in zip(rebound.listeners, rebound.wanted, strict=True):
            before = stand.get(listener)
            if before is None:
                listeners.append(share(numbered(listener), config.workers))
                added.append(listeners[-1])
            else:
                its = replace(wanted, number=before.listener.number, socket=None)
                listeners.append(SharedListener(its, before.sockets))
                kept.append((listeners[-1], before))
    except CannotListen:
        for each in added:
            each.close()
        rebound.close()
        raise
    return ReboundShared(listeners, kept, added, [stand[each] for each in rebound.removed])


def listenersFor(shared: Iterable[SharedListener], worker: int) -> tuple[list[dict[str, Any]], list[int]]:
    """The fields and the descriptors by which a worker gets its listeners."""
    each = list(shared)
    fields = [
        {**{name: getattr(one.listener, name) for name in _FIELDS}, "shared": len(one.sockets) == 1} for one in each
    ]
    return fields, [one.socketFor(worker).fileno() for one in each]


def receiveListeners(message: ChannelMessage) -> list[Listener]:
    """The listeners of a worker, from the message "start"."""
    made: list[Listener] = []
    for fields, descriptor in zip(message.fields["listeners"], message.descriptors, strict=True):
        bound = socket.socket(fileno=descriptor)
        bound.setblocking(False)
        made.append(Listener(**fields, socket=bound, inherited=True))
    return made
