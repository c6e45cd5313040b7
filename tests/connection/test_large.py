"""A large message is deflated in steps, so that other connections get their turn; messages keep their order."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import capturedLogs
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode

from tests.listener import Listener, ListenerFactory
from tests.wire import Client, Daemon
from wsd.config import Policies
from wsd.connection import Factory
from wsd.frames.large import AT_ONCE, LargeMessage
from wsd.metrics import Cause

MIB = 1024 * 1024
LARGE = b"".join(b"%d " % (number * 7919 % 10007) for number in range(MIB // 2))[: 4 * AT_ONCE]


def still(daemon: Daemon | None = None, **arguments: Any) -> tuple[Daemon, Client, Any]:
    daemon = daemon or Daemon({"/": ListenerFactory}, Policies(ping_interval=0))
    before = set(daemon.connections)
    client = daemon.open(extensions=[ClientPerMessageDeflateFactory()], **arguments)
    (connection,) = set(daemon.connections) - before
    return daemon, client, connection


def turn(daemon: Daemon) -> None:
    """One turn of a reactor. Unlike with this clock, calls that are scheduled meanwhile wait for the next turn."""
    now = daemon.reactor.seconds()
    calls: Any = daemon.reactor.getDelayedCalls()
    for call in [call for call in calls if call.getTime() <= now]:
        if call.active():
            do, arguments, named = call.func, call.args, call.kw
            call.cancel()
            do(*arguments, **named)


def steps(daemon: Daemon, connection: Any) -> int:
    """The number of turns of the reactor that its large message takes."""
    count = 0
    while connection.frames.isBusy:
        turn(daemon)
        count += 1
    return count


def test_each_step_is_a_turn_of_the_reactor() -> None:
    daemon, client, connection = still()
    connection.send(LARGE)
    assert steps(daemon, connection) == 4
    (frame,) = client.exchange()
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.BINARY, True, LARGE)


def test_of_several_that_send_one_takes_a_step_a_turn() -> None:
    daemon, first, one = still()
    _daemon, second, other = still(daemon)
    one.send(LARGE)
    other.send(LARGE)
    assert steps(daemon, one) == 7
    assert steps(daemon, other) == 1
    assert (first.messages(first.exchange()), second.messages(second.exchange())) == ([LARGE], [LARGE])


def test_what_is_small_leaves_at_once() -> None:
    _daemon, client, connection = still()
    connection.send(LARGE[:AT_ONCE])
    assert not connection.frames.isBusy
    assert client.messages(client.exchange()) == [LARGE[:AT_ONCE]]


def test_what_is_not_deflated_too() -> None:
    _daemon, client, connection = still()
    connection.send(LARGE, deflate=False)
    assert not connection.frames.isBusy
    assert client.messages(client.exchange()) == [LARGE]


def test_a_step_that_fails_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(large: LargeMessage) -> bytes | None:
        raise MemoryError("no memory for another piece")

    monkeypatch.setattr(LargeMessage, "step", fail)
    daemon, _client, connection = still()
    connection.send(LARGE)
    room: list[None] = []
    connection.room().addCallback(room.append)
    with capturedLogs() as events:
        daemon.reactor.advance(0)
    assert [event["event"] for event in events if "log_failure" in event] == ["connection.error"]
    assert (connection.cause, daemon.connections, room) == (Cause.internal_error, [], [None])


def test_what_is_sent_behind_it_keeps_its_order_and_a_ping_need_not_wait() -> None:
    daemon, client, connection = still()
    prepared = connection.factory.prepare("prepared " * 100)
    sent: list[Any] = ["small", LARGE, "short", b"words " * 1000, prepared, LARGE[::-1], "ünï", LARGE, "end"]
    for payload in sent:
        connection.send(payload)
    connection.send("abcdef" * 100, fragment=100)
    connection.ping(b"now")
    before: list[Frame] = client.exchange()
    steps(daemon, connection)
    frames = before + client.exchange()
    expected = [*sent, "abcdef" * 100]
    expected[4] = "prepared " * 100
    assert client.messages(frames) == expected
    assert [frame.opcode for frame in frames[:2]] == [Opcode.TEXT, Opcode.PING]


def test_in_fragments_where_those_were_asked_for() -> None:
    daemon, client, connection = still()
    connection.send(LARGE, fragment=100_000)
    steps(daemon, connection)
    frames = client.exchange()
    assert len(frames) > 1
    assert client.messages(frames) == [LARGE]


def test_nothing_is_read_meanwhile() -> None:
    daemon, client, connection = still()
    connection.send(LARGE)
    client.protocol.send_text(b"hello")
    client.wire.push(b"".join(client.protocol.data_to_send()))
    assert (connection.held, connection.got) == (1, [])
    steps(daemon, connection)
    client.exchange()
    assert (connection.held, connection.got) == (0, [b"hello"])


def test_it_counts_as_unsent_and_there_is_no_room_until_it_has_gone() -> None:
    daemon, client, connection = still()
    connection.send(LARGE)
    connection.send(b"behind")
    assert connection.unsent == len(LARGE) + 6
    room: list[None] = []
    connection.room().addCallback(room.append)
    turn(daemon)
    assert room == []
    steps(daemon, connection)
    assert room == [None]
    client.exchange()
    assert connection.unsent == 0


def test_a_close_does_not_wait_and_loses_nothing() -> None:
    _daemon, client, connection = still()
    sent = ["before", LARGE, "behind", LARGE[::-1]]
    for payload in sent:
        connection.send(payload)
    connection.close(4000)
    assert not connection.frames.isBusy
    frames = client.exchange()
    assert client.messages(frames) == sent
    assert client.closeCode == 4000


def test_the_next_message_refers_to_nothing_that_was_not_sent() -> None:
    daemon, client, connection = still()
    connection.send(LARGE)
    turn(daemon)
    connection.frames.sendUncompressed()
    connection.send(LARGE[: AT_ONCE // 2])
    assert client.messages(client.exchange()) == [LARGE, LARGE[: AT_ONCE // 2]]


def test_more_behind_it_than_may_wait_drops_the_connection() -> None:
    daemon = Daemon({"/": ListenerFactory}, Policies(ping_interval=0, max_unsent=2 * len(LARGE)))
    daemon, _client, connection = still(daemon)
    for _ in range(3):
        connection.send(LARGE)
    daemon.reactor.advance(0)
    assert (connection.cause, daemon.connections) == (Cause.overrun, [])


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_loss_ends_it(turns: int) -> None:
    daemon, _client, connection = still()
    connection.send(LARGE)
    for _ in range(turns):
        turn(daemon)
    assert connection.frames.isBusy
    connection.drop()
    daemon.reactor.advance(0)
    daemon.reactor.advance(0)
    assert daemon.connections == []
    assert not [call for call in daemon.reactor.getDelayedCalls() if call.getTime() <= daemon.reactor.seconds()]


def test_a_message_that_is_sent_in_the_midst_of_reading_is_followed_by_the_next_ones() -> None:
    class Answering(Listener):
        def received(self, payload: bytes, isBinary: bool) -> None:
            self.send(payload, isBinary)

    factory = type("AnsweringFactory", (Factory,), {"connection": Answering})
    _daemon, client, _connection = still(Daemon({"/": factory}, Policies(ping_interval=0)))
    for payload in (b"one", LARGE, b"two", LARGE[::-1], b"three"):
        client.protocol.send_binary(payload)
    client.exchange()
    assert client.messages() == [b"one", LARGE, b"two", LARGE[::-1], b"three"]


def test_room_lets_the_others_have_their_turn() -> None:
    daemon, _client, connection = still()
    order: list[str] = []
    connection.room().addCallback(lambda _: order.append("room"))
    order.append("others")
    daemon.reactor.advance(0)
    assert order == ["others", "room"]
