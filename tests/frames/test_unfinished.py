"""Messages that are incomplete when the server closes, or the connection is lost."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests import wire
from tests.listener import ListenerFactory
from tests.wire import Client, Daemon
from wsd.config import Policies
from wsd.connection import Connection, Factory
from wsd.frames import PLANES
from wsd.metrics import Cause

LARGE = 48 * 1024 * 1024
"""Bytes of a message: enough that the C library unmaps them when they are freed, so that a later use crashes."""

CLOSE = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
"""A close frame with 1000, masked with zeros."""


@pytest.fixture(autouse=True, params=PLANES)
def plane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs on every plane."""
    monkeypatch.setattr(wire, "PLANE", PLANES[str(request.param)])


def _half(size: int, kind: int = 0x82) -> tuple[Daemon, Client, Any]:
    """A connection that has received the first half of a message of `size` bytes."""
    policies = Policies(max_message=LARGE, ping_interval=0)
    daemon = Daemon({"/": ListenerFactory}, policies)
    client = daemon.open()
    client.wire.send(struct.pack("!BBQ", kind, 0xFF, size) + bytes(4) + bytes(size // 2))
    (connection,) = daemon.connections
    return daemon, client, connection


@pytest.mark.parametrize("size", [70_000, LARGE])
def test_the_server_closes_and_the_rest_of_the_message_is_read_over(size: int) -> None:
    _daemon, client, connection = _half(size)
    connection.close(4000)
    client.wire.send(bytes(size - size // 2))
    client.wire.exchange(CLOSE)
    assert client.wire.ended
    assert (connection.got, connection.wasClean, connection.remoteCloseCode) == ([], True, 1000)


@pytest.mark.parametrize("last", [1, 7, 100])
def test_the_peers_close_is_found_behind_the_rest_of_the_message_in_one_read(last: int) -> None:
    size = 70_000
    _daemon, client, connection = _half(size)
    client.wire.send(bytes(size - size // 2 - last))
    connection.close(4000)
    client.wire.exchange(bytes(last) + CLOSE)
    assert (connection.got, connection.wasClean) == ([], True)


def test_a_close_while_reading_is_held_reads_on_to_the_peers_close() -> None:
    size = LARGE
    _daemon, client, connection = _half(size)
    connection.hold()
    client.wire.push(bytes(200_000))
    connection.close(4000)
    client.wire.serve()
    client.wire.send(bytes(size - size // 2 - 200_000))
    client.wire.exchange(CLOSE)
    assert connection.wasClean


def test_the_connection_is_dropped_and_what_came_of_the_message_is_forgotten() -> None:
    daemon, client, connection = _half(LARGE)
    connection.drop(Cause.stalled)
    client.wire.exchange(bytes(1000))
    assert client.wire.ended
    assert daemon.connections == []


def test_text_that_is_none_ends_the_connection_amid_its_message() -> None:
    size = LARGE
    _daemon, client, connection = _half(size, 0x81)
    client.wire.exchange(b"\xff" * 1000)
    client.wire.send(bytes(size - size // 2 - 1000))
    client.wire.exchange(CLOSE)
    assert (connection.got, connection.localCloseCode, connection.wasClean) == ([], 1007, True)


class Loser(Connection):
    """Its transport is lost while its hook runs, as when a hook runs the reactor."""

    factory: LosingFactory

    def opened(self) -> None:
        self.got = 0

    def lose(self) -> None:
        self.got += 1
        if self.got == self.factory.options.at:
            self.hold()
            self.factory.lost = self
            self.transport.connectionLost(Failure(ConnectionDone()))
            self.release()
            self.hold()
            self.release()
            self.send(b"late")
            self.ping(b"late")
            self.close()


class LosingFactory(Factory):
    lost: Any = None


class WholeLoser(Loser):
    def received(self, payload: bytes, isBinary: bool) -> None:
        self.lose()


class RaisingLoser(Loser):
    def received(self, payload: bytes, isBinary: bool) -> None:
        self.lose()
        if self.factory.lost is not None:
            raise ValueError("the hook fails as well")


class AwaitingLoser(Loser):
    async def received(self, payload: bytes, isBinary: bool) -> None:
        self.lose()


class StreamingLoser(Loser):
    def arrived(self, data: bytes) -> None:
        self.lose()


class EitherLoser(StreamingLoser):
    def received(self, payload: bytes, isBinary: bool) -> None:
        self.lose()


class PingedLoser(Loser):
    def onPing(self, payload: bytes) -> None:
        self.lose()


class At(NamedTuple):
    at: int


def _frame(payload: bytes, kind: int = 0x82) -> bytes:
    head = struct.pack("!BB", kind, 0x80 | len(payload)) if len(payload) < 126 else b""
    return (head or struct.pack("!BBQ", kind, 0xFF, len(payload))) + bytes(4) + payload


@pytest.mark.parametrize("kind", [WholeLoser, RaisingLoser, AwaitingLoser, StreamingLoser, EitherLoser, PingedLoser])
@pytest.mark.parametrize("at", [1, 2, 64, 100])
def test_a_connection_that_is_lost_within_its_hook_is_touched_no_more(kind: type[Loser], at: int) -> None:
    factory = type("AFactory", (LosingFactory,), {"connection": kind})
    daemon = Daemon({"/": factory}, Policies(ping_interval=0), options=At(at))
    client = daemon.open()
    client.wire.send(_frame(b"abc", 0x89 if kind is PingedLoser else 0x82) * 200)
    lost = daemon.factories["/"].lost
    assert (lost.got, lost.state, daemon.connections) == (at, Connection.STATE_CLOSED, [])


@pytest.mark.parametrize("kind", [WholeLoser, RaisingLoser, AwaitingLoser, StreamingLoser, EitherLoser])
def test_a_large_message_too(kind: type[Loser]) -> None:
    factory = type("AFactory", (LosingFactory,), {"connection": kind})
    daemon = Daemon({"/": factory}, Policies(ping_interval=0), options=At(1))
    client = daemon.open()
    client.wire.send(_frame(bytes(1_000_000)) + _frame(b"abc") * 200)
    lost = daemon.factories["/"].lost
    assert (lost.got, daemon.connections) == (1, [])
