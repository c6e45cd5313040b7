"""The gateway in memory: what goes each way, in any pieces, and who is held when somebody does not read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection
from twisted.python.failure import Failure

from tests.protocols.xmpp.talk import CLOSE, OPEN, REMOTE, SASL
from wsd.protocols.xmpp.gateway.bridge import Upstream, XmppGateway
from wsd.protocols.xmpp.options import XmppOptions

HEAD = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    b" from='localhost' id='1' version='1.0' xml:lang='en'>"
)
PLAIN = b"<mechanism>PLAIN</mechanism>"
FEATURES = (
    b"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
    b"<mechanism>SCRAM-SHA-1-PLUS</mechanism>%s</mechanisms></stream:features>" % PLAIN
)
STARTTLS = (
    b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
)
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"


@dataclass
class Address:
    host: str
    port: int


class Transport(StringTransportWithDisconnection):
    """The connection to the server behind, of which TLS is only noted."""

    isSafe = False
    connected = True

    def startTLS(self, context: Any) -> None:
        self.isSafe = True

    def abortConnection(self) -> None:
        self.loseConnection()

    def said(self) -> str:
        """What it was sent since the last time."""
        said: str = self.value().decode()
        self.clear()
        return said


class Behind:
    """A gateway between a client that a test speaks for, and a server that it speaks for too."""

    def __init__(self, source: tuple[str, int] = ("192.0.2.1", 7), **keys: Any) -> None:
        self.reactor = MemoryReactorClock()
        given = {"upstream": "tcp:127.0.0.1:5222", "upstream_tls": "none", **keys}
        upstream = Upstream(XmppOptions(**given), self.reactor)
        self.transport = Transport(peerAddress=Address("127.0.0.1", 5222))
        self.answer: Deferred[Any] = Deferred()
        self._factory: Any = None
        upstream.endpoint = self  # type: ignore[assignment]
        self.sent: list[str] = []
        self.held = 0
        self.isFinished = False
        self.gateway = XmppGateway(upstream, self, REMOTE, source)

    # As an endpoint.

    def connect(self, factory: Any) -> Deferred[Any]:
        self._factory = factory
        return self.answer

    def reached(self) -> Behind:
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

    # As the two.

    def say(self, message: str) -> None:
        self.gateway.received(message.encode())

    def told(self, data: bytes, piece: int = 1 << 20) -> list[str]:
        """The server says it: what the client is sent."""
        before = len(self.sent)
        for start in range(0, len(data), piece):
            self.protocol.dataReceived(data[start : start + piece])
        return self.sent[before:]


def opened(**keys: Any) -> Behind:
    """Both streams are open."""
    behind = Behind(**keys)
    behind.say(OPEN)
    behind.reached().told(HEAD + FEATURES)
    behind.transport.clear()
    return behind


class TestEachWay:
    def test_open_is_a_header_and_a_header_is_open(self) -> None:
        behind = Behind()
        behind.say(OPEN)
        head = behind.reached().transport.said()
        assert head.startswith(
            '<?xml version=\'1.0\'?><stream:stream xmlns="jabber:client" to="localhost" version="1.0"'
        )
        assert head.endswith('xmlns:stream="http://etherx.jabber.org/streams">')
        opening, features = behind.told(HEAD + FEATURES)
        assert opening == (
            '<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" from="localhost" id="1" version="1.0" xml:lang="en"/>'
        )
        assert features.startswith('<stream:features xmlns:stream="http://etherx.jabber.org/streams">')
        assert PLAIN.decode() in features
        assert "PLUS" not in features
        assert "EXTERNAL" not in features

    @pytest.mark.parametrize("piece", [1, 7, 1000])
    def test_each_element_is_a_message_with_its_namespaces_in_whatever_pieces_it_comes(self, piece: int) -> None:
        said = "<message><body>é😀</body><x:y xmlns:x='z'/></message> \n <stream:error><a xmlns='b'/></stream:error>"
        assert opened().told(said.encode(), piece) == [
            '<message xmlns="jabber:client"><body>é😀</body><y xmlns="z"/></message>',
            '<stream:error xmlns:stream="http://etherx.jabber.org/streams"><a xmlns="b"/></stream:error>',
        ]

    def test_white_space_that_keeps_the_connection_alive_stays_there(self) -> None:
        assert opened().told(b" \n ") == []

    def test_the_second_open_begins_another_stream_on_the_same_connection(self) -> None:
        behind = opened()
        behind.say(f"<auth xmlns='{SASL}' mechanism='ANONYMOUS'/>")
        behind.told(b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
        behind.transport.clear()
        behind.say(OPEN)
        assert behind.transport.said().startswith("<?xml")
        assert [each[:5] for each in behind.told(HEAD + FEATURES)] == ["<open", "<stre"]

    @pytest.mark.parametrize(
        ("said", "condition"),
        [
            ("<iq/>", "invalid-namespace"),
            ("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "unsupported-stanza-type"),
            ("<compress xmlns='http://jabber.org/protocol/compress'/>", "unsupported-stanza-type"),
            ("<a xmlns='b'><!-- --></a>", "restricted-xml"),
            ("<a xmlns='b'/><a xmlns='b'/>", "not-well-formed"),
            ("<a xmlns='b'>" + "x" * 300_000 + "</a>", "policy-violation"),
        ],
    )
    def test_what_no_client_may_say_does_not_reach_the_server(self, said: str, condition: str) -> None:
        behind = opened()
        behind.say(said)
        assert condition in behind.sent[-2]
        assert behind.sent[-1].startswith("<close")
        assert behind.transport.said() == "</stream:stream>"

    def test_what_the_server_says_that_is_no_xml_ends_the_stream(self) -> None:
        told = opened().told(b"<a></b>")
        assert "remote-connection-failed" in told[0]


class TestTls:
    def test_it_is_begun_and_the_client_does_not_hear_of_it(self) -> None:
        behind = Behind(upstream_tls="required")
        behind.say(OPEN)
        behind.reached().transport.clear()
        assert behind.told(HEAD + STARTTLS) == []
        assert behind.transport.said() == '<starttls xmlns="urn:ietf:params:xml:ns:xmpp-tls"/>'
        assert behind.told(PROCEED) == []
        assert behind.transport.isSafe
        assert behind.transport.said().startswith("<?xml")
        assert len(behind.told(HEAD + FEATURES)) == 2

    def test_what_is_said_in_one_piece_with_proceed_was_not_safe_and_is_not_heard(self) -> None:
        behind = Behind(upstream_tls="required")
        behind.say(OPEN)
        behind.reached().told(HEAD + STARTTLS)
        assert behind.told(PROCEED + b"<message><body>forged</body></message>" + FEATURES) == []
        assert len(behind.told(HEAD + FEATURES)) == 2

    @pytest.mark.parametrize("said", [FEATURES, b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"])
    def test_a_server_without_it_is_refused(self, said: bytes) -> None:
        behind = Behind(upstream_tls="required")
        behind.say(OPEN)
        told = behind.reached().told(HEAD + said)
        assert "remote-connection-failed" in told[1]
        assert not any("PLAIN" in each for each in told)

    def test_unless_it_is_optional(self) -> None:
        behind = Behind(upstream_tls="optional")
        behind.say(OPEN)
        assert len(behind.reached().told(HEAD + FEATURES)) == 2


class TestTheWayThere:
    @pytest.mark.parametrize(
        ("source", "line"),
        [
            (("192.0.2.1", 7), "PROXY TCP4 192.0.2.1 127.0.0.1 7 5222\r\n"),
            (("2001:db8::1", 7), "PROXY TCP6 2001:db8::1 :: 7 5222\r\n"),
            (("unix", 0), "PROXY UNKNOWN\r\n"),
        ],
    )
    def test_a_proxy_header_comes_first(self, source: tuple[str, int], line: str) -> None:
        behind = Behind(source, upstream_proxy=True)
        behind.say(OPEN)
        assert behind.reached().transport.said().startswith(f"{line}<?xml")

    def test_who_cannot_be_reached_is_told_of(self) -> None:
        behind = Behind()
        behind.say(OPEN)
        behind.answer.errback(Failure(ConnectionRefusedError()))
        assert [each[:5] for each in behind.sent] == ["<open", "<stre", "<clos"]
        behind.say(CLOSE)
        assert behind.isFinished

    def test_so_is_who_does_not_answer(self) -> None:
        behind = Behind()
        behind.say(OPEN)
        behind.reached().reactor.advance(10)
        assert "remote-connection-failed" in behind.sent[1]

    def test_a_client_that_says_nothing_is_not_waited_for(self) -> None:
        behind = Behind()
        behind.reactor.advance(60)
        assert "connection-timeout" in behind.sent[1]
        behind.reactor.advance(5)
        assert behind.isFinished


class TestTheEnds:
    def test_without_a_close_the_servers_stream_is_not_closed_so_that_it_keeps_the_session(self) -> None:
        behind = opened()
        behind.gateway.lost()
        assert behind.transport.said() == ""
        assert not behind.transport.connected

    def test_a_close_closes_it(self) -> None:
        behind = opened()
        behind.say(CLOSE)
        assert behind.transport.said() == "</stream:stream>"
        assert not behind.isFinished
        behind.told(b"</stream:stream>")
        assert behind.sent[-1].startswith("<close")
        assert behind.isFinished

    def test_a_server_that_does_not_close_in_turn_is_not_waited_for(self) -> None:
        behind = opened()
        behind.say(CLOSE)
        behind.reactor.advance(5)
        assert behind.isFinished
        assert not behind.transport.connected

    def test_the_server_closes_first(self) -> None:
        behind = opened()
        assert behind.told(b"</stream:stream>")[0].startswith("<close")
        assert behind.transport.said() == "</stream:stream>"
        behind.say(CLOSE)
        assert behind.isFinished

    def test_a_server_that_is_gone_is_told_of(self) -> None:
        behind = opened()
        behind.transport.loseConnection()
        assert "remote-connection-failed" in behind.sent[-2]

    def test_nothing_is_left_when_the_client_goes_before_the_server_is_reached(self) -> None:
        behind = Behind()
        behind.say(OPEN)
        behind.gateway.lost()
        behind.reached()
        assert not behind.transport.connected
        assert not behind.reactor.getDelayedCalls()


class TestWhoDoesNotRead:
    def test_nothing_more_is_read_of_the_client_before_the_server_is_there(self) -> None:
        behind = Behind()
        behind.say(OPEN)
        assert behind.held == 1
        behind.reached().told(HEAD)
        assert behind.held == 0

    def test_a_server_that_does_not_read_holds_the_client(self) -> None:
        behind = opened()
        assert behind.transport.producer is behind.gateway
        behind.gateway.pauseProducing()
        assert behind.held == 1
        behind.gateway.resumeProducing()
        assert behind.held == 0

    def test_a_client_that_does_not_read_holds_the_server(self) -> None:
        behind = opened()
        behind.gateway.full()
        assert behind.transport.producerState == "paused"
        behind.gateway.drained()
        assert behind.transport.producerState == "producing"

    def test_also_when_it_was_so_before_the_server_was_there(self) -> None:
        behind = Behind()
        behind.say(OPEN)
        behind.gateway.full()
        assert behind.reached().transport.producerState == "paused"
