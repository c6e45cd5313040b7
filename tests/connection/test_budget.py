"""The memory of all WebSockets together is bounded: the largest user is ended first, and its bytes are subtracted."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests import wire
from tests.every import EveryFactory
from tests.wire import Client, Daemon
from wsd.config import Policies
from wsd.connection import Connection, Factory
from wsd.metrics import Cause
from wsd.policies.budget import MemoryUse
from wsd.policies.meter import Meter

MIB = 1024 * 1024


class Keeping(Connection):
    """Sends nothing. A text counts as handled when the test says so."""

    def opened(self) -> None:
        self.got: list[bytes] = []
        self.waiting: list[Deferred[None]] = []

    def received(self, payload: bytes, isBinary: bool) -> Deferred[None] | None:
        self.got.append(payload)
        if isBinary:
            return None
        self.waiting.append(Deferred())
        return self.waiting[-1]


class KeepingFactory(Factory):
    connection = Keeping


class Streaming(Connection):
    """Reads messages in pieces."""

    def arrived(self, data: bytes) -> None:
        """Keeps nothing."""


class StreamingFactory(Factory):
    connection = Streaming


def keeping(**policies: Any) -> Daemon:
    given = {"max_message": 32 * MIB, "ping_interval": 0, "memory_per_connection": 1, **policies}
    return Daemon({"/": KeepingFactory, "/stream": StreamingFactory}, Policies(**given))


def joined(daemon: Daemon, path: str = "/", **arguments: Any) -> tuple[Client, Any]:
    before = set(daemon.connections)
    client = daemon.open(path, **arguments)
    (connection,) = set(daemon.connections) - before
    return client, connection


def begin(client: Client, size: int, sent: int, first: int = 0x82) -> None:
    """Send the first part of a message."""
    client.wire.send(struct.pack("!BBQ", first, 0xFF, size) + bytes(4) + b"a" * sent)


class TestWhatIsCounted:
    def test_an_idle_connection_holds_nothing_and_has_no_account(self) -> None:
        daemon = keeping()
        client, connection = joined(daemon)
        client.say(b"hello")
        client.say(b"x" * 100_000)
        assert daemon.budget.used == 0
        assert connection._MemoryAccounting__account is None

    def test_half_a_message_until_it_is_whole(self) -> None:
        daemon = keeping()
        client, connection = joined(daemon)
        begin(client, MIB, MIB // 2)
        assert MIB // 2 <= daemon.budget.used <= MIB
        client.wire.send(b"a" * (MIB // 2))
        assert connection.got == [b"a" * MIB]
        assert daemon.budget.used == 0

    def test_half_a_message_in_fragments(self) -> None:
        daemon = keeping()
        client, connection = joined(daemon)
        for first in (0x02, 0x00, 0x00):
            begin(client, MIB, MIB, first)
        assert 3 * MIB <= daemon.budget.used <= 3 * MIB + 1000
        begin(client, MIB, MIB, 0x80)
        assert connection.got == [b"a" * 4 * MIB]
        assert daemon.budget.used == 0

    def test_it_by_its_bytes_after_inflating(self) -> None:
        daemon = keeping()
        client, _connection = joined(daemon, extensions=[ClientPerMessageDeflateFactory()])
        client.protocol.send_binary(bytes(8 * MIB), fin=False)
        client.wire.send(b"".join(client.protocol.data_to_send()))
        assert 8 * MIB <= daemon.budget.used <= 9 * MIB

    def test_nothing_of_one_that_is_passed_on_as_it_comes(self) -> None:
        daemon = keeping()
        client, _connection = joined(daemon, "/stream")
        begin(client, 16 * MIB, 8 * MIB)
        assert daemon.budget.used < MIB

    def test_a_message_until_its_hook_is_done(self) -> None:
        daemon = keeping()
        client, connection = joined(daemon)
        client.say("a" * 1000)
        assert daemon.budget.used == 1000
        connection.waiting[0].callback(None)
        assert daemon.budget.used == 0

    def test_what_comes_while_reading_is_held(self) -> None:
        daemon = keeping()
        client, connection = joined(daemon)
        connection.hold()
        client.protocol.send_binary(b"x" * 1000)
        client.wire.push(b"".join(client.protocol.data_to_send()))
        client.wire.transport.resumeProducing()
        client.wire.serve()
        assert daemon.budget.used == 1008
        connection.release()
        client.wire.serve()
        assert (connection.got, daemon.budget.used) == ([b"x" * 1000], 0)

    def test_nothing_of_what_came_with_the_opening_handshake_once_it_is_read(self) -> None:
        daemon = keeping()
        client = Client(daemon.connect())
        client.protocol.send_request(client.request)
        client.wire.send(b"".join(client.protocol.data_to_send()) + b"\x82\x85" + bytes(4) + b"early")
        (connection,) = daemon.connections
        assert (connection.got, daemon.budget.used) == ([b"early"], 0)

    def test_nor_while_the_protocol_decides_about_it(self) -> None:
        factory = type("AFactory", (EveryFactory,), {})
        daemon = Daemon({"/": factory}, Policies(ping_interval=0))
        client = Client(daemon.connect(), "/?wish=wait")
        client.protocol.send_request(client.request)
        client.wire.send(b"".join(client.protocol.data_to_send()))
        client.wire.transport.resumeProducing()
        client.wire.send(b"\x82\x85" + bytes(4) + b"early")
        assert daemon.budget.used == 11
        daemon.factories["/"].gate.callback(None)
        (connection,) = daemon.connections
        assert connection.said[-1] == ("received", b"early", True)
        assert daemon.budget.used == 0

    def test_what_waits_to_be_sent_to_the_byte_until_it_has_gone(self) -> None:
        daemon = keeping()
        client, connection = joined(daemon)
        connection.send(bytes(16 * MIB))
        seen = []
        while connection.unsent:
            assert daemon.budget.used == connection.unsent
            seen.append(daemon.budget.used)
            client.wire.serve()
            client.wire.read()
        assert seen[0] > 8 * MIB
        assert daemon.budget.used == 0

    def test_what_is_still_being_deflated(self) -> None:
        daemon = keeping()
        _client, connection = joined(daemon, extensions=[ClientPerMessageDeflateFactory()])
        connection.send(bytes(4 * MIB))
        connection.send(b"behind")
        assert daemon.budget.byUse[MemoryUse.deflating] == 4 * MIB + 6
        daemon.reactor.advance(0)
        assert daemon.budget.byUse[MemoryUse.deflating] == connection.unsent == 0

    def test_the_contexts_of_a_connection_until_it_is_gone(self) -> None:
        daemon = keeping()
        client, _connection = joined(daemon, extensions=[ClientPerMessageDeflateFactory()])
        client.say(b"hello" * 100)
        assert daemon.budget.used == daemon.budget.byUse[MemoryUse.contexts] > 1 << 15
        client.wire.reset()
        assert daemon.budget.used == 0

    @pytest.mark.parametrize("what", ["received", "unsent", "handled", "deflated"])
    def test_nothing_is_left_when_the_connection_has_gone(self, what: str) -> None:
        daemon = keeping()
        client, connection = joined(daemon, extensions=[ClientPerMessageDeflateFactory()])
        if what == "received":
            begin(client, 4 * MIB, MIB)
        elif what == "handled":
            client.say("a" * 1000)
        else:
            connection.send(bytes(16 * MIB), deflate=what == "deflated")
        assert daemon.budget.used > 0
        connection.drop()
        daemon.reactor.advance(0)
        assert (daemon.connections, daemon.budget.used) == ([], 0)
        if what == "handled":
            connection.waiting[0].callback(None)
            assert daemon.budget.used == 0


class TestPastTheBudget:
    def test_the_one_with_the_largest_half_message_is_closed_with_1013_and_the_others_go_on(self) -> None:
        daemon = keeping(memory_max=20 * MIB)
        (small, calm), (large, greedy), (other, second) = [joined(daemon) for _ in range(3)]
        begin(small, 100_000, 50_000)
        begin(large, 16 * MIB, 12 * MIB)
        assert daemon.budget.used <= 20 * MIB
        begin(other, 10 * MIB, 9 * MIB)
        daemon.reactor.advance(0)
        assert large.closeCode == 1013
        assert large.protocol.close_rcvd is not None
        assert large.protocol.close_rcvd.reason.startswith(
            "the server is out of memory for connections; try again later ["
        )
        assert (greedy.cause, calm.cause, second.cause) == (Cause.memory, None, None)
        assert daemon.budget.used <= 11 * MIB
        small.wire.send(b"a" * 50_000)
        other.wire.send(b"a" * MIB)
        assert (calm.got, second.got) == ([b"a" * 100_000], [b"a" * 10 * MIB])
        assert daemon.budget.used == 0

    def test_as_many_as_it_takes(self) -> None:
        daemon = keeping(memory_max=20 * MIB)
        clients = [joined(daemon) for _ in range(8)]
        for client, _connection in clients:
            begin(client, 8 * MIB, 4 * MIB)
        daemon.reactor.advance(0)
        assert 0 < daemon.budget.used <= 20 * MIB
        assert daemon.budget.shed.total() >= 3
        assert len([connection for _, connection in clients if connection.cause is Cause.memory]) >= 3

    def test_who_does_not_take_what_waits_is_dropped(self) -> None:
        daemon = keeping(memory_max=20 * MIB)
        _client, connection = joined(daemon)
        connection.send(bytes(30 * MIB))
        daemon.reactor.advance(0)
        assert (connection.cause, daemon.connections, daemon.budget.used) == (Cause.memory, [], 0)
        assert daemon.factories["/"].counters.drops == {Cause.memory: 1}

    def test_a_message_that_is_worked_on_ends_with_its_connection(self) -> None:
        daemon = keeping(memory_max=2 * MIB)
        client, connection = joined(daemon)
        client.say("a" * 3 * MIB)
        daemon.reactor.advance(0)
        assert (connection.cause, daemon.connections, daemon.budget.used) == (Cause.memory, [], 0)

    def test_it_is_one_line_of_the_log(self) -> None:
        daemon = keeping(memory_max=2 * MIB)
        _client, connection = joined(daemon)
        with capturedLogs() as events:
            connection.send(bytes(16 * MIB))
            held = daemon.budget.used
            daemon.reactor.advance(0)
        (event,) = [event for event in events if event.get("event") == "memory.relieved"]
        assert (event["used"], event["most"], event["count"]) == (held, 2 * MIB, 1)

    def test_a_reload_may_give_more(self) -> None:
        daemon = keeping(memory_max=2 * MIB)
        daemon.budget.configure(Policies(memory_max=64 * MIB))
        _client, connection = joined(daemon)
        connection.send(bytes(16 * MIB))
        daemon.reactor.advance(0)
        assert connection.cause is None


def test_the_plane_of_these_tests_is_the_one_that_was_asked_for(plane: str) -> None:
    assert wire.PLANE.name == plane


class TestTheKinds:
    def kinds(self, daemon: Daemon) -> dict[str, int]:
        return {kind: size for kind, size in daemon.budget.levels().kinds.items() if size}

    def test_an_incomplete_message_is_being_assembled(self) -> None:
        daemon = keeping()
        client, _connection = joined(daemon)
        begin(client, MIB, 100_000)
        assert set(self.kinds(daemon)) == {"assembling"}

    def test_a_compressed_one_is_being_inflated(self) -> None:
        daemon = keeping()
        client, _connection = joined(daemon, extensions=[ClientPerMessageDeflateFactory()])
        client.protocol.send_binary(bytes(MIB), fin=False)
        client.wire.send(b"".join(client.protocol.data_to_send()))
        assert set(self.kinds(daemon)) == {"contexts", "inflating"}

    def test_half_a_head_is_being_read(self) -> None:
        daemon = keeping()
        client, _connection = joined(daemon)
        client.wire.send(b"\x82\xff\0")
        assert self.kinds(daemon) == {"reading": 3}

    def test_what_is_unsent_is_being_sent(self) -> None:
        daemon = keeping()
        _client, connection = joined(daemon)
        connection.send(bytes(16 * MIB))
        assert self.kinds(daemon) == {"sending": connection.unsent}


class TestAboveFourFifths:
    def filled(self) -> tuple[Daemon, Meter, Client]:
        """A daemon that is nearly full, of what, and a client whose handshake waits."""
        daemon = keeping(memory_max=20 * MIB)
        meter = Meter(daemon.budget, MemoryUse.rooms)
        meter.put(17 * MIB)
        late = Client(daemon.connect())
        late.protocol.send_request(late.request)
        late.wire.send(b"".join(late.protocol.data_to_send()))
        assert late.wire.read() == b""
        return daemon, meter, late

    def test_a_new_websocket_waits_until_there_is_room(self) -> None:
        _daemon, meter, late = self.filled()
        meter.put(0)
        late.wire.serve()
        assert late.wire.read().startswith(b"HTTP/1.1 101 ")

    def test_it_gets_503_when_it_has_waited_too_long(self) -> None:
        daemon, _meter, late = self.filled()
        daemon.pass_(11)
        late.wire.serve()
        answer = late.wire.read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 5\r\n" in answer
        assert b"the server has no memory for a new connection; try again later" in answer
        assert daemon.budget.waiting == 0

    def test_a_page_does_not_wait(self) -> None:
        daemon, _meter, _late = self.filled()
        wire = daemon.connect()
        wire.send(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert wire.read().startswith(b"HTTP/1.1 404 ")

    def test_one_that_leaves_waits_no_more(self) -> None:
        daemon, _meter, late = self.filled()
        late.wire.close()
        assert daemon.budget.waiting == 0


class TestWhoIsEndedFirst:
    def test_one_that_takes_nothing_before_a_larger_one(self) -> None:
        daemon = keeping(memory_max=64 * MIB)
        (_idle, stalled), (busy, larger) = joined(daemon), joined(daemon)
        stalled.send(bytes(20 * MIB))
        daemon.pass_(2)
        begin(busy, 32 * MIB, 31 * MIB)
        stalled.send(bytes(20 * MIB))
        daemon.reactor.advance(0)
        assert (stalled.cause, larger.cause) == (Cause.memory, None)
