"""The bridge between a client and a server, in memory: every transition, both directions, and the flow control."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from twisted.internet import error
from twisted.logger import LogEvent, capturedLogs
from twisted.python.failure import Failure

from tests.protocols.xmpp.gateway.harness import END, ERROR, FEATURES, HEAD, ID, PLAIN, Harness, opened
from tests.protocols.xmpp.talk import CLOSE, OPEN, SASL
from wsd.protocols.xmpp.gateway.bridge import BridgeState

WAITING, CONNECTING, OPENED, CLIENT_CLOSED, CLOSING, OVER = BridgeState


@pytest.fixture
def lines() -> Iterator[Sequence[LogEvent]]:
    with capturedLogs() as heard:
        yield heard


def dialling() -> Harness:
    """The client has opened its stream, and the server has not accepted the connection."""
    harness = Harness()
    harness.say(OPEN)
    return harness


def negotiating() -> Harness:
    """The server has accepted the connection, and has sent nothing."""
    return dialling().reached()


def clientClosed() -> Harness:
    harness = opened()
    harness.say(CLOSE)
    return harness


def closing() -> Harness:
    harness = opened()
    harness.told(END)
    return harness


def over() -> Harness:
    harness = opened()
    harness.gateway.lost()
    return harness


def lose(harness: Harness) -> None:
    harness.transport.loseConnection()


def refuse(harness: Harness) -> None:
    harness.answer.errback(Failure(error.ConnectionRefusedError()))


def passTime(seconds: float) -> Callable[[Harness], None]:
    return lambda harness: harness.reactor.advance(seconds)


def says(message: str) -> Callable[[Harness], None]:
    return lambda harness: harness.say(message)


def tells(data: bytes) -> Callable[[Harness], object]:
    return lambda harness: harness.told(data)


FAILURE = ("open", "stream:error", "close")
STANZA = "<message xmlns='jabber:client'/>"

TRANSITIONS: dict[str, tuple[Callable[[], Harness], Callable[[Harness], object], BridgeState, tuple[str, ...]]] = {
    "an open connects": (Harness, says(OPEN), CONNECTING, ()),
    "a close at once": (Harness, says(CLOSE), OVER, ("close",)),
    "a stanza before the open": (Harness, says(STANZA), CLOSING, FAILURE),
    "no XML at once": (Harness, says("<"), CLOSING, FAILURE),
    "another element of the framing": (Harness, says(OPEN.replace("open", "shut")), CLOSING, FAILURE),
    "an open without a domain": (Harness, says(OPEN.replace("localhost", "")), CLOSING, FAILURE),
    "no open in time": (Harness, passTime(60), CLOSING, FAILURE),
    "the client goes at once": (Harness, lambda harness: harness.gateway.lost(), OVER, ()),
    "the connection is refused": (dialling, refuse, CLOSING, FAILURE),
    "the connection takes too long": (dialling, passTime(10), CLOSING, FAILURE),
    "the client goes while it is made": (dialling, lambda harness: harness.gateway.lost(), OVER, ()),
    "the connection is made": (dialling, lambda harness: harness.reached(), CONNECTING, ()),
    "the server begins": (negotiating, tells(HEAD), OPENED, ("open",)),
    "the server begins with an error": (negotiating, tells(HEAD + ERROR), OPENED, ("open", "stream:error")),
    "the server sends no XML": (negotiating, tells(b"</a>"), CLOSING, FAILURE),
    "the server says nothing": (negotiating, passTime(10), CLOSING, FAILURE),
    "the server goes": (negotiating, lose, CLOSING, FAILURE),
    "the client goes before the stream": (negotiating, lambda harness: harness.gateway.lost(), OVER, ()),
    "a stanza": (opened, says(STANZA), OPENED, ()),
    "another open": (opened, says(OPEN), OPENED, ()),
    "an open for another domain": (
        opened,
        says(OPEN.replace("localhost", "example.com")),
        CLOSING,
        ("stream:error", "close"),
    ),
    "no XML": (opened, says("<"), CLOSING, ("stream:error", "close")),
    "a close": (opened, says(CLOSE), CLIENT_CLOSED, ()),
    "time passes": (opened, passTime(1_000), OPENED, ()),
    "the client goes": (opened, lambda harness: harness.gateway.lost(), OVER, ()),
    "a stanza of the server": (opened, tells(b"<message/>"), OPENED, ("message",)),
    "an error of the server": (opened, tells(ERROR), OPENED, ("stream:error",)),
    "an error of the server and its end": (opened, tells(ERROR + END), CLOSING, ("stream:error", "close")),
    "the end of the server's stream": (opened, tells(END), CLOSING, ("close",)),
    "the server's connection is lost": (opened, lose, CLOSING, ("stream:error", "close")),
    "no XML of the server": (opened, tells(b"</a>"), CLOSING, ("stream:error", "close")),
    "a stanza after the close": (clientClosed, says(STANZA), CLIENT_CLOSED, ()),
    "an open after the close": (clientClosed, says(OPEN), CLIENT_CLOSED, ()),
    "a second close": (clientClosed, says(CLOSE), CLIENT_CLOSED, ()),
    "no XML after the close": (clientClosed, says("<"), OVER, ("stream:error", "close")),
    "a stanza of the server after the close": (clientClosed, tells(b"<message/>"), CLIENT_CLOSED, ("message",)),
    "the server answers the close": (clientClosed, tells(END), OVER, ("close",)),
    "the server goes after the close": (clientClosed, lose, OVER, ("close",)),
    "the server sends no XML after the close": (clientClosed, tells(b"</a>"), OVER, ("stream:error", "close")),
    "the server does not answer the close": (clientClosed, passTime(5), OVER, ("close",)),
    "the client goes after the close": (clientClosed, lambda harness: harness.gateway.lost(), OVER, ()),
    "the client answers the close": (closing, says(CLOSE), OVER, ()),
    "the client says something else": (closing, says(STANZA), CLOSING, ()),
    "the client sends no XML at the end": (closing, says("<"), CLOSING, ()),
    "the client opens again": (closing, says(OPEN), CLOSING, ()),
    "the client does not answer the close": (closing, passTime(5), OVER, ()),
    "the client goes at the end": (closing, lambda harness: harness.gateway.lost(), OVER, ()),
    "the server says something at the end": (closing, tells(b"<message/>"), CLOSING, ()),
    "a message after the end": (over, says(STANZA), OVER, ()),
    "the client goes twice": (over, lambda harness: harness.gateway.lost(), OVER, ()),
    "the server says something after the end": (over, tells(b"<message/>"), OVER, ()),
}


@pytest.mark.parametrize(("start", "happens", "state", "sent"), TRANSITIONS.values(), ids=TRANSITIONS)
class TestEachTransition:
    def test_sends_this_to_the_client_and_leads_there(
        self,
        start: Callable[[], Harness],
        happens: Callable[[Harness], object],
        state: BridgeState,
        sent: tuple[str, ...],
    ) -> None:
        harness = start()
        before = len(harness.sent)
        happens(harness)
        assert harness.gateway._state is state
        assert tuple(message[1:].split(" ")[0] for message in harness.sent[before:]) == sent

    def test_holds_the_client_only_until_the_server_is_there(
        self,
        start: Callable[[], Harness],
        happens: Callable[[Harness], object],
        state: BridgeState,
        sent: tuple[str, ...],
    ) -> None:
        harness = start()
        happens(harness)
        if state is not OVER:
            assert harness.held == (state is CONNECTING)

    def test_leaves_nothing_at_the_end(
        self,
        start: Callable[[], Harness],
        happens: Callable[[Harness], object],
        state: BridgeState,
        sent: tuple[str, ...],
    ) -> None:
        harness = start()
        happens(harness)
        if state is OVER:
            assert not harness.reactor.getDelayedCalls()
            assert not (hasattr(harness, "protocol") and harness.transport.connected)


class TestEachWay:
    def test_open_is_a_header_and_a_header_is_open(self) -> None:
        harness = Harness()
        harness.say(OPEN)
        head = harness.reached().transport.said()
        assert head.startswith(
            '<?xml version=\'1.0\'?><stream:stream xmlns="jabber:client" to="localhost" version="1.0"'
        )
        assert head.endswith('xmlns:stream="http://etherx.jabber.org/streams">')
        opening, features = harness.told(HEAD + FEATURES)
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

    def test_white_space_that_keeps_the_connection_alive_is_not_passed_on(self) -> None:
        assert opened().told(b" \n ") == []

    def test_the_second_open_begins_another_stream_on_the_same_connection(self) -> None:
        harness = opened()
        harness.say(f"<auth xmlns='{SASL}' mechanism='ANONYMOUS'/>")
        harness.told(b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
        harness.transport.clear()
        harness.say(OPEN)
        assert harness.transport.said().startswith("<?xml")
        assert [each[:5] for each in harness.told(HEAD + FEATURES)] == ["<open", "<stre"]

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
    def test_an_element_that_no_client_may_send_does_not_reach_the_server(self, said: str, condition: str) -> None:
        harness = opened()
        harness.say(said)
        assert condition in harness.sent[-2]
        assert harness.sent[-1].startswith("<close")
        assert harness.transport.said() == "</stream:stream>"

    def test_a_server_that_sends_no_xml_is_an_error_for_the_client(self) -> None:
        told = opened().told(b"<a></b>")
        assert "remote-connection-failed" in told[0]


class TestConnecting:
    def test_a_server_that_cannot_be_reached_is_an_error_for_the_client(self) -> None:
        harness = dialling()
        refuse(harness)
        assert "remote-connection-failed" in harness.sent[1]
        harness.say(CLOSE)
        assert harness.isFinished

    def test_and_a_line_of_the_log_with_the_id_of_the_client(self, lines: Sequence[LogEvent]) -> None:
        refuse(dialling())
        (line,) = [line for line in lines if line.get("event")]
        assert (line["event"], line["id"], line["upstream"]) == ("xmpp.upstream", ID, "tcp:127.0.0.1:5222")

    def test_a_server_that_does_not_answer_is_an_error_for_the_client(self) -> None:
        harness = negotiating()
        harness.reactor.advance(10)
        assert "the upstream server does not answer" in harness.sent[1]

    def test_a_client_that_sends_no_open_gets_an_error(self) -> None:
        harness = Harness()
        harness.reactor.advance(60)
        assert "connection-timeout" in harness.sent[1]
        harness.reactor.advance(5)
        assert harness.isFinished

    def test_a_connection_that_is_made_too_late_is_closed(self) -> None:
        harness = dialling()
        harness.gateway.lost()
        harness.reached()
        assert not harness.transport.connected
        assert not harness.reactor.getDelayedCalls()

    def test_an_error_of_the_gateway_itself_ends_the_websocket_and_is_logged(self, lines: Sequence[LogEvent]) -> None:
        harness = dialling()

        def fail(data: bytes) -> None:
            raise ZeroDivisionError

        harness.transport.write = fail  # type: ignore[method-assign]
        harness.reached()
        assert harness.isFinished
        assert not harness.transport.connected
        (line,) = [line for line in lines if line.get("event")]
        assert (line["event"], line["id"]) == ("connection.error", ID)


class TestTheEnd:
    def test_a_client_that_goes_without_a_close_keeps_its_session_at_the_server(self) -> None:
        harness = opened()
        harness.gateway.lost()
        assert harness.transport.said() == ""
        assert not harness.transport.connected

    def test_a_close_of_the_client_ends_the_stream_to_the_server(self) -> None:
        harness = clientClosed()
        assert harness.transport.said() == "</stream:stream>"
        assert not harness.isFinished
        harness.told(END)
        assert harness.transport.said() == ""
        assert harness.isFinished

    def test_a_server_that_does_not_answer_it_loses_the_connection(self) -> None:
        harness = clientClosed()
        harness.reactor.advance(5)
        assert harness.isFinished
        assert not harness.transport.connected

    def test_an_end_of_the_servers_stream_is_answered_and_closes_the_clients(self) -> None:
        harness = closing()
        assert harness.transport.said() == "</stream:stream>"
        assert not harness.transport.connected
        harness.say(CLOSE)
        assert harness.isFinished

    def test_a_server_that_is_gone_is_an_error_for_the_client(self) -> None:
        harness = opened()
        lose(harness)
        assert "remote-connection-failed" in harness.sent[-2]


class TestFlowControl:
    def test_a_client_is_held_until_the_server_is_there(self) -> None:
        harness = dialling()
        assert harness.held == 1
        harness.gateway.resumeProducing()
        assert harness.held == 1
        harness.reached().told(HEAD)
        assert harness.held == 0

    def test_a_server_that_reads_too_slowly_holds_the_client(self) -> None:
        harness = opened()
        assert harness.transport.producer is harness.gateway
        for _ in range(2):
            harness.gateway.pauseProducing()
            assert harness.held == 1
        for _ in range(2):
            harness.gateway.resumeProducing()
            assert harness.held == 0

    def test_a_client_that_is_held_is_released_when_the_stream_ends(self) -> None:
        harness = opened()
        harness.gateway.pauseProducing()
        harness.told(END)
        assert harness.held == 0

    def test_a_client_that_reads_too_slowly_holds_the_server(self) -> None:
        harness = opened()
        harness.gateway.full()
        assert harness.transport.producerState == "paused"
        harness.gateway.drained()
        assert harness.transport.producerState == "producing"

    def test_also_when_it_did_so_before_the_server_was_there(self) -> None:
        harness = dialling()
        harness.gateway.full()
        assert harness.reached().transport.producerState == "paused"

    def test_and_not_when_it_reads_again_by_then(self) -> None:
        harness = dialling()
        harness.gateway.full()
        harness.gateway.drained()
        assert harness.reached().transport.producerState == "producing"
