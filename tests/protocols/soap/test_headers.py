"""Headers that are known: a message means the same, whether its header was read before or not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lxml import etree

from tests.protocols.soap.talk import DEMO, S11, S12, WSA, Talker, add, addressed, daemonOf, envelope, fault, text
from wsd.protocols.soap import headers
from wsd.protocols.soap.envelope import readEnvelope
from wsd.protocols.soap.names import SOAP12
from wsd.protocols.soap.reader import EnvelopeReader

ACTION = f"<a:Action>{DEMO}:Demonstration:AddRequest</a:Action>"
ID = "<a:MessageID>urn:n:1</a:MessageID>"


@pytest.fixture(autouse=True)
def nothingIsKnown() -> Iterator[None]:
    headers._known.clear()
    yield
    headers._known.clear()


def of(header: str, body: str = "") -> str:
    return envelope(body or add(1, 2), header)


def isKnown(message: str) -> bool:
    return EnvelopeReader().parse(message.encode()).repeated is not None


class TestAHeader:
    def test_is_known_by_its_second_message(self) -> None:
        talker = Talker(daemonOf())
        assert not isKnown(addressed(add(1, 2), "urn:n:1"))
        for number in (1, 2, 3):
            answer = talker.ask(addressed(add(number, 2), f"urn:n:{number}"))
            assert text(answer, "//d:sum") == str(number + 2)
            assert text(answer, "//a:RelatesTo") == f"urn:n:{number}"
            assert isKnown(addressed(add(1, 2), "urn:n:1"))

    def test_that_is_known_is_not_parsed_again(self) -> None:
        Talker(daemonOf()).ask(addressed(add(1, 2), "urn:n:1"))
        document = EnvelopeReader().parse(addressed(add(1, 2), "urn:n:2").encode())
        assert [each.tag for each in document.rootWithoutHeader] == [f"{{{S12}}}Body"]
        assert [each.tag for each in document.root] == [f"{{{S12}}}Header", f"{{{S12}}}Body"]

    @pytest.mark.parametrize(
        "message",
        [
            of(ACTION),
            of(f"{ACTION}{ID}<x:Secret xmlns:x='urn:x'>password</x:Secret>"),
            of(f"{ACTION}<!-- MessageID>1<x -->{ID}"),
            of(f"{ACTION}<!-- x -->{ID}"),
            of(f"{ACTION}<a:MessageID><![CDATA[urn:n:1]]></a:MessageID>"),
            of(f"{ACTION}<a:To>MessageID></a:To>{ID}"),
            of(f"{ACTION}<a:MessageID>urn:n:&#49;</a:MessageID>"),
            of(f"{ACTION}{ID}<a:To>Header></a:To>"),
            of(f"{ACTION}{ID}<a:To>{'x' * 2048}</a:To>"),
            of(f"{ACTION}{ID}").replace("</s:Header>", "</s:Header >"),
        ],
    )
    def test_is_read_again_if_more_may_differ(self, message: str) -> None:
        assert text(Talker(daemonOf()).ask(message), "//d:sum") == "3"
        assert not headers._known

    def test_is_not_kept_after_a_fault(self) -> None:
        talker = Talker(daemonOf())
        talker.ask(of(f"<a:Action>urn:unknown</a:Action>{ID}"))
        talker.ask(of(f"{ACTION}{ID}", "<nothing/>"))
        assert not headers._known

    def test_few_are_kept(self) -> None:
        talker = Talker(daemonOf())
        for number in range(200):
            talker.ask(addressed(add(1, 2), "urn:n:1", more=f"<a:To>urn:to:{number}</a:To>"))
        assert len(headers._known) <= 64


KNOWN = of(f"{ACTION}{ID}")


class TestAMessageWithAKnownHeader:
    @pytest.mark.parametrize(
        "message",
        [
            KNOWN.replace("urn:n:1", ""),
            KNOWN.replace("urn:n:1", " urn:n:1 "),
            KNOWN.replace("urn:n:1", "urn:n:&#50;"),
            KNOWN.replace("urn:n:1", "urn:n:\u00e9"),
            KNOWN.replace("urn:n:1", "urn:n:1<a:x/>"),
            KNOWN.replace("urn:n:1", "--]]>"),
            KNOWN.replace("<s:Body>", "<s:Header/><s:Body>"),
            KNOWN.replace("<s:Body>", "<a:Other/><s:Body>"),
            KNOWN.replace("<s:Body>", "<?x y?><s:Body>"),
            KNOWN.replace("<s:Body>", "<!DOCTYPE x><s:Body>"),
            KNOWN.replace("</s:Body>", "<a:Other/></s:Body>"),
            KNOWN.replace("</s:Body>", "</s:Body><a:Other/>"),
            KNOWN.replace("</s:Body>", ""),
            KNOWN.replace("</a>", "</b>"),
            KNOWN.replace("<a>1</a>", "<a>x</a>"),
            KNOWN.replace("<a>1</a>", "<z:a>1</z:a>"),
            KNOWN.replace(S12, S11),
            KNOWN.replace("</s:Envelope>", "</s:Envelope><?x y?>"),
            KNOWN.replace("</s:Envelope>", "</s:Envelope><s:Envelope/>"),
            KNOWN[: KNOWN.index("<s:Body>")],
            KNOWN[: KNOWN.index("<s:Body>")] + "</s:Envelope>",
        ],
    )
    def test_gets_the_same_answer_as_if_it_was_new(self, message: str) -> None:
        daemon = daemonOf()
        new = etree.tostring(Talker(daemon).ask(message))
        headers._known.clear()
        Talker(daemon).ask(KNOWN)
        assert isKnown(KNOWN)
        assert etree.tostring(Talker(daemon).ask(message)) == new

    def test_of_the_other_version_is_refused(self) -> None:
        daemon = daemonOf()
        Talker(daemon).ask(KNOWN)
        assert isKnown(KNOWN)
        assert fault(Talker(daemon, contentType="text/xml").ask(KNOWN))[0].endswith("VersionMismatch")

    def test_has_all_of_its_addressing(self) -> None:
        header = (
            f"{ACTION}{ID}<a:To>urn:to</a:To><a:RelatesTo>urn:r</a:RelatesTo>"
            f"<a:ReplyTo><a:Address>{WSA}/anonymous</a:Address></a:ReplyTo>"
            f"<a:FaultTo><a:Address>{WSA}/none</a:Address></a:FaultTo><a:From><a:Address>urn:f</a:Address></a:From>"
        )
        Talker(daemonOf()).ask(of(header))
        document = EnvelopeReader().parse(of(header).encode())
        assert document.repeated is not None
        known, messageId, _ = document.repeated
        assert known.withId(messageId) == readEnvelope(document.root, SOAP12).addressing
