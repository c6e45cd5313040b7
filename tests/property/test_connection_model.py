"""
The life of a connection against a model, on every plane, over plain connections and TLS.

Either side sends, holds, closes, or is cut off, and time passes. Messages come once and in order, the close codes are
right, and at the end nothing is left in the counters, the timer and the ledger of memory.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests import wire
from tests.certificates import Authority
from tests.property.sequences import sequences
from wsd.config import Policies
from wsd.connection import Connection, Factory
from wsd.frames import PLANES
from wsd.listen.secure import SecureTransport
from wsd.listen.transport import UNIXTransport
from wsd.metrics import Cause, TlsHandshakes
from wsd.policies.budget import MemoryUse
from wsd.web.door import Doors

HIGH, LIMIT = 64 * 1024, 4096
POLICIES = Policies(
    high_water=HIGH,
    low_water=HIGH // 4,
    max_message=LIMIT,
    max_unsent=8 << 20,
    ping_interval=20,
    ping_timeout=10,
    stall_timeout=40,
    closing_timeout=5,
    close_id=False,
)
KERNEL = 4096
"""Bytes that the kernel may buffer towards the client, so that a few messages are more than it takes."""
EARLIEST = 6
"""Steps before either side ends the connection, so that there is something to lose."""
MASK = b"\x01\x02\x03\x04"
HEAD = (
    b"GET / HTTP/1.1\r\nHost: localhost:9998\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Noted(Connection):
    """Notes its messages, and stops reading while its own are not taken."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[bytes] = []
        self.ends: list[int] = []

    def received(self, payload: bytes, isBinary: bool) -> None:
        self.got.append(payload)

    def full(self) -> None:
        self.hold()

    def drained(self) -> None:
        self.release()

    def closed(self, code: int, reason: str) -> None:
        self.ends.append(code)


class NotedFactory(Factory):
    connection = Noted


def frame(opcode: int, payload: bytes, fin: bool = True, mask: bytes = MASK) -> bytes:
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else struct.pack("!BH", 0x80 | 126, size)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([fin << 7 | opcode]) + length + mask + masked


@cache
def authority() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a TLS server and of its client."""
    issuer = Authority(Path(mkdtemp(prefix="wsd-model-")))
    pair = issuer.server("a", "a.test")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pair.cert, pair.key)
    return server, ssl.create_default_context(cafile=issuer.path)


class Plain:
    """A client's end: a socket that reads when it is told to."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.isOver = False
        self.took = 0
        """Bytes that were taken from the socket."""

    def shake(self) -> bytes:
        """The next bytes of the TLS handshake; none when it is done."""
        return b""

    def take(self) -> None:
        """Take what has come for the handshake."""

    def write(self, data: bytes) -> bytes:
        """What is to be sent for these bytes."""
        return data

    def read(self, size: int) -> bytes:
        """Take up to so many bytes."""
        try:
            data = self.end.recv(size)
        except BlockingIOError:
            return b""
        except ConnectionResetError:
            data = b""
        self.isOver = self.isOver or not data
        self.took += len(data)
        return data


