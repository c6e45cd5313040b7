"""Turns: however much a connection sends, the others are read after a while."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest

from tests.connection.test_bad_frames import frame
from tests.every import EveryFactory
from tests.wire import Daemon
from wsd.config import Policies
from wsd.frames.fast import TURN

PING, PONG, TEXT, BINARY = 0x89, 0x8A, 0x81, 0x82


def flooded(data: bytes) -> tuple[Daemon, Any, Any]:
    """A connection that has sent all of this at once. The daemon has read from it once."""
    daemon = Daemon({"/": EveryFactory})
    client = daemon.open()
    (connection,) = daemon.connections
    client.wire.socket.send(data)
    client.wire.transport.doRead()
    return daemon, client, connection


@pytest.fixture(autouse=True)
def turns() -> None:
    """Turns are as long as they are."""


class TestAFloodThatComesInOneRead:
    def test_of_messages_is_answered_for_a_turn(self) -> None:
        _daemon, client, connection = flooded(frame(BINARY, b"x") * 1000)
        assert 0 < len(connection.said) - 2 <= TURN
        client.wire.serve()
        assert len(connection.said) - 2 == 1000

    def test_of_pings_is_answered_for_a_turn(self) -> None:
        _daemon, client, _connection = flooded(frame(PING, b"x") * 1000)
        first = client.wire.read()
        assert 0 < len(first) <= 3 * TURN
        client.wire.serve()
        assert len(client.wire.read()) == 3000

    def test_of_frames_of_one_message_is_read_for_a_turn(self) -> None:
        _daemon, client, connection = flooded(
            frame(0x02, b"x") + frame(0x00, b"x") * 998 + frame(0x80, b"x") + frame(BINARY)
        )
        assert len(connection.said) == 2
        client.wire.serve()
        assert connection.said[2:] == [("received", b"x" * 1000, True), ("received", b"", True)]

    def test_of_messages_that_take_long_ends_its_turn_sooner(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(EveryFactory.connection, "do_say", spendTwoMilliseconds)
        _daemon, client, connection = flooded(frame(TEXT, b"say") * 50)
        assert 0 < len(connection.said) - 2 <= 3
        client.wire.serve()
        assert len(connection.said) - 2 == 50

    def test_lets_others_be_answered_before_its_own_rest(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        calm, flood = daemon.open(), daemon.open()
        flood.wire.socket.send(frame(BINARY, b"x") * 1000)
        calm.wire.socket.send(frame(BINARY, b"y"))
        connection = next(
            connection for connection in daemon.connections if connection.transport is flood.wire.transport
        )
        flood.wire.transport.doRead()
        calm.wire.transport.doRead()
        assert calm.wire.read().endswith(b"\x82\x01y")
        assert len(connection.said) - 2 <= TURN


def spendTwoMilliseconds(connection: Any, text: str) -> None:
    """Takes twice as long as a turn may."""
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass


class TestALengthThatIsOnlyDeclared:
    def test_costs_no_memory_of_that_size(self) -> None:
        daemon = Daemon({"/": EveryFactory}, Policies(max_message=1 << 30, max_frame=1 << 30))
        client = daemon.open()
        tracemalloc.start()
        try:
            client.wire.send(b"\x82\xff" + (1 << 30).to_bytes(8, "big") + bytes(4) + bytes(1000))
            _kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 1 << 20
