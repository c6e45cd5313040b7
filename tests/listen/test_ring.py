"""The ring: an epoll set of all connections, registered with the reactor as a single reader."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IReadDescriptor
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from wsd.listen import _turn
from wsd.listen.ring import Ring, pythonIsNext, pythonTurn, ringOf
from wsd.listen.transport import TCPTransport


class Noting(Protocol):
    def __init__(self) -> None:
        self.got = b""
        self.reason: Failure | None = None
        self.fails = False

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        if self.fails:
            raise RuntimeError("a protocol fails")

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason


@implementer(IHalfCloseableProtocol)
class Halving(Noting):
    halves = 0

    def readConnectionLost(self) -> None:
        self.halves += 1

    def writeConnectionLost(self) -> None:
        """Not of interest."""


@pytest.fixture
def reactor() -> MemoryReactorClock:
    return MemoryReactorClock()


@pytest.fixture(params=[_turn.turn, pythonTurn], ids=["compiled", "python"])
def ring(
    reactor: MemoryReactorClock, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ring]:
    monkeypatch.setattr("wsd.listen.ring.turn", request.param)
    ring = Ring(reactor)
    yield ring
    for source in ring.removeAll():
        source.connectionLost(Failure(ConnectionDone()))
    ring.stop()


def connect(ring: Ring, protocol: Protocol) -> tuple[TCPTransport, socket.socket]:
    """A connection whose first request has been read, and its client."""
    transport, client = connectNew(ring, protocol)
    transport.headRead()
    return transport, client


def connectNew(ring: Ring, protocol: Protocol) -> tuple[TCPTransport, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        accepted, address = listening.accept()
    transport = TCPTransport(accepted, protocol, address, None, 0, ring)
    protocol.makeConnection(transport)
    return transport, client


def isReadable(ring: Ring) -> bool:
    return bool(select.select([ring], [], [], 0)[0])


class TestItIsAReaderOfTheReactor:
    def test_as_twisted_says(self, reactor: MemoryReactorClock, ring: Ring) -> None:
        verifyObject(IReadDescriptor, ring)
        connect(ring, Noting())[1].close()
        assert set(reactor.readers) == {ring, openings(reactor)}

    def test_with_another_for_the_connections_in_their_opening(self, reactor: MemoryReactorClock, ring: Ring) -> None:
        verifyObject(IReadDescriptor, openings(reactor))
        assert openings(reactor).logPrefix() != ring.logPrefix()

    def test_which_is_readable_while_a_connection_has_something(self, ring: Ring) -> None:
        protocol = Noting()
        _, client = connect(ring, protocol)
        with client:
            assert not isReadable(ring)
            client.sendall(b"hello")
            assert isReadable(ring)
            ring.doRead()
            assert protocol.got == b"hello"
            assert not isReadable(ring)

    def test_and_gives_the_time_of_the_reactor(self, reactor: MemoryReactorClock, ring: Ring) -> None:
        called: list[int] = []
        ring.callLater(1, called.append, 7)
        reactor.advance(1)
        assert called == [7]

    def test_until_it_stops(self, reactor: MemoryReactorClock) -> None:
        Ring(reactor).stop()
        assert list(reactor.readers) == []

    def test_without_epoll_there_is_none(self, reactor: MemoryReactorClock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(select, "epoll")
        assert ringOf(reactor) is reactor


class TestAConnection:
    def test_that_pauses_is_not_read(self, ring: Ring) -> None:
        protocol = Noting()
        transport, client = connect(ring, protocol)
        with client:
            transport.pauseProducing()
            client.sendall(b"hello")
            ring.doRead()
            assert protocol.got == b""
            transport.resumeProducing()
            ring.doRead()
            assert protocol.got == b"hello"

    def test_whose_peer_takes_nothing_is_written_when_it_does(self, ring: Ring) -> None:
        transport, client = connect(ring, Noting())
        with client:
            transport.write(bytes(16 << 20))
            assert ring.getWriters() == [transport]
            got = 0
            while got < 16 << 20:
                ring.doRead()
                got += len(client.recv(1 << 20))
            ring.doRead()
            assert ring.getWriters() == []
            assert ring.getReaders() == [transport]

    def test_that_is_closed_is_lost_and_forgotten(self, ring: Ring) -> None:
        protocol = Noting()
        transport, client = connect(ring, protocol)
        client.close()
        ring.doRead()
        assert protocol.reason is not None
        assert protocol.reason.check(ConnectionDone)
        assert ring.getReaders() == []
        transport.stopReading()

    def test_whose_peer_ends_its_half_goes_on_with_the_other(self, ring: Ring) -> None:
        protocol = Halving()
        transport, client = connect(ring, protocol)
        with client:
            client.shutdown(socket.SHUT_WR)
            ring.doRead()
            assert (protocol.halves, protocol.reason) == (1, None)
            transport.write(b"still here")
            assert client.recv(100) == b"still here"

    def test_that_is_reset_while_it_writes_is_lost(self, ring: Ring) -> None:
        protocol = Noting()
        transport, client = connect(ring, protocol)
        transport.pauseProducing()
        transport.write(bytes(16 << 20))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        ring.doRead()
        assert protocol.reason is not None
        assert protocol.reason.check(ConnectionLost)

    def test_that_fails_ends_alone_with_a_traceback_in_the_log(self, ring: Ring) -> None:
        failing, sound = Noting(), Noting()
        failing.fails = True
        ends = [connect(ring, protocol)[1] for protocol in (failing, sound)]
        for end in ends:
            end.sendall(b"hello")
        with capturedLogs() as events:
            ring.doRead()
        assert [event["log_failure"].type for event in events] == [RuntimeError]
        assert failing.reason is not None
        assert (sound.got, sound.reason) == (b"hello", None)
        for end in ends:
            end.close()

    def test_that_fails_when_it_is_lost_ends_alone(self, ring: Ring) -> None:
        class Failing(Noting):
            def connectionLost(self, reason: Any = None) -> None:
                raise RuntimeError("a protocol fails at its end")

        other = Noting()
        (_, client), (_, otherClient) = connect(ring, Failing()), connect(ring, other)
        with client, otherClient, capturedLogs() as events:
            client.close()
            otherClient.sendall(b"hello")
            # An exception that left the ring would make the reactor drop it, and all connections with it.
            ring.doRead()
            ring.doRead()
            assert other.got == b"hello"
        assert [event["event"] for event in events if "log_failure" in event] == ["connection.error"]

    def test_whose_descriptor_another_has_now_does_not_touch_it(self, ring: Ring) -> None:
        first, client = connect(ring, Noting())
        first.connectionLost(Failure(ConnectionDone()))
        client.close()
        protocol = Noting()
        second, client = connect(ring, protocol)
        first.stopReading()
        first.stopWriting()
        assert ring.getReaders() == [second]
        client.close()

    def test_that_ends_another_of_the_same_batch_spares_it_a_visit(self, ring: Ring) -> None:
        class Ending(Noting):
            other: TCPTransport

            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                if self.other.connected:
                    self.other.connectionLost(Failure(ConnectionDone()))

        first, second = Ending(), Ending()
        one, client = connect(ring, first)
        two, another = connect(ring, second)
        first.other, second.other = two, one
        client.sendall(b"hello")
        another.sendall(b"hello")
        ring.doRead()
        assert sorted((first.got, second.got)) == [b"", b"hello"]
        client.close()
        another.close()


def openings(reactor: MemoryReactorClock) -> Any:
    """The reader that serves connections in their opening."""
    (reader,) = (reader for reader in reactor.readers if not isinstance(reader, Ring))
    return reader


class Slow(Noting):
    """Takes a millisecond for each read."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self._clock.advance(0.001)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the ring reads."""
    clock = Clock()
    monkeypatch.setattr("wsd.listen.ring.monotonic", clock)
    return clock


