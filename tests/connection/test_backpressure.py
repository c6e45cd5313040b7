"""Backpressure: unsent bytes are bounded, and a sender stops while we do not read."""

from __future__ import annotations

from tests.every import Every, EveryFactory
from tests.wire import Client, Daemon
from wsd.config import Policies
from wsd.metrics import Cause
from wsd.protocols.echo import EchoFactory

MIB = 1024 * 1024


class TestASlowReader:
    """The peer sends and never reads."""

    def test_an_echo_stops_reading_while_its_answers_are_not_taken(self) -> None:
        daemon = Daemon({"/": EchoFactory}, Policies(high_water=MIB, low_water=MIB // 4))
        client = daemon.open()
        client.protocol.send_binary(bytes(65536))
        message = b"".join(client.protocol.data_to_send())
        taken = client.wire.push(message * 2500)
        (connection,) = daemon.connections
        assert connection.isFull
        assert connection.unsent <= MIB + 2 * 65536
        assert taken < 40 * MIB

    def test_the_echo_goes_on_when_they_are_taken_and_loses_nothing(self) -> None:
        daemon = Daemon({"/": EchoFactory}, Policies(high_water=MIB, low_water=MIB // 4))
        client = daemon.open()
        count = 400
        for number in range(count):
            client.protocol.send_binary(number.to_bytes(4, "big") * 16384)
        whole = b"".join(client.protocol.data_to_send())
        sent = 0
        while sent < len(whole):
            sent += client.wire.push(whole[sent:])
            client.exchange()
        client.exchange()
        answers = client.messages()
        assert answers == [number.to_bytes(4, "big") * 16384 for number in range(count)]

    def test_a_peer_that_takes_no_byte_for_the_stall_timeout_is_dropped(self) -> None:
        daemon = Daemon({"/": EchoFactory}, Policies(stall_timeout=60, high_water=MIB))
        client = daemon.open()
        client.protocol.send_binary(bytes(65536))
        client.wire.push(b"".join(client.protocol.data_to_send()) * 2500)
        (connection,) = daemon.connections
        daemon.pass_(59)
        assert daemon.connections == [connection]
        daemon.pass_(2)
        assert connection.cause is Cause.stalled
        assert daemon.connections == []

    def test_a_peer_that_takes_some_stays(self) -> None:
        daemon = Daemon({"/": EchoFactory}, Policies(stall_timeout=60, high_water=MIB, ping_interval=0))
        client = daemon.open()
        client.protocol.send_binary(bytes(65536))
        client.wire.push(b"".join(client.protocol.data_to_send()) * 2500)
        for _ in range(4):
            daemon.pass_(40)
            client.wire.take(4 * MIB)
        assert len(daemon.connections) == 1

    def test_a_protocol_that_does_not_heed_full_is_dropped_at_max_unsent(self) -> None:
        daemon = Daemon({"/": EveryFactory}, Policies(max_unsent=8 * MIB))
        client = daemon.open()
        client.protocol.send_text(b"flood 1000")
        client.wire.send(b"".join(client.protocol.data_to_send()))
        daemon.reactor.advance(0)
        assert daemon.connections == []
        assert daemon.factories["/"].counters.drops == {Cause.overrun: 1}

    def test_full_and_drained_come_in_turn(self) -> None:
        daemon = Daemon({"/": EveryFactory}, Policies(high_water=MIB, low_water=1024))
        client = daemon.open()
        (connection,) = daemon.connections
        assert isinstance(connection, Every)
        client.protocol.send_text(b"flood 200")
        client.wire.send(b"".join(client.protocol.data_to_send()))
        assert connection.said[-1] == "full"
        client.exchange()
        assert connection.said[-2:] == ["full", "drained"]
        assert connection.unsent == 0


class TestHoldingOurReading:
    """A protocol that cannot handle more holds reading."""

    def test_hold_takes_effect_before_the_next_message_within_one_read(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open()
        client.protocol.send_text(b"hold")
        client.protocol.send_text(b"say next")
        client.exchange()
        (connection,) = daemon.connections
        assert client.messages() == []
        connection.release()
        client.exchange()
        assert client.messages() == ["hello next"]

    def test_holds_are_counted(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open()
        client.say("hold")
        (connection,) = daemon.connections
        connection.hold()
        connection.release()
        client.say("say later")
        assert client.messages() == []
        connection.release()
        client.exchange()
        assert client.messages() == ["hello later"]

    def test_an_awaitable_of_received_holds_reading_until_it_is_done(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open()
        client.say("wait")
        client.say("say after")
        (connection,) = daemon.connections
        assert isinstance(connection, Every)
        assert connection.waiting is not None
        assert client.messages() == []
        connection.waiting.callback(None)
        client.exchange()
        assert client.messages() == ["hello after"]

    def test_a_held_connection_stops_its_sender(self) -> None:
        daemon = Daemon({"/": EveryFactory})
        client = daemon.open()
        client.say("hold")
        client.protocol.send_binary(bytes(65536))
        taken = client.wire.push(b"".join(client.protocol.data_to_send()) * 2500)
        assert taken < 40 * MIB
        (connection,) = daemon.connections
        assert len(connection.data) <= 2 * 256 * 1024

    def test_no_ping_time_out_fires_while_reading_is_held(self) -> None:
        daemon = Daemon({"/": EveryFactory}, Policies(ping_interval=25, ping_timeout=20))
        client = daemon.open()
        client.say("hold")
        daemon.pass_(300)
        assert len(daemon.connections) == 1


class TestPings:
    """A ping waits behind what was sent before it."""

    def test_a_peer_that_is_still_taking_that_is_not_dropped_for_its_silence(self) -> None:
        daemon = Daemon({"/": EveryFactory}, Policies(ping_interval=25, ping_timeout=20, high_water=64 * MIB))
        client = daemon.open()
        client.protocol.send_text(b"flood 256")
        client.wire.send(b"".join(client.protocol.data_to_send()))
        for _ in range(3):
            daemon.pass_(16)
            client.wire.take(4 * MIB)
        assert len(daemon.connections) == 1


class TestPongs:
    """RFC 6455 5.5.3: only the most recent ping needs its pong."""

    def test_at_most_one_waits_while_the_peer_does_not_read(self) -> None:
        daemon = Daemon({"/": EveryFactory}, Policies(high_water=MIB, low_water=1024))
        client = daemon.open()
        client.protocol.send_text(b"flood 200")
        client.wire.send(b"".join(client.protocol.data_to_send()))
        (connection,) = daemon.connections
        before = connection.unsent
        for number in range(1000):
            client.protocol.send_ping(b"%d" % number)
        client.wire.send(b"".join(client.protocol.data_to_send()))
        assert connection.unsent == before
        client.exchange()
        pongs = [bytes(frame.data) for frame in client.frames if frame.opcode == 10]
        assert pongs == [b"999"]


def test_the_client_of_these_tests_meets_an_echo() -> None:
    client: Client = Daemon({"/": EchoFactory}).open()
    client.say("hello")
    assert client.messages() == ["hello"]
