"""SOAP 1.2 part 1 and SOAP 1.1: versions, mustUnderstand, roles, faults; WS-Addressing 1.0; and what is refused."""

from __future__ import annotations

import pytest
from lxml import etree

from tests.protocols.soap.talk import (
    DEMO,
    NAMES,
    S11,
    S12,
    WSA,
    Talker,
    add,
    addressed,
    daemonOf,
    envelope,
    fault,
    text,
)
from tests.wire import Daemon


@pytest.fixture
def daemon() -> Daemon:
    return daemonOf()


@pytest.fixture
def talker(daemon: Daemon) -> Talker:
    return Talker(daemon)


@pytest.fixture
def old(daemon: Daemon) -> Talker:
    """A client of SOAP 1.1."""
    return Talker(daemon, contentType="text/xml")


def marked(role: str = "", mark: str = "1", namespace: str = S12) -> str:
    """Returns an envelope with an unknown header block."""
    name = "role" if namespace == S12 else "actor"
    given = f' s:{name}="{role}"' if role else ""
    return envelope(add(1, 2), f'<h:Gate xmlns:h="urn:h" s:mustUnderstand="{mark}"{given}/>', namespace)


class TestVersions:
    def test_another_namespace_is_a_mismatch_with_an_upgrade(self, talker: Talker) -> None:
        answer = talker.ask(envelope(add(1, 2), namespace="urn:x"))
        assert fault(answer)[0] == "s:VersionMismatch"
        supported = answer.find(f"{{{S12}}}Header/{{{S12}}}Upgrade/{{{S12}}}SupportedEnvelope")
        prefix, _, local = supported.get("qname").partition(":")
        assert (supported.nsmap[prefix], local) == (S12, "Envelope")

    def test_a_sender_of_1_1_is_told_in_1_1(self, talker: Talker) -> None:
        answer = talker.ask(envelope(add(1, 2), namespace=S11))
        assert answer.tag == f"{{{S11}}}Envelope"
        assert text(answer, "//o:Fault/faultcode") == "s:VersionMismatch"

    def test_on_a_connection_of_1_1_an_envelope_of_1_2_is_a_mismatch(self, old: Talker) -> None:
        assert text(old.ask(envelope(add(1, 2))), "//o:Fault/faultcode") == "s:VersionMismatch"

    def test_what_is_no_envelope_is_the_senders_fault(self, talker: Talker) -> None:
        assert fault(talker.ask("<hello/>")) == (
            "s:Sender",
            "the message is a hello; it must be an Envelope of SOAP 1.2",
        )


class TestMustUnderstand:
    NEXT, ULTIMATE, NONE = (f"{S12}/role/{name}" for name in ("next", "ultimateReceiver", "none"))

    @pytest.mark.parametrize("role", ["", NEXT, ULTIMATE])
    @pytest.mark.parametrize("mark", ["1", "true"])
    def test_a_block_for_us_that_is_not_understood_is_named(self, talker: Talker, role: str, mark: str) -> None:
        answer = talker.ask(marked(role, mark))
        assert fault(answer)[0] == "s:MustUnderstand"
        (block,) = answer.iter(f"{{{S12}}}NotUnderstood")
        prefix, _, local = block.get("qname").partition(":")
        assert (block.nsmap[prefix], local) == ("urn:h", "Gate")

    @pytest.mark.parametrize(("role", "mark"), [(NONE, "1"), ("urn:another", "1"), ("", "0"), ("", "false")])
    def test_a_block_for_others_or_that_need_not_be_is_passed_over(self, talker: Talker, role: str, mark: str) -> None:
        assert text(talker.ask(marked(role, mark)), "//d:sum") == "3"

    def test_nothing_is_done_before(self, daemon: Daemon, talker: Talker) -> None:
        note = f'<Note xmlns="{DEMO}"><text>x</text></Note>'
        answer = talker.ask(envelope(note, '<h:Gate xmlns:h="urn:h" s:mustUnderstand="1"/>'))
        assert fault(answer)[0] == "s:MustUnderstand"

    def test_in_1_1_there_is_no_not_understood(self, old: Talker) -> None:
        answer = old.ask(marked("http://schemas.xmlsoap.org/soap/actor/next", namespace=S11))
        assert text(answer, "//o:Fault/faultcode") == "s:MustUnderstand"
        assert answer.find(f"{{{S11}}}Header") is None

    def test_addressing_is_understood(self, talker: Talker) -> None:
        action = f'<a:Action s:mustUnderstand="1">{DEMO}:Demonstration:AddRequest</a:Action>'
        assert (
            text(talker.ask(envelope(add(1, 2), f'{action}<a:To s:mustUnderstand="1">urn:x</a:To>')), "//d:sum") == "3"
        )

    def test_security_is_refused_by_name(self, talker: Talker) -> None:
        namespace = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
        code, reason = fault(
            talker.ask(envelope(add(1, 2), f'<w:Security xmlns:w="{namespace}" s:mustUnderstand="1"/>'))
        )
        assert code == "s:MustUnderstand"
        assert reason.startswith("this route takes no WS-Security")
        assert "use the security mode Transport" in reason


