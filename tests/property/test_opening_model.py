"""
The opening of connections against a model: plain ones and those over TLS, several at a time, byte by byte.

A client that has sent its whole head in time is connected. One that stops at any byte, of the TLS handshake or of the
head, is refused at its time-out, and one that goes away leaves nothing behind.
"""

from __future__ import annotations

import ssl
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests.fuzz.memory import MemoryTransport
from tests.property.sequences import sequences
from tests.property.test_connection_model import HEAD, NotedFactory, authority
from tests.wire import Daemon
from wsd.config import Policies
from wsd.listen.secure import SecureTransport
from wsd.metrics import TlsHandshakes
from wsd.policies.timer import GRAIN
from wsd.web.door import Doors

LIMIT = 10.0
LINGER = 3.0
"""Seconds after which a refused client is gone at the latest."""
POLICIES = Policies(opening_timeout=LIMIT, ping_interval=0, stall_timeout=0)
PLACES = ("127.0.0.1", 9998), ("127.0.0.1", 50000)


class Opener:
    """A client that opens a connection, at its own pace."""

    def __init__(self, daemon: Daemon, isTls: bool) -> None:
        self.daemon = daemon
        self.began = daemon.reactor.seconds()
        self.isIn = self.isLost = False
        self.heard = b""
        self.transport: Any = MemoryTransport(*(IPv4Address("TCP", *place) for place in PLACES))
        door: Any = Doors(daemon.site).buildProtocol(None)
        self.protocol: Any = door
        self._tls: ssl.SSLObject | None = None
        self.unsent = HEAD
        if isTls:
            self.protocol = SecureTransport(lambda hello: authority()[0], door, TlsHandshakes())
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = authority()[1].wrap_bio(self._incoming, self._outgoing, server_hostname="a.test")
            self.unsent = b""
            self._shake()
        self.protocol.makeConnection(self.transport)

    @property
    def waited(self) -> float:
        """Seconds since it came."""
        return self.daemon.reactor.seconds() - self.began

    def _shake(self) -> None:
        """Go on with the handshake; after it, the head is what is left to say."""
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self.unsent += self._outgoing.read()
            return
        self._tls.write(HEAD)
        self.unsent += self._outgoing.read()
        self._incoming, self._tls = ssl.MemoryBIO(), None

    def say(self, size: int) -> None:
        """Send the next bytes, as many as there are."""
        if self.isLost:
            return
        before = len(self.daemon.connections)
        data, self.unsent = self.unsent[:size], self.unsent[size:]
        self.protocol.dataReceived(data)
        self.settle()
        if self._tls is not None and self.heard:
            self._incoming.write(self.heard)
            self.heard = b""
            self._shake()
        if not self.unsent and self._tls is None and not self.isIn:
            self.isIn = len(self.daemon.connections) > before
            assert self.isIn or self.waited >= LIMIT - 2 * GRAIN

    def settle(self) -> None:
        """Let the daemon do what is due, and let the connection end if it has ended it."""
        self.daemon.reactor.advance(0)
        self.heard += self.transport.value()
        self.transport.clear()
        if self.transport.disconnecting or self.transport.aborted:
            self.cut()

    def cut(self) -> None:
        """The connection is lost."""
        if not self.isLost:
            self.isLost = True
            self.protocol.connectionLost(Failure(ConnectionDone()))


class OpeningModel(RuleBasedStateMachine):
    """Some clients of one daemon."""

    @initialize()
    def start(self) -> None:
        self.daemon = Daemon({"/": NotedFactory}, POLICIES)
        self.openers: list[Opener] = []

    @precondition(lambda self: len(self.openers) < 5)
    @rule(isTls=st.booleans())
    def come(self, isTls: bool) -> None:
        self.openers.append(Opener(self.daemon, isTls))

    @precondition(lambda self: self.openers)
    @rule(number=st.integers(0, 4), size=st.sampled_from([1, 5, 40, 200, 10_000]))
    def say(self, number: int, size: int) -> None:
        self.openers[number % len(self.openers)].say(size)

    @precondition(lambda self: self.openers)
    @rule(number=st.integers(0, 4))
    def open(self, number: int) -> None:
        """One says all that it has to say, and stays."""
        opener = self.openers[number % len(self.openers)]
        while opener.unsent and not opener.isLost:
            opener.say(10_000)

    @precondition(lambda self: self.openers)
    @rule(number=st.integers(0, 4))
    def cut(self, number: int) -> None:
        self.openers.pop(number % len(self.openers)).cut()

    @rule(seconds=st.sampled_from([1, 4, 6, 11]))
    def wait(self, seconds: int) -> None:
        for _ in range(int(seconds / GRAIN)):
            self.daemon.reactor.advance(GRAIN)
            for opener in self.openers:
                opener.settle()

    @invariant()
    def isInWhoWasInTime(self) -> None:
        if not hasattr(self, "openers"):
            return
        for opener in self.openers:
            if opener.isIn:
                assert not opener.isLost
            elif opener.waited < LIMIT - 2 * GRAIN:
                assert not opener.isLost
                assert opener.unsent
            elif opener.waited > LIMIT + LINGER:
                assert opener.isLost
        assert len(self.daemon.connections) == sum(opener.isIn for opener in self.openers)

    def teardown(self) -> None:
        if not hasattr(self, "openers"):
            return
        for opener in self.openers:
            opener.cut()
        assert self.daemon.connections == []
        assert not self.daemon.site.doors
        assert (self.daemon.admission.connections, self.daemon.admission._held) == (0, {})
        assert self.daemon.budget.used == 0


TestOpening = OpeningModel.TestCase
TestOpening.settings = sequences(40, 40)
