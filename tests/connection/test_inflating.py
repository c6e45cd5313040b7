"""A compressed message is inflated in steps, so that a small one that stands for much does not hold the reactor."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import Any

import pytest

from tests import wire
from tests.connection.test_bad_frames import frame
from tests.connection.test_large import turn
from tests.listener import Listener, ListenerFactory
from tests.wire import Client, Daemon
from wsd.config import Policies
from wsd.connection import Connection, Factory
from wsd.frames import PLANES
from wsd.frames.deflate import STEP
from wsd.metrics import Cause
from wsd.policies.budget import MemoryUse

TEXT, BINARY, DEFLATED, PART, LAST = 0x81, 0x82, 0x40, 0x02, 0x80
OFFER = "permessage-deflate"


@pytest.fixture(autouse=True, params=["_fast", "fast"])
def plane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the plane `plain`, Autobahn inflates at once what it has read at once."""
    monkeypatch.setattr(wire, "PLANE", PLANES[str(request.param)])


class Streaming(Listener):
    """Takes messages in pieces."""

    received = Connection.received

    def arrived(self, data: bytes) -> None:
        self.got.append(data)


class StreamingFactory(Factory):
    connection = Streaming


def deflated(payload: bytes) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def joined(daemon: Daemon, path: str = "/") -> tuple[Client, Any]:
    before = set(daemon.connections)
    client = Client(daemon.connect(), path)
    client.request.headers["Sec-WebSocket-Extensions"] = OFFER
    client.protocol.send_request(client.request)
    client.wire.send(b"".join(client.protocol.data_to_send()))
    assert OFFER.encode() in client.wire.read()
    (connection,) = set(daemon.connections) - before
    return client, connection


def listening(most: int = 32 * STEP) -> Daemon:
    routes: Any = {"/": ListenerFactory, "/stream": StreamingFactory}
    return Daemon(routes, Policies(max_message=most, ping_interval=0))


def read(client: Client, data: bytes) -> None:
    """Let the daemon read this once."""
    client.wire.socket.send(data)
    client.wire.transport.doRead()


def turns(daemon: Daemon, connection: Any, most: int = 1000) -> int:
    """The number of turns of the reactor until the connection reads on."""
    for count in range(most):
        if not connection.held:
            return count
        turn(daemon)
    raise AssertionError("it is held for ever")