class TestManyThatTakeLong:
    """Connections that are ready are served for some milliseconds of a turn, and the others in the next one."""

    MANY = 100

    @pytest.fixture
    def slow(self, ring: Ring, clock: Clock) -> Iterator[list[Slow]]:
        """A hundred, whose clients have sent more than is read at once."""
        protocols = [Slow(clock) for _ in range(self.MANY)]
        pairs = [connect(ring, protocol) for protocol in protocols]
        for _, client in pairs:
            client.sendall(b"x" * 100_000)
        yield protocols
        for _, client in pairs:
            client.close()

    def test_do_not_hold_the_reactor(self, ring: Ring, clock: Clock, slow: list[Slow]) -> None:
        began = clock.now
        ring.doRead()
        assert clock.now - began <= 0.032
        assert 0 < sum(bool(protocol.got) for protocol in slow) < self.MANY

    def test_get_their_turn_one_after_the_other(self, ring: Ring, slow: list[Slow]) -> None:
        for _ in range(self.MANY // 32 + 1):
            ring.doRead()
        assert all(protocol.got for protocol in slow)


class TestConnectionsInTheirOpening:
    @pytest.fixture
    def slow(self, ring: Ring, clock: Clock) -> Iterator[list[Slow]]:
        """Twenty of them, whose clients have sent something."""
        protocols = [Slow(clock) for _ in range(20)]
        clients = [connectNew(ring, protocol)[1] for protocol in protocols]
        for client in clients:
            client.sendall(b"hello")
        yield protocols
        for client in clients:
            client.close()

    def test_get_two_milliseconds_of_a_turn(self, reactor: MemoryReactorClock, clock: Clock, slow: list[Slow]) -> None:
        began = clock.now
        openings(reactor).doRead()
        assert clock.now - began == pytest.approx(0.002)
        assert sum(bool(protocol.got) for protocol in slow) == 2

    def test_are_served_one_after_the_other(self, reactor: MemoryReactorClock, slow: list[Slow]) -> None:
        for _ in range(10):
            openings(reactor).doRead()
        assert [protocol.got for protocol in slow] == [b"hello"] * 20

    def test_do_not_keep_an_open_one_waiting(self, ring: Ring, clock: Clock, slow: list[Slow]) -> None:
        protocol = Noting()
        _, client = connect(ring, protocol)
        with client:
            client.sendall(b"calm")
            began = clock.now
            ring.doRead()
            assert (protocol.got, clock.now) == (b"calm", began)
        assert not any(protocol.got for protocol in slow)

    def test_are_among_the_open_ones_once_their_head_is_read(self, ring: Ring) -> None:
        protocol = Noting()
        transport, client = connectNew(ring, protocol)
        with client:
            client.sendall(b"hello")
            ring.doRead()
            assert protocol.got == b""
            transport.headRead()
            ring.doRead()
            assert protocol.got == b"hello"

    def test_also_if_they_are_not_read_when_it_is(self, ring: Ring) -> None:
        protocol = Noting()
        transport, client = connectNew(ring, protocol)
        with client:
            transport.pauseProducing()
            transport.headRead()
            client.sendall(b"hello")
            transport.resumeProducing()
            ring.doRead()
            assert protocol.got == b"hello"

    def test_end_like_others(self, reactor: MemoryReactorClock, ring: Ring) -> None:
        protocol = Noting()
        _, client = connectNew(ring, protocol)
        client.close()
        openings(reactor).doRead()
        assert protocol.reason is not None
        assert ring.getReaders() == []

    def test_may_end_the_ring(self, reactor: MemoryReactorClock, ring: Ring) -> None:
        class Ending(Noting):
            def dataReceived(self, data: bytes) -> None:
                for source in ring.removeAll():
                    source.connectionLost(Failure(ConnectionDone()))
                ring.stop()

        clients = [connectNew(ring, Ending())[1] for _ in range(4)]
        for client in clients:
            client.sendall(b"hello")
        openings(reactor).doRead()
        assert list(reactor.readers) == []
        for client in clients:
            client.close()


# -- further batches in a turn ----------------------------------------------------------------------------------------


class Endless(Protocol):
    """Has its client send the next message while it reads one; does something at the fifth."""

    def __init__(self, atFifth: Callable[[], object]) -> None:
        self.count = 0
        self.client: Any = None
        self._atFifth = atFifth

    def dataReceived(self, data: bytes) -> None:
        self.count += 1
        self.client.sendall(b"next")
        if self.count == 5:
            self._atFifth()


class Clock:
    """The ring's clock."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Busy:
    """A ring on Twisted's epoll reactor, whose last turn has just ended."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.reactor: Any = EPollReactor()
        self.ring = Ring(self.reactor)
        self.ring.doRead()
        self._ends: list[socket.socket] = []

    def connect(self, atFifth: Callable[[], object]) -> Endless:
        """A connection with a message, and another after each that is read."""
        protocol = Endless(atFifth)
        _, protocol.client = connect(self.ring, protocol)
        self._ends.append(protocol.client)
        protocol.client.sendall(b"first")
        return protocol

    def pair(self) -> tuple[socket.socket, socket.socket]:
        self._ends += socket.socketpair()
        return self._ends[-2], self._ends[-1]

    def close(self) -> None:
        if self.ring in self.reactor.getReaders():
            self.stop()
        self.reactor.removeAll()
        for waker in self.reactor._internalReaders:
            waker.connectionLost(None)
        for end in self._ends:
            end.close()

    def stop(self) -> None:
        for source in self.ring.removeAll():
            source.connectionLost(Failure(ConnectionDone()))
        self.ring.stop()


@pytest.fixture(params=[(_turn.turn, _turn.isNext), (pythonTurn, pythonIsNext)], ids=["compiled", "python"])
def busy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Busy]:
    clock = Clock()
    for name, value in zip(("turn", "isNext", "monotonic"), (*request.param, clock), strict=True):
        monkeypatch.setattr(f"wsd.listen.ring.{name}", value)
    busy = Busy(clock)
    yield busy
    busy.close()


