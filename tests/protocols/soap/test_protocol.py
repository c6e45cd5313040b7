"""SOAP over WebSocket ([MS-SWSB]): the opening handshake, opcodes, the order of answers, and pushed messages."""

from __future__ import annotations

import struct

import pytest
from lxml import etree
from twisted.logger import capturedLogs

from tests.protocols.soap.talk import (
    DEMO,
    S11,
    S12,
    Talker,
    TimedSoap,
    add,
    addressed,
    daemonOf,
    envelope,
    fault,
    text,
)
from tests.wire import Client, Daemon
from wsd.config import parse
from wsd.protocols import load, optionsOf


@pytest.fixture
def daemon() -> Daemon:
    return daemonOf()


def refusal(daemon: Daemon, subprotocols: list[str] | None = None, **headers: str) -> tuple[int, str]:
    client = daemon.open("/soap", subprotocols=subprotocols, headers=headers)
    assert client.response is not None
    return client.response.status_code, (client.response.body or b"").decode()


class TestTheOpening:
    def test_soap_is_chosen(self, daemon: Daemon) -> None:
        assert Talker(daemon).client.protocol.subprotocol == "soap"

    @pytest.mark.parametrize("offered", [None, ["xmpp"]])
    def test_who_does_not_offer_soap_gets_426(self, daemon: Daemon, offered: list[str] | None) -> None:
        client = daemon.open("/soap", subprotocols=offered)
        assert client.response is not None
        assert client.response.status_code == 426
        assert client.response.headers["Upgrade"] == "websocket"
        assert client.response.body == b"this route needs the subprotocol soap; offer it in Sec-WebSocket-Protocol\n"

    @pytest.mark.parametrize(
        "kind", ["application/soap+xml", 'application/soap+xml; charset="utf-8"', "Application/SOAP+XML;action=x"]
    )
    def test_soap_content_type_says_1_2(self, daemon: Daemon, kind: str) -> None:
        assert Talker(daemon, contentType=kind).ask(envelope(add(1, 2))).tag == f"{{{S12}}}Envelope"

    def test_or_1_1(self, daemon: Daemon) -> None:
        answer = Talker(daemon, contentType="text/xml; charset=utf-8").ask(envelope(add(1, 2), namespace=S11))
        assert (answer.tag, text(answer, "//d:sum")) == (f"{{{S11}}}Envelope", "3")

    def test_without_one_it_is_1_2(self, daemon: Daemon) -> None:
        assert fault(Talker(daemon).ask(envelope(add(1, 2), namespace=S11)))[0] == "s:VersionMismatch"

    @pytest.mark.parametrize(
        ("kind", "told"),
        [
            ("application/json", "write application/soap+xml (1.2), text/xml (1.1)"),
            ("application/soap+xml; charset=utf-7", "write utf-8"),
        ],
    )
    def test_what_is_not_spoken_is_refused_by_name(self, daemon: Daemon, kind: str, told: str) -> None:
        status, sentence = refusal(daemon, ["soap"], **{"soap-content-type": kind})
        assert status == 415
        assert told in sentence

    def test_it_is_there_without_a_file(self) -> None:
        routes = parse("", optionsOf).routes
        assert routes["/soap"].single == "soap"
        assert routes["/ws"].protocol["soap"] == "soap"
        assert issubclass(TimedSoap, load("soap"))