class TestAMessageThatInflatesToMuch:
    def test_takes_a_turn_for_each_step(self) -> None:
        daemon = listening()
        client, connection = joined(daemon)
        read(client, frame(BINARY | DEFLATED, deflated(bytes(8 * STEP))))
        assert connection.got == []
        assert turns(daemon, connection) in (6, 7, 8)
        assert connection.got == [bytes(8 * STEP)]

    def test_takes_turns_with_others_of_its_kind(self) -> None:
        daemon = listening()
        bomb = frame(BINARY | DEFLATED, deflated(bytes(4 * STEP)))
        several = [joined(daemon) for _ in range(3)]
        for client, _ in several:
            read(client, bomb)
        before = daemon.budget.byUse[MemoryUse.inflating]
        turn(daemon)
        grown = daemon.budget.byUse[MemoryUse.inflating] - before
        assert 0 < grown <= STEP

    def test_lets_others_be_answered_meanwhile(self) -> None:
        daemon = listening()
        client, connection = joined(daemon)
        other, calm = joined(daemon)
        read(client, frame(BINARY | DEFLATED, deflated(bytes(8 * STEP))))
        turn(daemon)
        read(other, frame(TEXT, b"now"))
        assert (connection.got, calm.got) == ([], [b"now"])

    def test_is_followed_by_what_came_behind_it(self) -> None:
        daemon = listening()
        client, connection = joined(daemon)
        first, second = deflated(bytes(3 * STEP)), deflated(b"second")
        read(client, frame(BINARY | DEFLATED, first) + frame(TEXT | DEFLATED, second) + frame(TEXT, b"third"))
        client.wire.serve()
        assert connection.got == [bytes(3 * STEP), b"second", b"third"]
        read(client, frame(TEXT, b"fourth"))
        assert connection.got[3:] == [b"fourth"]

    def test_may_be_referred_to_by_the_next_one(self) -> None:
        daemon = listening()
        client, connection = joined(daemon)
        stream = zlib.compressobj(9, zlib.DEFLATED, -15)
        payload = bytes(3 * STEP) + b"the end of the first"
        for said in (payload, b"the end of the first"):
            body = (stream.compress(said) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
            read(client, frame(BINARY | DEFLATED, body))
            client.wire.serve()
        assert connection.got == [payload, b"the end of the first"]

    @pytest.mark.parametrize("at", [1, 100, -1])
    def test_in_fragments_is_whole(self, at: int) -> None:
        daemon = listening()
        client, connection = joined(daemon)
        body = deflated(bytes(5 * STEP))
        read(client, frame(PART | DEFLATED, body[:at]) + frame(LAST, body[at:]) + frame(TEXT, b"next"))
        client.wire.serve()
        assert connection.got == [bytes(5 * STEP), b"next"]

    def test_cut_anywhere_is_whole(self) -> None:
        daemon = listening()
        client, connection = joined(daemon)
        body = frame(BINARY | DEFLATED, deflated(bytes(5 * STEP)))
        for at in (3, len(body) // 2, len(body) - 1):
            read(client, body[:at])
            read(client, body[at:])
            client.wire.serve()
        assert connection.got == [bytes(5 * STEP)] * 3

    def test_behind_a_final_block_is_whole(self) -> None:
        daemon = listening()
        client, connection = joined(daemon)
        stream = zlib.compressobj(9, zlib.DEFLATED, -15)
        final = stream.compress(bytes(2 * STEP)) + stream.flush(zlib.Z_FINISH)
        read(client, frame(BINARY | DEFLATED, final + deflated(b"x" * 2 * STEP)))
        client.wire.serve()
        assert connection.got == [bytes(2 * STEP) + b"x" * 2 * STEP]

    def test_is_passed_on_step_by_step_to_a_protocol_that_streams(self) -> None:
        daemon = listening()
        client, connection = joined(daemon, "/stream")
        read(client, frame(BINARY | DEFLATED, deflated(bytes(4 * STEP))))
        client.wire.serve()
        assert sum(map(len, connection.got)) == 4 * STEP
        assert max(map(len, connection.got)) <= STEP

    def test_waits_while_reading_is_held(self) -> None:
        daemon = listening()
        client, connection = joined(daemon)
        read(client, frame(BINARY | DEFLATED, deflated(bytes(4 * STEP))))
        connection.hold()
        for _ in range(10):
            turn(daemon)
        assert connection.got == []
        connection.release()
        client.wire.serve()
        assert connection.got == [bytes(4 * STEP)]


class TestItsMemory:
    def test_is_counted_while_it_grows(self) -> None:
        daemon = listening()
        client, connection = joined(daemon)
        body = deflated(bytes(8 * STEP))
        read(client, frame(BINARY | DEFLATED, body))
        levels = [daemon.budget.byUse[MemoryUse.inflating]]
        while connection.held:
            turn(daemon)
            levels.append(daemon.budget.byUse[MemoryUse.inflating])
        assert levels[0] >= STEP
        assert levels[:-1] == sorted(levels[:-1])
        assert all(later - before <= STEP for before, later in pairwise(levels))
        assert levels[-1] == 0

    @pytest.mark.parametrize("end", ["close", "drop", "lost"])
    def test_is_free_when_the_connection_ends(self, end: str) -> None:
        daemon = listening()
        client, connection = joined(daemon)
        read(client, frame(BINARY | DEFLATED, deflated(bytes(8 * STEP))))
        assert daemon.budget.byUse[MemoryUse.inflating]
        if end == "close":
            connection.close(4000)
        elif end == "drop":
            connection.drop(Cause.memory)
        else:
            client.wire.reset()
        client.wire.serve()
        assert daemon.budget.byUse[MemoryUse.inflating] == 0
        assert not connection.isOpen


class TestWhatIsWrong:
    def test_above_the_limit_ends_it_at_the_limit(self) -> None:
        daemon = listening(4 * STEP)
        client, connection = joined(daemon)
        read(client, frame(BINARY | DEFLATED, deflated(bytes(40 * STEP))))
        assert turns(daemon, connection) <= 5
        assert connection.localCloseCode == 1009

    @pytest.mark.parametrize(("tail", "code"), [(b"\xff", 1007), (b"\xc3", 1007), ("\xe9".encode(), None)])
    def test_text_is_checked_to_its_end(self, tail: bytes, code: int | None) -> None:
        daemon = listening()
        client, connection = joined(daemon)
        read(client, frame(TEXT | DEFLATED, deflated(b"a" * (3 * STEP - 1) + tail)))
        client.wire.serve()
        assert connection.localCloseCode == code
        assert len(connection.got) == (code is None)

    def test_text_is_checked_in_its_first_step(self) -> None:
        daemon = listening()
        client, connection = joined(daemon)
        read(client, frame(TEXT | DEFLATED, deflated(b"\xff" + b"a" * 3 * STEP)))
        assert connection.localCloseCode == 1007

    def test_garbage_behind_much(self) -> None:
        daemon = listening()
        client, connection = joined(daemon)
        body = deflated(bytes(2 * STEP))
        read(client, frame(BINARY | DEFLATED, body + b"\xff" * 50))
        client.wire.serve()
        assert (connection.localCloseCode, connection.got) == (1007, [])

    def test_the_clients_close_is_found_behind_it(self) -> None:
        daemon = listening(2 * STEP)
        client, connection = joined(daemon)
        read(client, frame(BINARY | DEFLATED, deflated(bytes(9 * STEP))) + frame(0x88, b"\x03\xe8"))
        client.wire.serve()
        assert (connection.wasClean, connection.localCloseCode) == (True, 1009)


class TestForAnotherProcess:
    def test_the_end_of_the_message_is_inflated_at_once(self) -> None:
        daemon = listening()
        client, connection = joined(daemon)
        read(client, frame(BINARY | DEFLATED, deflated(bytes(4 * STEP))) + frame(TEXT, b"next"))
        unread = connection.frames.unread
        assert unread is not None
        other, successor = joined(daemon)
        other.wire.send(unread.data)
        assert successor.got == [bytes(4 * STEP), b"next"]

    def test_a_message_that_cannot_be_inflated_fails_there(self) -> None:
        daemon = listening(2 * STEP)
        client, connection = joined(daemon)
        read(client, frame(BINARY | DEFLATED, deflated(bytes(9 * STEP))))
        assert connection.frames.unread is None
        assert connection.localCloseCode == 1009
