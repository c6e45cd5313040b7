"""A connection that sends too much per second: reading waits, or it is closed with 1008."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire import Client, Daemon
from wsd.config import Policies
from wsd.connection.metering import Metered
from wsd.protocols.blob.protocol import BlobFactory
from wsd.protocols.echo import EchoFactory


def opened(**policies: Any) -> Client:
    daemon = Daemon({"/": EchoFactory}, Policies(ping_interval=0.0, **policies))
    return daemon.open("/")


def send(client: Client, count: int, size: int = 2) -> None:
    for _ in range(count):
        client.protocol.send_text(b"x" * size)


def test_a_route_without_a_limit_does_without_the_layer() -> None:
    client = opened()
    (connection,) = client.wire.daemon.connections
    assert not isinstance(connection, Metered)


def test_a_client_that_no_limit_applies_to_is_never_held() -> None:
    client = opened(messages_per_second_per_user=1)
    (connection,) = client.wire.daemon.connections
    assert isinstance(connection, Metered)
    send(client, 20)
    client.exchange()
    assert len(client.messages()) == 20
    assert connection.heldByRate == 0


class TestWait:
    def test_what_is_more_is_read_later(self) -> None:
        client = opened(messages_per_second=10)
        daemon = client.wire.daemon
        send(client, 25)
        client.exchange()
        assert len(client.messages()) == 11
        daemon.pass_(1)
        client.exchange()
        assert 20 <= len(client.messages()) <= 23
        daemon.pass_(1)
        client.exchange()
        assert len(client.messages()) == 25
        assert client.protocol.close_code is None or daemon.connections
        assert daemon.metrics.routes["/"].limited > 1

    def test_bytes_count_as_well(self) -> None:
        client = opened(bytes_per_second=1000)
        send(client, 10, 600)
        client.exchange()
        assert len(client.messages()) == 2
        client.wire.daemon.pass_(0.5)
        client.exchange()
        assert len(client.messages()) == 3

    def test_pings_count_as_messages(self) -> None:
        client = opened(messages_per_second=5)
        for number in range(20):
            client.protocol.send_ping(b"%d" % number)
        frames = client.exchange()
        assert len(frames) == 6
        client.wire.daemon.pass_(3)
        client.exchange()
        assert len(client.frames) == 20

    def test_a_message_in_pieces_counts_once_and_with_all_its_bytes(self) -> None:
        daemon = Daemon({"/blob": BlobFactory}, Policies(ping_interval=0.0, bytes_per_second=100))
        client = daemon.open("/blob")
        client.protocol.send_binary(b"x" * 350)
        client.exchange()
        assert daemon.metrics.routes["/blob"].limited
        (connection,) = daemon.connections
        assert connection.heldByRate == 1

    def test_the_close_frame_of_a_waiting_client_is_answered_after_the_wait(self) -> None:
        client = opened(messages_per_second=1)
        send(client, 3)
        client.close()
        client.exchange()
        assert client.wire.daemon.connections
        client.wire.daemon.pass_(4)
        client.exchange()
        assert client.protocol.close_code == 1000

    def test_nothing_is_left_of_a_client_that_goes_while_it_waits(self) -> None:
        client = opened(messages_per_second=1)
        daemon = client.wire.daemon
        send(client, 3)
        client.exchange()
        (connection,) = daemon.connections
        daemon.reactor.pump([0.1])
        client.wire.reset()
        client.wire.transport.abortConnection()
        client.wire.serve()
        assert not daemon.connections
        assert connection.heldByRate == 0
        daemon.pass_(5)


class TestClose:
    def test_what_is_more_closes_the_connection(self) -> None:
        client = opened(messages_per_second=10, over_rate="close")
        send(client, 10)
        client.exchange()
        assert len(client.messages()) == 10
        send(client, 1)
        client.exchange()
        assert len(client.messages()) == 10
        assert client.protocol.close_code == 1008
        assert str(client.protocol.close_reason).startswith("more messages or bytes per second than allowed")
        assert client.wire.daemon.metrics.routes["/"].closed == {"rate_limited": 1}

    def test_a_piece_too_many_closes_it_as_well(self) -> None:
        daemon = Daemon({"/blob": BlobFactory}, Policies(bytes_per_second=100, over_rate="close"))
        client = daemon.open("/blob")
        client.protocol.send_binary(b"x" * 350)
        client.exchange()
        assert client.protocol.close_code == 1008


@pytest.mark.parametrize("route", ["messages_per_second", "bytes_per_second"])
def test_a_route_may_have_its_own_limit(route: str) -> None:
    client = opened(**{route: 1})
    send(client, 5)
    client.exchange()
    assert len(client.messages()) < 5