class TestMessages:
    def test_text_is_answered_as_text_and_binary_as_binary(self, daemon: Daemon) -> None:
        client = Talker(daemon).client
        (first,) = client.messages(client.say(envelope(add(1, 2))))
        (second,) = client.messages(client.say(envelope(add(1, 2)).encode()))
        assert isinstance(first, str)
        assert isinstance(second, bytes)
        assert first.encode() == second

    def test_an_envelope_in_many_fragments_is_one(self, daemon: Daemon) -> None:
        talker = Talker(daemon)
        said = envelope(f'<Echo xmlns="{DEMO}"><text>{"é" * 5000}</text></Echo>').encode()
        protocol = talker.client.protocol
        protocol.send_text(said[:1], fin=False)
        for start in range(1, len(said), 7):
            protocol.send_continuation(said[start : start + 7], fin=start + 7 >= len(said))
        (answer,) = talker.heard()
        assert text(answer, "//d:text") == "é" * 5000

    def test_a_large_answer_goes_out_in_fragments(self, daemon: Daemon) -> None:
        client = Talker(daemon).client
        frames = client.say(envelope(f'<Echo xmlns="{DEMO}"><text>{"x" * 200_000}</text></Echo>'))
        assert len(frames) == 4
        assert [frame.fin for frame in frames] == [False, False, False, True]

    def test_a_call_is_answered_under_its_name_and_action(self, daemon: Daemon) -> None:
        answer = Talker(daemon).ask(addressed(add(1, 2), "urn:x:1"))
        assert text(answer, "//a:RelatesTo") == "urn:x:1"
        assert text(answer, "//a:Action") == f"{DEMO}:Demonstration:AddResponse"

    def test_without_addressing_there_is_no_header(self, daemon: Daemon) -> None:
        assert Talker(daemon).ask(envelope(add(1, 2)))[0].tag == f"{{{S12}}}Body"

    def test_one_way_gets_no_answer(self, daemon: Daemon) -> None:
        talker = Talker(daemon)
        assert talker.say(envelope(f'<Note xmlns="{DEMO}"><text>x</text></Note>')) == []
        assert daemon.factories["/soap"].node.service.contract.operations["Note"].output is None
        assert text(talker.ask(envelope(add(1, 2))), "//d:sum") == "3"

    def test_a_reply_to_none_gets_none(self, daemon: Daemon) -> None:
        more = "<a:ReplyTo><a:Address>http://www.w3.org/2005/08/addressing/none</a:Address></a:ReplyTo>"
        talker = Talker(daemon)
        assert talker.say(addressed(add(1, 2), "urn:x:1", more=more)) == []
        assert talker.say(addressed(add("x", 2), "urn:x:1", more=more)) == []

    def test_a_fault_is_never_answered(self, daemon: Daemon) -> None:
        talker = Talker(daemon)
        assert talker.say(envelope("<s:Fault/>")) == []


class TestOneWay:
    """A message with an Action and no MessageID gets no fault (WS-Addressing Core, 3.1)."""

    def test_unless_its_operation_has_an_answer(self, daemon: Daemon) -> None:
        talker = Talker(daemon)
        header = f"<a:Action>{DEMO}:Demonstration:AddRequest</a:Action>"
        assert fault(talker.ask(envelope(add("x", 2), header)))[0] == "s:Sender"
        assert text(talker.ask(envelope(add(1, 2), header)), "//d:sum") == "3"

    @pytest.mark.parametrize(
        ("body", "header"),
        [
            ('<x xmlns="urn:x"/>', "<a:Action>urn:another</a:Action>"),
            (add(1, 2), "<a:Action>urn:another</a:Action>"),
            (add(1, 2), '<a:Action>urn:another</a:Action><h xmlns="urn:h" s:mustUnderstand="1"/>'),
            (f'<Note xmlns="{DEMO}"/>', f"<a:Action>{DEMO}:Demonstration:Note</a:Action>"),
            ("", "<a:Action>urn:another</a:Action>"),
        ],
    )
    def test_its_fault_is_a_line_in_the_log(self, daemon: Daemon, body: str, header: str) -> None:
        talker = Talker(daemon)
        with capturedLogs() as events:
            assert talker.say(envelope(body, header)) == []
        (event,) = [event for event in events if event.get("event") == "soap.unanswered"]
        assert event["route"] == "/soap"
        assert event["sentence"]
        assert text(talker.ask(envelope(add(1, 2))), "//d:sum") == "3"

    def test_without_addressing_a_fault_comes_as_ever(self, daemon: Daemon) -> None:
        assert fault(Talker(daemon).ask(envelope('<x xmlns="urn:x"/>')))[0] == "s:Sender"


