"""The transports: Twisted's interfaces to the letter, with a queue that reports its unsent bytes."""

from __future__ import annotations

import select
import socket
import sys
from fcntl import ioctl
from typing import Any

import pytest
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from wsd.listen.transport import AcceptedTransport, TCPTransport, UNIXTransport

MIB = 1024 * 1024
SIOCOUTQNSD = 0x894B
"""The request for the bytes that a socket has buffered and not sent (linux/sockios.h)."""


@implementer(IPushProducer)
class Producer:
    """Notes the calls of a producer."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


class Recorder(Protocol):
    """Notes what it receives, and answers with `answers`."""

    def __init__(self) -> None:
        self.got = b""
        self.answers: list[bytes] = []
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        assert self.transport is not None
        for answer in self.answers:
            self.transport.write(answer)

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason


@implementer(IHalfCloseableProtocol)
class HalfClosing(Recorder):
    def __init__(self) -> None:
        super().__init__()
        self.halves: list[str] = []

    def readConnectionLost(self) -> None:
        self.halves.append("read")

    def writeConnectionLost(self) -> None:
        self.halves.append("write")


class Pair:
    """A transport and the bare socket at its other end."""

    def __init__(self, kind: str, protocol: Recorder) -> None:
        self.reactor = MemoryReactorClock()
        self.protocol = protocol
        self.transport: AcceptedTransport
        if kind == "tcp":
            with socket.create_server(("127.0.0.1", 0)) as listening:
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.peer = socket.create_connection(listening.getsockname())
                accepted, address = listening.accept()
            self.transport = TCPTransport(accepted, protocol, address, None, 0, self.reactor)
        else:
            ours, self.peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            self.transport = UNIXTransport(ours, protocol, "", None, 0, self.reactor)
        protocol.makeConnection(self.transport)

    def turn(self) -> None:
        """One turn of a reactor."""
        transport = self.transport
        reading = [transport] if transport in self.reactor.readers else []
        writing = [transport] if transport in self.reactor.writers else []
        readable, writable, _ = select.select(reading, writing, [], 0.05)
        for ready, do in ((readable, "doRead"), (writable, "doWrite")):
            if ready and not transport.disconnected:
                why = getattr(transport, do)()
                if why is not None and do == "doRead" and isinstance(why, ConnectionDone):
                    transport.readConnectionLost(Failure(why))
                elif why is not None:
                    transport.connectionLost(Failure(why))

    def drain(self) -> int:
        """Read until nothing is unsent. Returns the number of bytes."""
        count = 0
        self.peer.setblocking(False)
        while True:
            try:
                data = self.peer.recv(MIB)
            except BlockingIOError:
                if not self.transport.unsent:
                    return count
                self.turn()
                continue
            if not data:
                return count
            count += len(data)


@pytest.fixture(params=["tcp", "unix"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestWriting:
    """Writing: at once, and in order."""

    def test_what_the_kernel_takes_is_sent_before_write_returns(self, kind: str) -> None:
        pair = Pair(kind, Recorder())
        pair.transport.write(b"hello")
        assert pair.peer.recv(10) == b"hello"
        assert pair.transport.unsent == 0

    def test_what_it_does_not_take_is_queued_counted_and_sent_later(self, kind: str) -> None:
        pair = Pair(kind, Recorder())
        pair.transport.writeSequence([bytes(16 * MIB), b"", b"end"])
        waiting = pair.transport.unsent
        assert waiting > MIB
        assert pair.drain() == 16 * MIB + 3
        assert pair.transport.written() == 16 * MIB + 3

    def test_what_is_written_while_a_read_is_delivered_leaves_in_order(self, kind: str) -> None:
        pair = Pair(kind, Recorder())
        pair.protocol.answers = [b"one ", b"two ", bytes(3 * MIB), b" three"]
        pair.peer.sendall(b"go")
        pair.turn()
        assert pair.drain() == 8 + 3 * MIB + 6

    def test_only_bytes_are_written(self, kind: str) -> None:
        with pytest.raises(TypeError):
            Pair(kind, Recorder()).transport.write("text")  # type: ignore[arg-type]

    def test_nothing_is_written_to_a_connection_that_is_lost(self, kind: str) -> None:
        pair = Pair(kind, Recorder())
        pair.peer.close()
        pair.turn()
        pair.transport.write(b"late")
        assert pair.transport.unsent == 0

    def test_what_reached_the_peer_is_told(self, kind: str) -> None:
        pair = Pair(kind, Recorder())
        pair.transport.write(bytes(16 * MIB))
        before = pair.transport.acknowledged()
        assert pair.drain() == 16 * MIB
        assert pair.transport.acknowledged() > before

    def test_the_kernel_keeps_no_more_than_it_is_told_for_a_slow_peer(self) -> None:
        pair = Pair("tcp", Recorder())
        pair.transport.limitKernelBuffer(65536)
        pair.transport.write(bytes(16 * MIB))
        kept = int.from_bytes(ioctl(pair.transport.socket, SIOCOUTQNSD, bytes(4)), sys.byteorder)
        assert kept < 2 * 65536
        assert pair.drain() == 16 * MIB

    def test_a_unix_socket_keeps_little_anyway(self) -> None:
        pair = Pair("unix", Recorder())
        pair.transport.limitKernelBuffer(65536)
        pair.transport.write(bytes(16 * MIB))
        assert pair.transport.unsent > 15 * MIB


class TestProducers:
    """IConsumer: a producer is paused above the high water mark, and resumed at the low one."""

    def test_a_streaming_producer_is_paused_above_high_and_resumed_at_low(self, kind: str) -> None:
        pair, producer = Pair(kind, Recorder()), Producer()
        pair.transport.setWaterMarks(MIB, 1000)
        pair.transport.registerProducer(producer, True)
        pair.transport.write(bytes(16 * MIB))
        assert producer.told == ["pause"]
        pair.drain()
        assert producer.told == ["pause", "resume"]

    def test_a_producer_that_comes_when_too_much_waits_is_paused_at_once(self, kind: str) -> None:
        pair, producer = Pair(kind, Recorder()), Producer()
        pair.transport.write(bytes(16 * MIB))
        pair.transport.registerProducer(producer, True)
        assert producer.told == ["pause"]

    def test_what_is_sent_at_once_pauses_nobody(self, kind: str) -> None:
        pair, producer = Pair(kind, Recorder()), Producer()
        pair.transport.registerProducer(producer, True)
        pair.protocol.answers = [b"x" * 1000] * 100
        pair.peer.sendall(b"go")
        pair.turn()
        assert producer.told == []

    def test_a_pull_producer_is_asked_again_when_all_is_sent(self, kind: str) -> None:
        pair, producer = Pair(kind, Recorder()), Producer()
        pair.transport.registerProducer(producer, False)
        pair.transport.write(b"first")
        pair.turn()
        assert producer.told == ["resume", "resume"]

    def test_it_is_told_when_the_connection_is_lost(self, kind: str) -> None:
        pair, producer = Pair(kind, Recorder()), Producer()
        pair.transport.registerProducer(producer, True)
        pair.peer.close()
        pair.turn()
        assert producer.told == ["stop"]


class TestReading:
    """IPushProducer towards the protocol."""

    def test_a_large_read_is_delivered_whole(self, kind: str) -> None:
        pair = Pair(kind, Recorder())
        pair.peer.sendall(b"x" * 100_000)
        for _ in range(20):
            pair.turn()
        assert len(pair.protocol.got) == 100_000

    def test_nothing_is_read_while_paused(self, kind: str) -> None:
        pair = Pair(kind, Recorder())
        pair.transport.pauseProducing()
        pair.peer.sendall(b"hello")
        pair.turn()
        assert pair.protocol.got == b""
        pair.transport.resumeProducing()
        pair.turn()
        assert pair.protocol.got == b"hello"


class TestEnding:
    """Ending: cleanly, by half, or at once."""

    def test_lose_connection_sends_what_waits_first(self, kind: str) -> None:
        pair = Pair(kind, Recorder())
        pair.transport.write(bytes(8 * MIB))
        pair.transport.loseConnection()
        assert pair.drain() == 8 * MIB
        pair.turn()
        assert pair.protocol.reason is not None
        assert pair.protocol.reason.check(ConnectionDone)

    def test_lose_connection_in_a_read_keeps_the_answer(self, kind: str) -> None:
        class Bye(Recorder):
            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                self.transport.write(b"bye")
                self.transport.loseConnection()

        pair = Pair(kind, Bye())
        pair.peer.sendall(b"go")
        pair.turn()
        pair.turn()
        assert pair.peer.recv(10) == b"bye"
        assert pair.peer.recv(10) == b""

    def test_abort_drops_what_waits(self, kind: str) -> None:
        pair = Pair(kind, Recorder())
        pair.transport.write(bytes(16 * MIB))
        pair.transport.abortConnection()
        pair.reactor.advance(0)
        assert pair.protocol.reason is not None
        assert pair.protocol.reason.check(ConnectionAborted)
        assert pair.transport.unsent == 0

    def test_half_a_close_each_way(self, kind: str) -> None:
        protocol = HalfClosing()
        pair = Pair(kind, protocol)
        pair.transport.write(b"last words")
        pair.transport.loseWriteConnection()
        pair.turn()
        assert pair.peer.recv(100) == b"last words"
        assert pair.peer.recv(100) == b""
        pair.peer.sendall(b"heard")
        pair.turn()
        assert protocol.got == b"heard"
        assert protocol.halves == ["write"]

    def test_a_reset_is_a_lost_connection(self) -> None:
        pair = Pair("tcp", Recorder())
        pair.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        pair.peer.close()
        pair.turn()
        assert pair.protocol.reason is not None
        assert pair.protocol.reason.check(ConnectionLost)


def test_it_is_what_twisted_says_a_tcp_transport_is() -> None:
    transport = Pair("tcp", Recorder()).transport
    verifyObject(ITCPTransport, transport)
    verifyObject(IConsumer, transport)
    verifyObject(IPushProducer, transport)


def test_nagle_is_off() -> None:
    transport = Pair("tcp", Recorder()).transport
    assert transport.getTcpNoDelay()
