"""A gateway in memory. The test is the client and the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection

from tests.protocols.xmpp.talk import OPEN
from wsd.logs import ConnectionLog
from wsd.protocols.xmpp.gateway.bridge import XmppGateway
from wsd.protocols.xmpp.gateway.upstream import Upstream
from wsd.protocols.xmpp.options import XmppOptions
from wsd.traces.tracer import Span

HEAD = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    b" from='localhost' id='1' version='1.0' xml:lang='en'>"
)
PLAIN = b"<mechanism>PLAIN</mechanism>"
FEATURES = (
    b"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
    b"<mechanism>SCRAM-SHA-1-PLUS</mechanism>%s</mechanisms></stream:features>" % PLAIN
)
ERROR = b"<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
END = b"</stream:stream>"
STARTTLS = (
    b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
)
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"

ID = "0123456789"
"""The id of the client's connection, as it is in the log."""


@dataclass
class Address:
    host: str
    port: int


class Transport(StringTransportWithDisconnection):
    """The connection to the server. TLS is only noted."""

    isSafe = False
    connected = True

    def startTLS(self, context: Any) -> None:
        self.isSafe = True

    def abortConnection(self) -> None:
        self.loseConnection()

    def said(self) -> str:
        """What the server was sent since the last call."""
        said: str = self.value().decode()
        self.clear()
        return said


class Harness:
    """The gateway, its WebSocket, and the endpoint of its server."""

    def __init__(
        self,
        source: tuple[str, int] = ("192.0.2.1", 7),
        beginSpan: Callable[[], Span | None] = lambda: None,
        **keys: Any,
    ) -> None:
        self.reactor = MemoryReactorClock()
        options = {"upstream": "tcp:127.0.0.1:5222", "upstream_tls": "none", **keys}
        upstream = Upstream(XmppOptions(**options), self.reactor)
        self.transport = Transport(peerAddress=Address("127.0.0.1", 5222))
        self.answer: Deferred[Any] = Deferred()
        self._factory: Any = None
        upstream.endpoint = self  # type: ignore[assignment]
        self.sent: list[str] = []
        self.held = 0
        self.isFinished = False
        self.log = ConnectionLog(ID)
        self.gateway = XmppGateway(upstream, self, 5, source, beginSpan)

    # As an endpoint.

    def connect(self, factory: Any) -> Deferred[Any]:
        self._factory = factory
        return self.answer

    def reached(self) -> Harness:
        """The server takes the connection."""
        self.protocol = self._factory.buildProtocol(None)
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)
        self.answer.callback(self.protocol)
        return self

    # As the WebSocket.

    def text(self, message: str) -> None:
        self.sent.append(message)

    def finish(self) -> None:
        self.isFinished = True

    def hold(self) -> None:
        self.held += 1

    def release(self) -> None:
        self.held -= 1

    # As the client, and as the server.

    def say(self, message: str) -> None:
        self.gateway.received(message.encode())

    def told(self, data: bytes, piece: int = 1 << 20) -> list[str]:
        """The server sends some bytes. Returns what the client is sent."""
        before = len(self.sent)
        for start in range(0, len(data), piece):
            self.protocol.dataReceived(data[start : start + piece])
        return self.sent[before:]


def opened(**keys: Any) -> Harness:
    """Both streams are open."""
    harness = Harness(**keys)
    harness.say(OPEN)
    harness.reached().told(HEAD + FEATURES)
    harness.transport.clear()
    return harness