class TestHalfAnEnvelope:
    ENVELOPE = f'<s:Envelope xmlns:s="{S12}"><s:Body>'.encode() + b"<a/>" * 90_000

    def half(self, daemon: Daemon) -> Client:
        client = daemon.open("/soap", subprotocols=["soap"])
        client.wire.send(struct.pack("!BBQ", 0x81, 0xFF, 1_000_000) + bytes(4) + self.ENVELOPE)
        return client

    def test_counts_as_what_it_has_become(self, daemon: Daemon) -> None:
        client = self.half(daemon)
        assert daemon.budget.used > 10_000_000
        client.wire.close()
        assert daemon.budget.used == 0

    def test_is_forgotten_when_all_hold_too_much(self, daemon: Daemon) -> None:
        self.half(daemon)
        (connection,) = daemon.connections
        connection.relieve(1)
        assert connection._reader.weight == 0


class TestPush:
    WATCH = f'<Watch xmlns="{DEMO}"><symbol>WSD</symbol><quotes>2</quotes></Watch>'

    def test_quotes_are_pushed_under_names_of_their_own(self, daemon: Daemon) -> None:
        talker = Talker(daemon)
        watch = text(talker.ask(addressed(self.WATCH, "urn:x:1")), "//d:watch")
        daemon.pass_(5)
        quotes = talker.heard()
        assert [text(quote, "//d:Quote/d:watch") for quote in quotes] == [watch, watch]
        assert len({text(quote, "//a:MessageID") for quote in quotes}) == 2
        assert {text(quote, "//a:Action") for quote in quotes} == {f"{DEMO}:Demonstration:Quote"}
        assert {text(quote, "//a:RelatesTo") for quote in quotes} == {""}

    def test_watches_that_have_ended_are_forgotten(self, daemon: Daemon) -> None:
        talker = Talker(daemon)
        (connection,) = daemon.connections
        for _ in range(3):
            talker.ask(envelope(self.WATCH))
        assert len(connection._closeCalls) == 3
        daemon.pass_(5)
        assert len(connection._closeCalls) == 0

    def test_one_more_than_there_may_be_is_the_receivers_fault(self, daemon: Daemon) -> None:
        talker = Talker(daemon)
        for _ in range(100):
            talker.ask(envelope(self.WATCH))
        assert fault(talker.ask(envelope(self.WATCH))) == (
            "s:Receiver", "100 watches are open; try again when one has ended",
        )  # fmt: skip
        daemon.pass_(5)
        talker.heard()
        assert text(talker.ask(envelope(self.WATCH)), "//d:watch")

    def test_nobody_is_pushed_to_who_is_gone(self, daemon: Daemon) -> None:
        talker = Talker(daemon)
        talker.ask(envelope(self.WATCH))
        talker.client.close()
        talker.client.wire.close()
        assert daemon.connections == []
        assert [call for call in daemon.reactor.getDelayedCalls() if "_Ticker" in repr(call)] == []


class TestAtWs:
    def test_it_answers_who_chooses_soap(self) -> None:
        daemon = Daemon({"/ws": TimedSoap})
        assert text(Talker(daemon, "/ws").ask(envelope(add(2, 3))), "//d:sum") == "5"

    def test_the_answer_is_well_formed_alone(self, daemon: Daemon) -> None:
        client = Talker(daemon).client
        (answer,) = client.messages(client.say(envelope(f'<Echo xmlns="{DEMO}"><text>&lt;&amp;"\'&gt;</text></Echo>')))
        assert isinstance(answer, str)
        assert text(etree.fromstring(answer), "//d:text") == "<&\"'>"
