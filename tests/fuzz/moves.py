"""
What one process of the daemon tells another: a channel splits it alike however it arrives, or is lost with a sentence.

A connection that an older or newer version has saved, with less or more in it, goes on, or leaves nothing behind.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import cache
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from tests.fuzz.pieces import piecesOf
from tests.wire import Daemon
from wsd.processes.channel import ProcessChannel
from wsd.processes.doors import freeze
from wsd.processes.packing import pack, unpack
from wsd.processes.passing import Leaving, arrive, wireOf
from wsd.protocols.echo import EchoFactory

_MOST_BYTES = 100_000
_MOST_CHANGES = 20


def check(data: bytes) -> None:
    """Takes a byte that says what follows: messages in pieces, a packed value, or changes of a saved connection."""
    kind, data = data[:1], data[1:]
    if kind == b"c":
        told, end = _received([data[1:]])
        toldInPieces, endInPieces = _received(piecesOf(data))
        assert (toldInPieces, endInPieces) == (told, end)
    elif kind == b"p":
        with suppress(ValueError):
            packed = pack(unpack(data))
            assert pack(unpack(packed)) == packed
    else:
        _checkChanged(data)


def _received(pieces: list[bytes]) -> tuple[list[Any], str | None]:
    """The messages of a channel, and why it was lost."""
    told: list[Any] = []
    lost: list[str] = []
    near, far = socket.socketpair()
    channel = ProcessChannel(
        MemoryReactorClock(),
        near,
        lambda message: told.append((message.kind, message.fields, message.body)),
        lambda reason: lost.append(reason.getErrorMessage()),
    )
    with far:
        for piece in pieces:
            if sum(map(len, pieces)) < _MOST_BYTES and channel.isOpen:
                far.sendall(piece)
                reason = channel.doRead()
                if reason is not None:
                    channel.connectionLost(Failure(reason))
    channel.close()
    return told, lost[0] if lost else None


@cache
def _saved() -> bytes:
    """A connection that has left, packed."""
    daemon = Daemon({"/": EchoFactory})
    client = daemon.open()
    door = client.wire.door
    freeze(door)
    found = wireOf(door)
    assert found is not None
    leaving = Leaving(door, found)
    packed = pack(leaving.saved)
    leaving.confirm()
    return packed


def _checkChanged(data: bytes) -> None:
    daemon = Daemon({"/": EchoFactory})
    factory = daemon.factories["/"]
    saved = unpack(_saved())
    for change in data.split(b"\n")[:_MOST_CHANGES]:
        _change(saved, change)
    here, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with far:
        with suppress(Exception):
            arrived = arrive(daemon.site, factory, factory.stateVersion, daemon.reactor, here.detach(), saved)
            try:
                arrived.start()
                far.send(b"\x81\x81\0\0\0\0x")
                arrived.wire.read()
            finally:
                arrived.wire.connectionLost(Failure(ConnectionDone()))
        assert not daemon.connections
        assert not daemon.site.doors
        assert daemon.admission.connections == 0
        assert (daemon.budget.used, len(daemon.budget._accounts)) == (0, 0)


def _change(saved: Any, change: bytes) -> None:
    """
    Change what is at a path of numbers, each a byte: which of the fields there are, modulo their number.

    The first byte says how: without it, null, one thing more, or one thing less.
    """
    how, path = change[:1], change[1:]
    holder: Any = None
    key: Any = None
    value = saved
    for each in path:
        if not isinstance(value, (dict, list)) or not value:
            break
        holder, key = value, list(value)[each % len(value)] if isinstance(value, dict) else each % len(value)
        value = holder[key]
    if holder is None:
        return
    if how == b"-":
        del holder[key]
    elif how == b"0":
        holder[key] = None
    elif isinstance(value, list):
        holder[key] = [*value, 1] if how == b"+" else value[:-1]
    elif isinstance(value, dict) and how == b"+":
        value["newer"] = 1
