"""The ports: what waits is accepted in one turn, whatever becomes of one of them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs

from wsd.listen.port import TCPPort


class Noting(Factory):
    """Keeps what it builds."""

    noisy = False

    def __init__(self) -> None:
        self.built: list[Protocol] = []
        self.addresses: list[Any] = []
        self.fails = self.refuses = False

    def buildProtocol(self, addr: Any) -> Protocol | None:
        self.addresses.append(addr)
        if self.fails:
            raise RuntimeError("a factory fails")
        if self.refuses:
            return None
        self.built.append(Protocol())
        return self.built[-1]


class Listening:
    """A port on a reactor that does nothing by itself, and clients of it."""

    def __init__(self, host: str) -> None:
        self.factory = Noting()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, 0), family=family) as bound:
            bound.setblocking(False)
            self.number = bound.getsockname()[1]
            self.port = TCPPort._fromListeningDescriptor(MemoryReactorClock(), bound.fileno(), family, self.factory)
            self.port.startListening()
        self.clients: list[socket.socket] = []

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        self.clients.append(socket.create_connection((host, self.number)))
        self.clients[-1].settimeout(5)
        return self.clients[-1]

    @property
    def accepted(self) -> list[Any]:
        return [protocol.transport for protocol in self.factory.built]

    def close(self) -> None:
        for client in self.clients:
            client.close()
        for transport in self.accepted:
            transport.socket.close()
        self.port.socket.close()


@pytest.fixture
def here() -> Iterator[Listening]:
    listening = Listening("127.0.0.1")
    yield listening
    listening.close()


def test_all_that_wait_are_accepted_in_one_turn(here: Listening) -> None:
    for turn in range(1, 4):
        clients = [here.connect() for _ in range(10)]
        while len(here.accepted) < 10 * turn:
            here.port.doRead()
        names = {client.getsockname() for client in clients}
        assert names == {(transport.getPeer().host, transport.getPeer().port) for transport in here.accepted[-10:]}


def test_a_turn_in_which_nobody_waits_accepts_nobody(here: Listening) -> None:
    here.port.doRead()
    assert here.accepted == []


def test_a_connection_that_cannot_begin_costs_only_itself(here: Listening) -> None:
    here.factory.fails = True
    here.connect()
    with capturedLogs() as events:
        here.port.doRead()
    here.factory.fails = False
    here.connect()
    here.port.doRead()
    assert [event["event"] for event in events] == ["connection.error"]
    assert len(here.accepted) == 1


def test_one_that_the_factory_does_not_want_is_closed(here: Listening) -> None:
    here.factory.refuses = True
    client = here.connect()
    here.port.doRead()
    assert client.recv(1) == b""


def test_what_goes_wrong_in_accepting_is_twisteds_to_handle(here: Listening) -> None:
    class Aborted:
        """A listening socket of which a client went before it was accepted."""

        def accept(self) -> Any:
            raise OSError(errno.ECONNABORTED, "gone")

    real, here.port.socket = here.port.socket, Aborted()
    with capturedLogs() as events:
        here.port.doRead()
    here.port.socket = real
    here.connect()
    here.port.doRead()
    assert [event["acceptError"] for event in events] == ["ECONNABORTED"]
    assert len(here.accepted) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_connection_knows_where_it_was_accepted(host: str) -> None:
    listening = Listening(host)
    listening.connect()
    listening.port.doRead()
    (transport,) = listening.accepted
    assert (transport.getHost().host, transport.getHost().port) == ("127.0.0.1", listening.number)
    listening.close()


def test_ipv6_addresses_are_told_as_such() -> None:
    listening = Listening("::1")
    client = listening.connect("::1")
    listening.port.doRead()
    (transport,) = listening.accepted
    assert (transport.getPeer().host, transport.getPeer().port) == client.getsockname()[:2]
    assert (transport.getHost().type, transport.getHost().host) == ("TCP", "::1")
    assert listening.factory.addresses == [transport.getPeer()]
    listening.close()