class TestFaults:
    def test_1_2(self, talker: Talker) -> None:
        answer = talker.ask(envelope(f'<ReadFile xmlns="{DEMO}"><name>x</name></ReadFile>'))
        assert fault(answer) == ("s:Sender", "the file x is missing; there is hello.txt")
        assert text(answer, "//s:Fault/s:Detail/d:FileFault/d:why") == "missing"
        assert answer.xpath("//s:Reason/s:Text/@xml:lang", namespaces=NAMES) == ["en"]

    def test_1_1(self, old: Talker) -> None:
        answer = old.ask(envelope(f'<ReadFile xmlns="{DEMO}"><name>x</name></ReadFile>', namespace=S11))
        assert fault(answer) == ("s:Client", "the file x is missing; there is hello.txt")
        assert text(answer, "//o:Fault/detail/d:FileFault/d:why") == "missing"

    def test_the_action_of_a_fault_is_the_contracts(self, talker: Talker) -> None:
        answer = talker.ask(addressed(f'<ReadFile xmlns="{DEMO}"><name>x</name></ReadFile>', "urn:x:1"))
        assert text(answer, "//a:Action") == f"{DEMO}:Demonstration:ReadFile:Fault:FileFault"
        assert text(answer, "//a:RelatesTo") == "urn:x:1"

    def test_an_answer_that_the_contract_does_not_allow_is_the_receivers(self, talker: Talker) -> None:
        code, reason = fault(talker.ask(envelope(add(2**31 - 1, 1))))
        assert (code, reason) == ("s:Receiver", "the service's answer violates its contract")

    def test_what_a_client_wrote_is_escaped_in_it(self, talker: Talker) -> None:
        assert (
            "<&>" in fault(talker.ask(envelope(f'<ReadFile xmlns="{DEMO}"><name>&lt;&amp;&gt;</name></ReadFile>')))[1]
        )


class TestAddressing:
    def test_an_action_that_is_not_ours_is_refused(self, talker: Talker) -> None:
        answer = talker.ask(addressed(add(1, 2), "urn:x:1", "urn:another"))
        assert text(answer, "//s:Subcode/s:Value") == "a:ActionNotSupported"
        assert text(answer, "//a:Action") == f"{WSA}/fault"
        assert text(answer, "//a:RelatesTo") == "urn:x:1"

    def test_in_1_1_the_subcode_is_the_code(self, old: Talker) -> None:
        message = addressed(add(1, 2), "urn:x:1", "urn:another").replace(S12, S11)
        assert text(old.ask(message), "//o:Fault/faultcode") == "a:ActionNotSupported"

    def test_an_action_for_another_body_is_refused(self, talker: Talker) -> None:
        answer = talker.ask(addressed(add(1, 2), "urn:x:1", f"{DEMO}:Demonstration:EchoRequest"))
        assert text(answer, "//s:Subcode/s:Value") == "a:InvalidAddressingHeader"

    @pytest.mark.parametrize(
        ("header", "subcode"),
        [
            ("<a:MessageID>urn:x</a:MessageID>", "MessageAddressingHeaderRequired"),
            ("<a:MessageID>urn:x</a:MessageID><a:Action>x</a:Action><a:Action>x</a:Action>", "InvalidAddressingHeader"),
            ("<a:Action/>", "InvalidAddressingHeader"),
            (
                "<a:Action>x</a:Action><a:MessageID>urn:x</a:MessageID>"
                "<a:ReplyTo><a:Address>http://example.com/</a:Address></a:ReplyTo>",
                "OnlyAnonymousAddressSupported",
            ),
        ],
    )
    def test_headers_that_are_not_as_they_must_be_are_named(self, talker: Talker, header: str, subcode: str) -> None:
        assert text(talker.ask(envelope(add(1, 2), header)), "//s:Subcode/s:Value") == f"a:{subcode}"

    def test_an_anonymous_way_back_is_taken(self, talker: Talker) -> None:
        more = f"<a:ReplyTo><a:Address>{WSA}/anonymous</a:Address></a:ReplyTo>"
        assert text(talker.ask(addressed(add(1, 2), "urn:x:1", more=more)), "//d:sum") == "3"


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + "]>"
)