class TestATurnOfABusyRing:
    def test_serves_message_after_message_for_some_milliseconds(self, busy: Busy) -> None:
        protocol = busy.connect(lambda: busy.clock.advance(0.005))
        busy.ring.doRead()
        assert protocol.count == 5

    def test_is_one_batch_if_the_last_turn_is_long_ago(self, busy: Busy) -> None:
        protocol = busy.connect(lambda: None)
        busy.clock.advance(0.002)
        busy.ring.doRead()
        assert protocol.count == 1

    def test_ends_when_nothing_comes(self, busy: Busy) -> None:
        protocol = Noting()
        _, client = connect(busy.ring, protocol)
        with client:
            client.sendall(b"hello")
            busy.ring.doRead()
        assert protocol.got == b"hello"

    @pytest.mark.parametrize("delay", [0, 0.0005])
    def test_ends_when_a_call_is_due(self, busy: Busy, delay: float) -> None:
        protocol = busy.connect(lambda: busy.reactor.callLater(delay, lambda: None))
        busy.ring.doRead()
        assert protocol.count == 5

    def test_ends_when_another_reader_can_read(self, busy: Busy) -> None:
        ours, theirs = busy.pair()
        busy.reactor.addReader(Reader(ours))
        protocol = busy.connect(lambda: theirs.send(b"x"))
        busy.ring.doRead()
        assert protocol.count == 5

    def test_ends_when_a_thread_calls(self, busy: Busy) -> None:
        protocol = busy.connect(lambda: busy.reactor.callFromThread(lambda: None))
        busy.ring.doRead()
        assert protocol.count == 5

    def test_ends_with_the_ring(self, busy: Busy) -> None:
        protocol = busy.connect(busy.stop)
        busy.ring.doRead()
        assert protocol.count == 5


def test_on_another_reactor_a_turn_is_one_batch(ring: Ring) -> None:
    protocol = Endless(lambda: None)
    _, protocol.client = connect(ring, protocol)
    with protocol.client:
        protocol.client.sendall(b"first")
        ring.doRead()
        ring.doRead()
        assert protocol.count == 2


@implementer(IReadDescriptor)
class Reader:
    """Of no interest but for its descriptor."""

    def __init__(self, end: socket.socket) -> None:
        self.fileno = end.fileno

    def doRead(self) -> None:
        """Never called: the reactor does not run."""

    def connectionLost(self, reason: Failure) -> None:
        """Nothing to do."""

    def logPrefix(self) -> str:
        return "reader"
