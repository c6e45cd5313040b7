"""Reading: received data uses bounded memory, however it is split and whatever came before it."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred

from tests.connection.test_bad_frames import close, frame
from tests.every import EveryFactory, Streaming
from tests.wire import Client, Daemon
from wsd.config import Policies
from wsd.connection import Connection, Factory

KIB = 1024
MIB = 1024 * KIB

NOTHING = 0x00
PING = 0x89
PONG = 0x8A


@contextmanager
def memoryWithin(most: int) -> Iterator[None]:
    """Check that the block leaves less than this many bytes allocated."""
    tracemalloc.start()
    try:
        yield
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < most, f"{kept} bytes are kept, {most} may be"


def opened(factory: type[Factory] = EveryFactory, **policies: Any) -> tuple[Daemon, Client, Connection]:
    daemon = Daemon({"/": factory}, Policies(**policies))
    client = daemon.open()
    (connection,) = daemon.connections
    return daemon, client, connection


class TestAMessageOfManyFrames:
    """A message's bytes are limited, the number of its frames is not."""

    def test_empty_frames_leave_nothing_behind(self) -> None:
        _daemon, client, _connection = opened()
        client.wire.send(frame(0x02, b"a"))
        with memoryWithin(100 * KIB):
            client.wire.send(frame(NOTHING) * 20_000)
        client.wire.send(frame(0x80, b"b"))
        client.exchange()
        assert client.messages() == [b"ab"]

    def test_small_frames_cost_little_more_than_their_bytes(self) -> None:
        _daemon, client, _connection = opened()
        client.wire.send(frame(0x02, b"ab"))
        with memoryWithin(200 * KIB):
            client.wire.send(frame(NOTHING, b"cd") * 20_000)
        client.wire.send(frame(NOTHING, bytes(10 * KIB)) + frame(0x80, b"ef"))
        client.exchange()
        assert client.messages() == [b"ab" + b"cd" * 20_000 + bytes(10 * KIB) + b"ef"]

    def test_controls_between_them_leave_nothing_behind(self) -> None:
        _daemon, client, _connection = opened()
        client.wire.send(frame(0x01, b"say h"))
        with memoryWithin(100 * KIB):
            client.wire.send(frame(PONG, b"x") * 10_000)
        client.wire.send(frame(0x80, b"i"))
        client.exchange()
        assert client.messages() == ["hello hi"]


class TestAfterAFault:
    """Data after a failure is skipped to find the peer's close frame, and none of it is kept."""

    def test_the_rest_of_a_ping_that_is_too_long_is_not_kept(self) -> None:
        _daemon, client, _connection = opened()
        client.wire.send(frame(PING, length=1 << 40, wide=8))
        with memoryWithin(MIB):
            for _ in range(32):
                client.wire.send(bytes(256 * KIB))

    def test_nor_that_of_a_ping_that_is_too_long_while_we_close(self) -> None:
        _daemon, client, connection = opened()
        connection.close(1000)
        client.wire.send(frame(PING, length=1 << 40, wide=8))
        with memoryWithin(MIB):
            for _ in range(32):
                client.wire.send(bytes(256 * KIB))

    def test_nor_messages_behind_one_that_does_not_inflate(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open(headers={"Sec-WebSocket-Extensions": "permessage-deflate"})
        client.wire.send(frame(0xC2, b"\xff\xff\xff\xff"))
        with memoryWithin(MIB):
            for _ in range(32):
                client.wire.send(frame(0xC2, bytes(65000)) * 4)
        (connection,) = daemon.connections
        assert len(connection.data) < KIB

    def test_the_close_behind_one_that_does_not_inflate_is_found_in_the_same_bytes(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open(headers={"Sec-WebSocket-Extensions": "permessage-deflate"})
        client.wire.send(frame(0xC2, b"\xff\xff\xff\xff") + frame(0x82, b"more") + close(1000))
        daemon.reactor.advance(0)
        assert daemon.connections == []
        assert struct.pack("!H", 1007) in client.wire.read()


class TestWhileReadingIsHeld:
    """From the first moment on."""

    def test_a_protocol_that_holds_as_it_opens_stops_its_sender(self) -> None:
        class Waiting(Connection):
            def opened(self) -> Any:
                return Deferred()

        class WaitingFactory(Factory):
            connection = Waiting

        _daemon, client, connection = opened(WaitingFactory)
        taken = client.wire.push(frame(0x82, bytes(65536)) * 2500)
        assert taken < 40 * MIB
        assert len(connection.data) <= 2 * 256 * KIB

    def test_one_that_holds_before_it_opens_does_too(self) -> None:
        class Waiting(Connection):
            async def opening(self, request: Any) -> Any:
                self.hold()
                return await super().opening(request)

        class WaitingFactory(Factory):
            connection = Waiting

        _daemon, client, connection = opened(WaitingFactory)
        taken = client.wire.push(frame(0x82, bytes(65536)) * 2500)
        assert taken < 40 * MIB
        connection.release()
        client.exchange()
        assert connection.data == b""

    def test_the_end_of_a_streamed_message_waits_for_its_last_bytes(self) -> None:
        class Slow(Streaming):
            def arrived(self, data: bytes) -> Any:
                super().arrived(data)
                self.gate: Deferred[None] = Deferred()
                return self.gate

        class SlowFactory(Factory):
            connection = Slow

        _daemon, client, connection = opened(SlowFactory)
        assert isinstance(connection, Slow)
        client.say(b"abc")
        assert connection.said == [("began", True), ("arrived", 3)]
        connection.gate.callback(None)
        assert connection.said == [("began", True), ("arrived", 3), "ended"]

    def test_a_streaming_protocol_may_take_messages_as_a_whole(self, plane: str) -> None:
        class Either(Streaming):
            def received(self, payload: bytes, isBinary: bool) -> Any:
                self.said.append((payload, isBinary))
                self.gate: Deferred[None] = Deferred()
                return self.gate

        class EitherFactory(Factory):
            connection = Either

        _daemon, client, connection = opened(EitherFactory)
        assert isinstance(connection, Either)
        client.wire.send(frame(0x82, b"abc") + frame(0x81, b"de"))
        if plane == "plain":
            assert connection.said[:3] == [("began", True), ("arrived", 3), "ended"]
            return
        assert connection.said == [(b"abc", True)], "the next one waits"
        connection.gate.callback(None)
        assert connection.said == [(b"abc", True), (b"de", False)]
        connection.gate.callback(None)
        client.wire.send(frame(0x02, b"abc") + frame(0x80, b"d"))
        assert connection.said[2:] == [("began", True), ("arrived", 3), ("arrived", 1), "ended"]
        client.wire.send(frame(0x82, b"abc")[:-1])
        assert connection.said[6:] == [("began", True), ("arrived", 2)]
        client.wire.send(b"c" + frame(0x82, b"f"))
        assert connection.said[8:] == [("arrived", 1), "ended", (b"f", True)]
        assert (connection.messagesReceived, connection.bytesReceived) == (5, 13)

    def test_nothing_is_kept_of_what_comes_when_all_is_over(self) -> None:
        daemon, _client, connection = opened()
        for data in (close(1000), bytes(MIB)):
            connection.dataReceived(data)
            # On a slow machine the rest is read in the next turn.
            daemon.reactor.advance(0)
        assert connection.data == b""