def many(attributes: int) -> str:
    return " ".join(f'a{number}="1"' for number in range(attributes))


BAD: dict[str, tuple[str | bytes, str, str]] = {
    "a wrong version": (envelope(add(1, 2), namespace="urn:x"), "VersionMismatch", "the Envelope is in the namespace"),
    "no envelope": ("<Envelope/>", "VersionMismatch", "the Envelope is in the namespace ''"),
    "a header that must be understood": (marked(), "MustUnderstand", "{urn:h}Gate"),
    "an unknown action": (addressed(add(1, 2), "x", "urn:y"), "Sender", "the Action 'urn:y' is not in the contract"),
    "an unknown request": (envelope('<x xmlns="urn:x"/>'), "Sender", "{urn:x}x is not a request of this service"),
    "an empty body": (envelope(""), "Sender", "the Body is empty"),
    "two requests": (envelope(add(1, 2) * 2), "Sender", "the Body has more than one element"),
    "no body": (f'<s:Envelope xmlns:s="{S12}"/>', "Sender", "the Envelope has no Body"),
    "a bad int": (envelope(add("1x", 2)), "Sender", "'1x' is not a valid value of the atomic type 'xs:int'"),
    "an int too large": (envelope(add(2**31, 2)), "Sender", "is not a valid value of the atomic type 'xs:int'"),
    "a missing part": (envelope(f'<Add xmlns="{DEMO}"><a>1</a></Add>'), "Sender", "Missing child element"),
    "a part too many": (envelope(add(1, "2</b><c>3</c><b>4")), "Sender", "This element is not expected"),
    "a bad mark": (marked(mark="maybe"), "Sender", "mustUnderstand is 'maybe'; it must be 1 or 0"),
    "a DTD": ("<!DOCTYPE x>" + envelope(add(1, 2)), "Sender", "must not have a DTD"),
    "a DTD behind a comment": ("<!-- x --> <!DOCTYPE x>" + envelope(add(1, 2)), "Sender", "must not have a DTD"),
    "an external DTD": ('<!DOCTYPE x SYSTEM "file:///etc/passwd">' + envelope(add(1, 2)), "Sender", "a DTD"),
    "a bomb of entities": (BOMB + envelope(add("&j;", 2)), "Sender", "must not have a DTD"),
    "an entity that is not declared": (envelope(add("&j;", 2)), "Sender", "not well-formed"),
    "an instruction before": ("<?x y?>" + envelope(add(1, 2)), "Sender", "processing instructions"),
    "an instruction within": (envelope(add(1, "<?x y?>2")), "Sender", "processing instructions"),
    "an instruction behind": (envelope(add(1, 2)) + "<?x y?>", "Sender", "processing instructions"),
    "50,000 attributes": (
        envelope(add(1, 2).replace("<a>", f"<a {many(50_000)}>")),
        "Sender",
        "at most 10000 attributes",
    ),
    "9,000 attributes": (
        envelope(add(1, 2).replace("<a>", f"<a {many(9_000)}>")),
        "Sender",
        "attribute",
    ),
    "a depth of 10,000": (envelope("<x>" * 10_000 + "</x>" * 10_000), "Sender", "Excessive depth"),
    "a depth of 10,000 in the header": (
        envelope(add(1, 2), "<x>" * 10_000 + "</x>" * 10_000), "Sender", "Excessive depth",
    ),
    "200,000 elements": (envelope("<x>" + "<y/>" * 200_000 + "</x>"), "Sender", "at most 50000 elements"),
    "40,000 elements": (envelope(f'<Echo xmlns="{DEMO}">{"<text/>" * 40_000}</Echo>'), "Sender", "not expected"),
    "49,900 wrong lines": (
        envelope(f'<Order xmlns="{DEMO}"><customer>x</customer>{"<line/>" * 49_900}<speed>express</speed></Order>'),
        "Sender",
        "Missing child element",
    ),
    "50,000 attributes with blanks before their values": (
        envelope(add(1, 2).replace("<a>", f"<a {many(50_000).replace('=', '= ')}>")),
        "Sender",
        "at most 10000 attributes",
    ),
    "4,900 header blocks": (
        envelope(add(1, 2), '<x xmlns="urn:x" s:mustUnderstand="1"/>' * 4_900), "Sender", "at most 500 blocks",
    ),
    "500 header blocks": (
        envelope(add(1, 2), '<x xmlns="urn:x" s:mustUnderstand="1"/>' * 500), "MustUnderstand", "{urn:x}x",
    ),
    "a truncated envelope": (envelope(add(1, 2))[:-20], "Sender", "not well-formed"),
    "one that has hardly begun": ("<", "Sender", "it has no element"),
    "nothing": ("", "Sender", "it has no element"),
    "text": ("hello", "Sender", "not well-formed"),
    "another encoding": (
        b'<?xml version="1.0" encoding="KOI8-R"?>' + envelope(add(1, 2)).encode(),
        "Sender",
        "'koi8-r' is not supported",
    ),
    "bytes that are no UTF-8": (envelope(add(1, 2)).encode() + b"\xff", "Sender", "not well-formed"),
    "a NUL": (envelope(add(1, "\x00")), "Sender", "not well-formed"),
}  # fmt: skip


