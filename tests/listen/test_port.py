"""The ports: what waits is accepted in one turn, whatever becomes of one of them."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs

from wsd.listen.port import Shortage, TCPPort, UNIXPort


class Noting(Factory):
    """Keeps what it builds."""

    noisy = False

    def __init__(self) -> None:
        self.built: list[Protocol] = []
        self.fails = self.refuses = False

    def buildProtocol(self, addr: Any) -> Protocol | None:
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
            self.port: Any = TCPPort._fromListeningDescriptor(
                MemoryReactorClock(), bound.fileno(), family, self.factory
            )
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


class ListeningUnix(Listening):
    """A unix port."""

    def __init__(self, path: str) -> None:
        self.factory = Noting()
        self.path = path
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path)
            bound.listen()
            bound.setblocking(False)
            self.port = UNIXPort._fromListeningDescriptor(MemoryReactorClock(), bound.fileno(), self.factory)
            self.port.startListening()
        self.clients = []

    def connect(self, host: str = "") -> socket.socket:
        self.clients.append(socket.socket(socket.AF_UNIX))
        self.clients[-1].connect(self.path)
        self.clients[-1].settimeout(5)
        return self.clients[-1]


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


def test_no_more_are_accepted_in_a_turn_than_some_milliseconds_allow(
    here: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each look at the clock is a millisecond later than the one before.
    monkeypatch.setattr("wsd.listen.port.monotonic", partial(next, count(0.0, 0.001)))
    for _ in range(10):
        here.connect()
    here.port.doRead()
    assert len(here.accepted) == 2
    for _ in range(4):
        here.port.doRead()
    assert len(here.accepted) == 10


def test_connections_send_small_writes_at_once_and_never_block(here: Listening) -> None:
    here.connect()
    here.port.doRead()
    (accepted,) = here.accepted
    assert accepted.getTcpNoDelay()
    assert not accepted.socket.getblocking()


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
            return self._accept()

        def _accept(self) -> Any:
            raise OSError(errno.ECONNABORTED, "gone")

    real, here.port.socket = here.port.socket, Aborted()
    with capturedLogs() as events:
        here.port.doRead()
    here.port.socket = real
    here.connect()
    here.port.doRead()
    assert [event["acceptError"] for event in events] == ["ECONNABORTED"]
    assert len(here.accepted) == 1


class Full:
    """A listening socket whose process has no descriptor left, unless it has just given one up."""

    def __init__(self, real: socket.socket, shortage: Any) -> None:
        self._real = real
        self._shortage = shortage

    def _accept(self) -> Any:
        if self._shortage._spare is not None:
            raise OSError(errno.EMFILE, "too many open files")
        return self._real._accept()  # type: ignore[attr-defined]

    def accept(self) -> Any:
        descriptor, name = self._accept()
        return socket.socket(fileno=descriptor), name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class TestWithoutDescriptors:
    """accept(2): EMFILE."""

    @pytest.fixture(params=["tcp", "unix"])
    def full(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listening]:
        listening = Listening("127.0.0.1") if request.param == "tcp" else ListeningUnix(str(tmp_path / "socket"))
        self.clock: Any = listening.port.reactor
        self.counted: list[tuple[str, int]] = []
        shortage = Shortage(self.clock.seconds, lambda error, count: self.counted.append((error, count)))
        shortage.prepare()
        listening.port.shortage = shortage
        self.real = listening.port.socket
        listening.port.socket = Full(self.real, shortage)
        yield listening
        listening.port.socket = self.real
        shortage.close()
        listening.close()

    def test_they_who_wait_are_told_so_and_counted(self, full: Listening) -> None:
        clients = [full.connect() for _ in range(3)]
        clients[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
        full.port.doRead()
        for client in clients:
            answer = b"".join(iter(lambda client=client: client.recv(4096), b""))  # type: ignore[misc]
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n")
            assert answer.endswith(b"\r\n\r\nthe server has no descriptor left for your connection; try again\n")
        assert self.counted == [("EMFILE", 3)]
        assert full.accepted == []

    def test_they_have_the_id_of_the_line_that_tells_why(self, full: Listening) -> None:
        answers = []
        with capturedLogs() as events:
            for _ in range(25):
                client = full.connect()
                full.port.doRead()
                answers.append(b"".join(iter(lambda client=client: client.recv(4096), b"")).decode())  # type: ignore[misc]
                self.clock.advance(1)
        ids = re.findall(r"\r\nX-Request-Id: ([0-9a-f]{10})\r\n", "".join(answers))
        assert list(dict.fromkeys(ids)) == [event["id"] for event in events]
        assert (len(ids), len(set(ids))) == (25, 3)

    def test_they_of_tls_see_an_end(self, full: Listening) -> None:
        full.port.isSecure = True
        client = full.connect()
        full.port.doRead()
        assert client.recv(1) == b""

    def test_the_log_has_a_line_in_ten_seconds(self, full: Listening) -> None:
        with capturedLogs() as events:
            for _ in range(25):
                full.connect()
                full.port.doRead()
                self.clock.advance(1)
        assert [(event["event"], event["count"]) for event in events] == [
            ("listener.short", count) for count in (1, 10, 10)
        ]
        assert sum(count for _, count in self.counted) == 25

    def test_accepting_pauses_and_goes_on(self, full: Listening) -> None:
        full.connect()
        full.port.doRead()
        assert full.port not in self.clock.readers
        self.clock.advance(0.3)
        assert full.port in self.clock.readers
        full.port.socket = self.real
        full.connect()
        full.port.doRead()
        assert len(full.accepted) == 1

    def test_a_port_that_stops_meanwhile_stays_stopped(self, full: Listening) -> None:
        full.connect()
        full.port.doRead()
        full.port.stopListening()
        self.clock.advance(0.3)
        assert full.port not in self.clock.readers


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
    listening.close()


class TestAUnixPortThatStops:
    """What is said after a stop is true: nobody listens, and the path is gone."""

    @pytest.fixture
    def unix(self, tmp_path: Path) -> ListeningUnix:
        return ListeningUnix(str(tmp_path / "wsd.sock"))

    def test_is_gone_at_once(self, unix: ListeningUnix) -> None:
        unix.port.stopListening()
        assert not Path(unix.path).exists()
        with pytest.raises(FileNotFoundError):
            unix.connect()

    def test_leaves_a_path_that_is_not_its_own(self, unix: ListeningUnix) -> None:
        unix.port.ownsPath = False
        unix.port.stopListening()
        with pytest.raises(ConnectionRefusedError):
            unix.connect()

    def test_stops_also_when_somebody_has_removed_its_path(self, unix: ListeningUnix) -> None:
        Path(unix.path).unlink()
        unix.port.stopListening()
        assert not unix.port.connected

    def test_may_be_stopped_twice(self, unix: ListeningUnix) -> None:
        unix.port.stopListening()
        unix.port.stopListening()
        assert not unix.port.connected


def test_a_tcp_port_that_stops_refuses_clients_at_once(here: Listening) -> None:
    here.port.stopListening()
    with pytest.raises(ConnectionRefusedError):
        here.connect()
    here.port.socket = socket.socket()
