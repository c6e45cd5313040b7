"""
The listening sockets of all workers: the parent binds and keeps them, and passes them on to each worker.

For TCP, each worker has a socket of its own at the same address (SO_REUSEPORT, socket(7)): the kernel spreads the
connections evenly by their addresses, and those of a worker that is starting wait in its queue. A unix socket, or one
that systemd passed, is the same for all workers, which take turns.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from twisted.logger import Logger

from wsd.config import Config
from wsd.listen.bind import BACKLOG, bind
from wsd.listen.endpoints import CannotListen, cannotShare
from wsd.listen.handed import HandedSockets
from wsd.listen.listener import Listener
from wsd.listen.rebinding import rebind
from wsd.processes.channel import ChannelMessage

_log = Logger(namespace="wsd")

_FIELDS = ("number", "url", "secure", "wide", "proxied")

_numbers = count()


@dataclass(frozen=True, slots=True)
class SharedListener:
    """A listener of the parent, and the sockets of its workers: one for each, or one for all."""

    listener: Listener
    sockets: tuple[socket.socket, ...]

    def socketFor(self, worker: int) -> socket.socket:
        """The socket of a worker."""
        return self.sockets[worker % len(self.sockets)]

    @property
    def descriptors(self) -> list[int]:
        """The descriptors of the sockets."""
        return [each.fileno() for each in self.sockets]

    def close(self, ownsPath: bool = True) -> None:
        """Close the sockets. The path of a unix socket is removed if it is ours, and no other process has it too."""
        for each in self.sockets:
            isOurs = ownsPath and not self.listener.inherited
            path = each.getsockname() if each.family == socket.AF_UNIX and isOurs else None
            each.close()
            if path:
                with suppress(OSError):
                    os.unlink(path)


def bindShared(config: Config, environ: MutableMapping[str, str], handed: HandedSockets) -> list[SharedListener]:
    """
    Bind the listeners of a configuration for its workers, or use those of `handed`. Raises `CannotListen`.
    """
    listeners, notices = bind(config, environ, handed)
    shared: list[SharedListener] = []
    try:
        shared.extend(share(listener, config.workers, handed) for listener in listeners)
    except CannotListen:
        for one in shared:
            one.close()
        for each in listeners:
            each.close()
        raise
    # At the addresses of these, nothing listens any more.
    handed.closeRest()
    for notice in notices:
        _log.warn("{notice}", event="listener.skipped", notice=notice)
    return shared


def share(listener: Listener, workers: int, handed: HandedSockets) -> SharedListener:
    """
    Prepare a bound listener for this number of workers, with sockets of `handed` at its address if there are any.

    It gets a number by which the workers recognise it after each reload. Raises `CannotListen` if it is an endpoint of
    another kind.
    """
    listener.number = next(_numbers)
    bound, listener.socket = listener.socket, None
    if bound is None:
        assert listener.endpoint is not None
        raise cannotShare(listener.endpoint)
    if listener.inherited or bound.family == socket.AF_UNIX:
        return SharedListener(listener, (bound,))
    sockets = [bound]
    try:
        # Only now: the first bind must fail if another program listens, also one that shares its own port.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        while len(sockets) < workers:
            sockets.append(_handed(bound, listener.secure, handed) or _copy(bound))
        return SharedListener(listener, tuple(sockets))
    except OSError:
        for each in sockets[1:]:
            each.close()
        return SharedListener(listener, (bound,))


def _handed(bound: socket.socket, secure: bool, handed: HandedSockets) -> socket.socket | None:
    """A socket of another process at the same address, in whose queue clients may wait."""
    host, port, *_ = bound.getsockname()
    return handed.takeTcp(bound.family, host, port, secure)


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
                listeners.append(share(listener, config.workers, HandedSockets([], [])))
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
    """The listeners of a worker, from a message that has their descriptors first."""
    made: list[Listener] = []
    for fields, descriptor in zip(message.fields["listeners"], message.descriptors, strict=False):
        bound = socket.socket(fileno=descriptor)
        bound.setblocking(False)
        made.append(Listener(**fields, socket=bound, inherited=True))
    return made