class TestWhatIsRefused:
    """Each message gets its fault within 50 ms, and the next call on the connection works."""

    @pytest.mark.parametrize("name", BAD)
    def test_it_is_told_at_once_and_the_next_call_works(self, talker: Talker, name: str) -> None:
        message, code, reason = BAD[name]
        answer = talker.ask(message)
        assert fault(answer)[0] == f"s:{code}"
        assert reason in fault(answer)[1]
        cost = talker.client.wire.daemon.factories["/soap"].cost
        assert text(talker.ask(envelope(add(1, 2))), "//d:sum") == "3"
        assert cost < 0.05

    @pytest.mark.parametrize(
        "name", ["a bad int", "an unknown action", "a DTD", "a truncated envelope", "another encoding"]
    )
    def test_a_fault_comes_in_the_opcode_of_its_request(self, talker: Talker, name: str) -> None:
        message, code, _ = BAD[name]
        said = message.encode() if isinstance(message, str) else message
        (answer,) = talker.client.messages(talker.client.say(said))
        assert isinstance(answer, bytes)
        assert fault(etree.fromstring(answer))[0] == f"s:{code}"
        (answer,) = talker.client.messages(talker.client.say(envelope(add(1, 2))))
        assert isinstance(answer, str)

    def test_an_attribute_counts_that_comes_in_pieces(self, talker: Talker) -> None:
        said = envelope(add(1, 2).replace("<a>", f"<a {many(12_000)}>")).encode().split(b"=")
        protocol = talker.client.protocol
        protocol.send_text(said[0] + b"=", fin=False)
        for piece in said[1:-1]:
            protocol.send_continuation(piece + b"=", fin=False)
        protocol.send_continuation(said[-1], fin=True)
        (answer,) = talker.heard()
        assert "at most 10000 attributes" in fault(answer)[1]

    def test_what_is_too_large_closes_with_1009(self, talker: Talker) -> None:
        talker.say(envelope("x" * 1_100_000))
        assert talker.client.closeCode == 1009

    def test_comments_and_cdata_are_no_fault(self, talker: Talker) -> None:
        message = (
            f'<?xml version="1.0" encoding="UTF-8"?><!-- a -->\n{envelope(add("<!-- b --><![CDATA[1]]>", 2))}<!-- c -->'
        )
        assert text(talker.ask("\ufeff" + message), "//d:sum") == "3"

    def test_a_prolog_that_comes_in_pieces_is_looked_at_whole(self, talker: Talker) -> None:
        for prolog, fine in (("<?xml version='1.0'?><!-- a -->", True), ("<!-- a --><!DOCTYPE a>", False)):
            said = (prolog + envelope(add(1, 2))).encode()
            protocol = talker.client.protocol
            protocol.send_text(said[:1], fin=False)
            for start in range(1, len(said)):
                protocol.send_continuation(said[start : start + 1], fin=start + 1 == len(said))
            (answer,) = talker.heard()
            assert (text(answer, "//d:sum") == "3") is fine
            assert ("DTD" in fault(answer)[1]) is not fine