class Tls(Plain):
    """The same over TLS."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__(end)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = authority()[1].wrap_bio(self._incoming, self._outgoing, server_hostname="a.test")

    def shake(self) -> bytes:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return self._outgoing.read() or b""
        return self._outgoing.read()

    def write(self, data: bytes) -> bytes:
        self._tls.write(data)
        return self._outgoing.read()

    def take(self) -> None:
        self._incoming.write(super().read(1 << 16))

    def read(self, size: int) -> bytes:
        data = super().read(size)
        self._incoming.write(data)
        plain = b""
        while True:
            try:
                more = self._tls.read(1 << 16)
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return plain
            if not more:
                return plain
            plain += more


class ConnectionModel(RuleBasedStateMachine):
    """One connection, from the opening handshake to its end."""

    plane = "plain"
    isTls = False

    # -- both ends ------------------------------------------------------------------------------------------------

    @initialize()
    def open(self) -> None:
        with patch.object(wire, "PLANE", PLANES[self.plane]):
            self.daemon = wire.Daemon({"/": NotedFactory}, POLICIES)
        ours, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL)
        end.setblocking(False)
        protocol: Any = Doors(self.daemon.site).buildProtocol(None)
        if self.isTls:
            protocol = SecureTransport(lambda hello: authority()[0], protocol, TlsHandshakes())
        self.transport = UNIXTransport(ours, protocol, "", None, 0, self.daemon.reactor)
        protocol.makeConnection(self.transport)
        self.client: Any = Tls(end) if self.isTls else Plain(end)
        self.waiting = b""
        """What the client's own kernel does not take: the daemon does not read."""
        self.stream = b""
        """What has come to the client and is no whole frame."""
        while data := self.client.shake():
            self.put(data)
            self.client.take()
        self.put(self.client.write(HEAD))
        while b"\r\n\r\n" not in self.stream:
            self.stream += self.client.read(1 << 16)
        answer, _, self.stream = self.stream.partition(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ")
        [self.connection] = self.daemon.connections
        self.begin()

    def begin(self) -> None:
        """What the model knows."""
        self.inbox: list[tuple[str, Any]] = []
        """What the client has sent and the daemon has not read."""
        self.read = 0
        """Messages that the daemon has read."""
        self.sent: list[bytes] = []
        """Messages of the client."""
        self.said: list[bytes] = []
        """Messages of the daemon."""
        self.heard: list[bytes] = []
        """The same as the client has them."""
        self.pongs: list[bytes] = []
        self.pings: list[bytes] = []
        self.holds = 0
        self.end: tuple[str, int | None] | None = None
        """What ended the open state, and the code of the daemon's close frame, None without one."""
        self.closes: list[int] = []
        """Codes of the close frames that came to the client."""
        self.hasClosed: int | None = None
        """The code of the close frame that the client has sent."""
        self.isCut = False
        self.steps = 0

    def put(self, data: bytes) -> None:
        """Send, as far as the daemon's kernel takes it."""
        self.waiting += data
        self.serve()

    def serve(self) -> None:
        """Let the daemon do all that it can."""
        reactor, transport = self.daemon.reactor, self.transport
        for _ in range(10_000):
            moved = self.push()
            due = any(call.getTime() <= reactor.seconds() for call in reactor.getDelayedCalls())
            reactor.advance(0)
            if transport.disconnected:
                return
            reading = [transport] if transport in reactor.readers else []
            writing = [transport] if transport in reactor.writers else []
            readable, writable, _ = select.select(reading, writing, [], 0)
            for ready, do in ((readable, transport.read), (writable, transport.doWrite)):
                why = do() if ready and not transport.disconnected else None
                if why is not None:
                    reactor.removeReader(transport)
                    half = ready is readable and isinstance(why, ConnectionDone)
                    transport.readConnectionLost(Failure(why)) if half else transport.connectionLost(Failure(why))
            if not (moved or due or readable or writable):
                return
        raise AssertionError("the daemon does not come to rest")

    def push(self) -> bool:
        if not self.waiting or self.client.isOver:
            return False
        try:
            taken = self.client.end.send(self.waiting)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return False
        self.waiting = self.waiting[taken:]
        return True

    def tell(self, data: bytes, *meant: tuple[str, Any]) -> None:
        """The client sends this, unless it has closed."""
        self.inbox += meant
        self.put(self.client.write(data))
        self.look("client")

    def hear(self, size: int) -> bool:
        """The client takes up to so many bytes; returns whether there were any."""
        before = self.client.took, self.transport.disconnected
        self.stream += self.client.read(size)
        for opcode, payload in self.frames():
            if opcode in (TEXT, BINARY):
                self.heard.append(payload)
            elif opcode == CLOSE:
                self.closes.append(int.from_bytes(payload[:2]) if payload else 1005)
            elif opcode == PING:
                self.pings.append(payload)
            else:
                self.pongs.append(payload)
        self.serve()
        return before != (self.client.took, self.transport.disconnected)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        while len(self.stream) >= 2:
            size, start = self.stream[1], 2
            if size == 126:
                size, start = int.from_bytes(self.stream[2:4]), 4
            if len(self.stream) < start + size:
                return
            opcode, payload = self.stream[0] & 15, self.stream[start : start + size]
            self.stream = self.stream[start + size :]
            assert not self.closes, "a frame came after the close frame"
            yield opcode, payload

    # -- what must be true ----------------------------------------------------------------------------------------

    def look(self, doer: str) -> None:
        """See what the daemon has made of a step of `doer`."""
        self.steps += 1
        connection = self.connection
        got = connection.got
        assert got == self.sent[: len(got)]
        while self.read < len(got):
            kind, payload = self.inbox.pop(0)
            if kind == "message":
                assert got[self.read] == payload
                self.read += 1
        if self.end is None and not connection.held:
            while self.inbox and self.inbox[0][0] == "ping":
                del self.inbox[0]
            if self.inbox and self.inbox[0][0] == "end":
                self.end = self.inbox[0][1]
        if self.end is None and doer == "time" and not connection.isOpen:
            self.end = str(connection.cause), None
            assert connection.cause in (Cause.ping_timeout, Cause.stalled)
        if self.end is None:
            assert connection.isOpen
            assert connection.held == self.holds + connection.isFull
            if not connection.held:
                assert self.inbox == []
        else:
            assert not connection.isOpen

    @invariant()
    def hearsOnlyWhatWasSaid(self) -> None:
        if not hasattr(self, "connection"):
            return
        assert self.heard == self.said[: len(self.heard)]
        assert len(self.closes) <= 1
        if self.closes:
            assert self.end is not None
            assert self.closes == [self.end[1]]
            assert self.heard == self.said
        assert len(self.connection.ends) == (0 if self.connection in self.daemon.connections else 1)
        budget = self.daemon.budget
        contexts = budget.byUse[MemoryUse.contexts]
        assert budget.used == sum(budget.byUse) == self.connection.memoryInUse + contexts

    # -- the client -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.hasClosed is None and not self.isCut)
    @rule(payloads=st.lists(st.binary(max_size=200) | st.just(bytes(3000)), min_size=1, max_size=4), cut=st.integers(0))
    def send(self, payloads: list[bytes], cut: int) -> None:
        """Messages, the last of them in two frames with a ping between."""
        data, meant = b"", []
        for payload in payloads[:-1]:
            data += frame(BINARY, payload)
            meant.append(("message", payload))
        last = payloads[-1]
        at = cut % (len(last) + 1)
        data += frame(BINARY, last[:at], fin=False) + frame(PING, b"p") + frame(0, last[at:])
        self.sent += payloads
        self.tell(data, *meant, ("message", last))

    @precondition(lambda self: self.hasClosed is None and not self.isCut and self.steps > EARLIEST)
    @rule(code=st.sampled_from([1000, 1001, 3000, 4999]))
    def closeAsClient(self, code: int) -> None:
        self.hasClosed = code
        self.tell(frame(CLOSE, struct.pack("!H", code)), ("end", ("peer", code)))

    @precondition(lambda self: self.hasClosed is None and not self.isCut and self.steps > EARLIEST)
    @rule(
        fault=st.sampled_from(
            [
                (frame(TEXT, b"\xff"), 1007),
                (frame(3, b""), 1002),
                (b"\x82\x01x", 1002),
                (frame(BINARY, bytes(LIMIT + 1)), 1009),
            ]
        )
    )
    def breakTheProtocol(self, fault: tuple[bytes, int]) -> None:
        data, code = fault
        self.hasClosed = 0
        self.tell(data, ("end", ("fault", code)))

    @precondition(lambda self: not self.isCut)
    @rule(size=st.sampled_from([1, 1000, 20_000]))
    def takeSome(self, size: int) -> None:
        self.hear(size)
        self.look("client")

    @precondition(lambda self: not self.isCut)
    @rule()
    def takeAll(self) -> None:
        """The client takes what comes until nothing does, answers pings, and confirms a close."""
        while self.hear(1 << 16):
            pass
        self.look("client")
        if self.end is None or self.end[0] in ("daemon", "fault", "peer"):
            assert self.heard == self.said
            assert not self.connection.isFull
        if self.end is not None and self.end[1] is not None:
            assert self.closes == [self.end[1]]
        if self.pings and self.hasClosed is None and self.end is None:
            self.pings.clear()
            self.tell(frame(PONG, b""), ("ping", b""))
        if self.closes and self.hasClosed is None:
            self.hasClosed = self.closes[0]
            self.put(self.client.write(frame(CLOSE, struct.pack("!H", self.closes[0]))))
            self.look("client")
            while self.hear(1 << 16):
                pass

    @precondition(lambda self: not self.isCut and self.steps > EARLIEST)
    @rule()
    def cutOff(self) -> None:
        """The client's machine is gone."""
        self.isCut = self.client.isOver = True
        self.waiting = b""
        self.client.end.close()
        self.serve()
        if self.connection.held and self.connection in self.daemon.connections:
            # Nothing is read, so nothing tells; the next byte that is sent does, or its time.
            return
        self.wasCut()

    def wasCut(self) -> None:
        if self.end is None:
            ending = next((each[1] for each in self.inbox if each[0] == "end"), None)
            self.end = ending if ending is not None and self.connection.cause is not Cause.lost else ("lost", None)

    # -- the daemon -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.end is None and not self.isCut)
    @rule(sizes=st.lists(st.sampled_from([0, 5, 1000, 60_000]), min_size=1, max_size=4))
    def say(self, sizes: list[int]) -> None:
        for size in sizes:
            payload = bytes([len(self.said) % 256]) * size
            self.said.append(payload)
            self.connection.send(payload)
        self.serve()
        self.look("daemon")

    @precondition(lambda self: self.end is None and not self.isCut)
    @rule()
    def hold(self) -> None:
        self.connection.hold()
        self.holds += 1
        self.look("daemon")

    @precondition(lambda self: self.holds and not self.isCut)
    @rule()
    def release(self) -> None:
        self.connection.release()
        self.holds -= 1
        self.serve()
        self.look("daemon")

    @precondition(lambda self: self.end is None and not self.isCut and self.steps > EARLIEST)
    @rule(code=st.sampled_from([1000, 1001, 1011, 4000]))
    def close(self, code: int) -> None:
        self.connection.close(code, "as a test says")
        self.end = "daemon", code
        self.serve()

    @precondition(lambda self: self.end is None and not self.isCut and self.steps > EARLIEST)
    @rule()
    def drop(self) -> None:
        self.connection.drop()
        self.end = "aborted", None
        self.serve()
        assert self.connection not in self.daemon.connections

    # -- time -----------------------------------------------------------------------------------------------------

    def pass_(self, seconds: float, act: Callable[[], None] = lambda: None) -> None:
        for _ in range(int(seconds)):
            self.daemon.pass_(1)
            self.serve()
            act()

    @precondition(lambda self: not self.isCut)
    @rule(seconds=st.sampled_from([1, 4, 30]))
    def wait(self, seconds: int) -> None:
        """The client does nothing."""
        wasClosing = self.end is not None
        self.pass_(seconds)
        self.look("time")
        if wasClosing and seconds > POLICIES.closing_timeout + 2:
            assert self.connection not in self.daemon.connections

    @precondition(lambda self: not self.isCut and self.end is None and self.hasClosed is None)
    @rule()
    def waitAttentively(self) -> None:
        """A client that takes everything and answers pings stays for as long as it likes."""
        self.pass_(70, self.takeAll)
        assert self.connection.isOpen

    @precondition(lambda self: not self.isCut and self.end is None)
    @rule()
    def waitInVain(self) -> None:
        """A client that does nothing is found out, unless we do not listen ourselves."""
        isHeld = bool(self.holds)
        self.pass_(90)
        self.look("time")
        if not isHeld:
            assert self.end is not None

    @precondition(lambda self: self.isCut)
    @rule()
    def openAgain(self) -> None:
        self.teardown()
        self.open()

    def teardown(self) -> None:
        if not hasattr(self, "connection"):
            return
        if not self.isCut:
            self.cutOff()
        self.connection.drop(Cause.lost)
        self.serve()
        self.wasCut()
        self.hearsOnlyWhatWasSaid()
        self.checkEnd()
        self.transport.connectionLost(Failure(ConnectionDone()))

    def checkEnd(self) -> None:
        """Nothing is left of it."""
        daemon, counters = self.daemon, self.daemon.factories["/"].counters
        assert daemon.connections == []
        assert self.transport.disconnected
        assert (counters.opened, sum(counters.closed.values()), sum(counters.codes.values())) == (1, 1, 1)
        assert len(self.connection.ends) == 1
        assert (daemon.budget.used, daemon.budget.waiting, len(daemon.budget._accounts)) == (0, 0, 0)
        assert (daemon.admission.connections, daemon.admission._held) == (0, {})
        assert self.connection.due == -1
        assert daemon.timer._buckets == {}
        daemon.timer.stop()
        assert daemon.reactor.getDelayedCalls() == []
        traffic = counters.traffic
        assert (traffic.messagesIn, traffic.messagesOut) == (len(self.connection.got), len(self.said))


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("isTls", [False, True], ids=["plain", "tls"])
def test_a_connection_lives_as_its_model_says(plane: str, isTls: bool) -> None:
    machine = type("Machine", (ConnectionModel,), {"plane": plane, "isTls": isTls})
    run_state_machine_as_test(machine, settings=sequences(15, 50))
