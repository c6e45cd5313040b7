"""Validation: its cost, and the thread that does it."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Thread

import pytest
from lxml import etree

from tests.protocols.soap.talk import Talker, daemonOf, envelope, fault, text
from tests.wire import Daemon
from wsd.protocols.soap.schema.validator import Validator

HEAD = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">'
LIST = """<xs:element name="r"><xs:complexType><xs:sequence>
<xs:element name="i" maxOccurs="unbounded"><xs:complexType><xs:attribute name="k" type="{type}"/></xs:complexType>
</xs:element></xs:sequence></xs:complexType>{more}</xs:element>"""
UNIQUE = '<xs:unique name="u"><xs:selector xpath="i"/><xs:field xpath="@k"/></xs:unique>'
PATTERN = """<xs:element name="r"><xs:simpleType><xs:restriction base="xs:string">
<xs:pattern value="{}"/></xs:restriction></xs:simpleType></xs:element>"""
COUNTED = """<xs:element name="r"><xs:complexType><xs:sequence minOccurs="0" maxOccurs="{}">
<xs:element name="i" minOccurs="0" maxOccurs="200"/><xs:element name="j" minOccurs="0"/>
</xs:sequence></xs:complexType></xs:element>"""


def validator(schema: str) -> Validator:
    root = etree.fromstring(f"{HEAD}{schema}</xs:schema>")
    return Validator(etree.XMLSchema(root), [root])


def check(checker: Validator, document: str) -> tuple[str, float]:
    """Returns the first error, and the CPU time of the validation in seconds."""
    element = etree.fromstring(document)
    began = time.thread_time()
    return checker.check(element, len(document)), time.thread_time() - began


def items(values: list[str]) -> str:
    return "<r>" + "".join(f'<i k="{value}"/>' for value in values) + "</r>"


class TestErrors:
    """Validation stops at the first error, however many there are."""

    @pytest.mark.parametrize("count", [10, 40_000])
    @pytest.mark.parametrize(
        ("schema", "value", "wrong"),
        [
            (LIST.format(type="xs:int", more=""), "x", "'x' is not a valid value of the atomic type 'xs:int'"),
            (LIST.format(type="xs:int", more=UNIQUE), "1", "Duplicate key-sequence ['1']"),
        ],
        ids=["values", "duplicates"],
    )
    def test_many(self, schema: str, value: str, wrong: str, count: int) -> None:
        told, cost = check(validator(schema), items([value] * count))
        assert wrong in told
        assert cost < 0.1

    @pytest.mark.parametrize("count", [10, 40_000])
    def test_the_last_of_many_elements(self, count: int) -> None:
        told, cost = check(validator(LIST.format(type="xs:int", more="")), items(["1"] * count + ["x"]))
        assert "'x' is not a valid value" in told
        assert cost < 0.2

    def test_none_in_a_long_list(self) -> None:
        assert check(validator(LIST.format(type="xs:int", more=UNIQUE)), items(list(map(str, range(5_000)))))[0] == ""

    @pytest.mark.parametrize("count", [10, 4_000])
    def test_an_id_is_unique_in_long_messages_too(self, count: int) -> None:
        checker = validator(LIST.format(type="xs:ID", more=""))
        names = [f"n{number}" for number in range(count)]
        assert check(checker, items(names))[0] == ""
        assert "is not a valid value of the atomic type 'xs:ID'" in check(checker, items([*names, "n3"]))[0]

    def test_namespaces_of_what_is_around_count(self) -> None:
        """A QName deep in a long message is read with the prefixes of the envelope."""
        checker = validator(LIST.format(type="xs:QName", more=""))
        document = f'<e xmlns:p="urn:p">{items(["p:x"] * 2_000)}</e>'
        assert checker.check(etree.fromstring(document)[0], len(document)) == ""


class TestWhatIsCostly:
    @pytest.mark.parametrize("pattern", ["[A-Z]{3}", "[0-9]+", r"\d{5}(-\d{4})?", "[*+]{2}", r"a\+\*b*"])
    def test_a_pattern_with_one_way_through_it(self, pattern: str) -> None:
        assert not validator(PATTERN.format(pattern)).isCostly

    @pytest.mark.parametrize("pattern", ["(a|aa)+b", "(x+x+)+y", ".*foo.*", "(.{1,20},?){0,50}"])
    def test_a_pattern_with_many(self, pattern: str) -> None:
        assert validator(PATTERN.format(pattern)).isCostly

    def test_groups_that_are_counted(self) -> None:
        assert validator(COUNTED.format(200)).isCostly
        assert not validator(COUNTED.format("unbounded")).isCostly

    def test_an_answer_does_not_wait_for_a_request_that_a_thread_checks(self) -> None:
        checker = validator(PATTERN.format("(a|aa)+b"))
        told: list[str] = []
        with checker._lock:
            answering = Thread(target=lambda: told.append(check(checker, "<r>ab</r>")[0]), daemon=True)
            answering.start()
            answering.join(10)
            assert told == [""]

    def test_what_cannot_be_decided_is_told(self) -> None:
        told, _ = check(validator(PATTERN.format("(a|aa)+b")), f"<r>{'a' * 60}</r>")
        assert told == "checking a value against its pattern takes too long; send a shorter value"


SERVICE = """<xs:element name="Block"><xs:complexType><xs:sequence><xs:element name="text"><xs:simpleType>
<xs:restriction base="xs:string"><xs:pattern value="(a|aa)+b"/></xs:restriction></xs:simpleType></xs:element>
</xs:sequence></xs:complexType></xs:element>
<xs:element name="BlockResponse"><xs:complexType><xs:sequence><xs:element name="text" type="xs:string"/>
</xs:sequence></xs:complexType></xs:element>"""


class Costly:
    @staticmethod
    def block(text: str) -> str:
        return text[::-1]


costly = Costly()


class TestInAThread:
    @pytest.fixture
    def daemon(self, tmp_path: Path) -> Daemon:
        file = tmp_path / "costly.xsd"
        file.write_text(f"{HEAD}{SERVICE}</xs:schema>", "utf-8")
        return daemonOf(contract=str(file), service="tests.protocols.soap.schema.test_validator:costly")

    def block(self, value: str) -> str:
        return envelope(f"<Block><text>{value}</text></Block>")

    def test_what_may_take_its_time_is_done_there(self, daemon: Daemon) -> None:
        daemon.pool.slow = True
        talker = Talker(daemon)
        assert talker.say(self.block("aab")) == []
        daemon.pool.catchUp()
        (answer,) = talker.heard()
        assert text(answer, "//text") == "baa"

    def test_and_told_as_ever(self, daemon: Daemon) -> None:
        talker = Talker(daemon)
        assert "violates the contract" in fault(talker.ask(self.block("x")))[1]
        assert fault(talker.ask(self.block("a" * 60)))[0] == "s:Sender"
        assert text(talker.ask(self.block("ab")), "//text") == "ba"


MANY = """<xs:element name="Join"><xs:complexType><xs:sequence>
<xs:element name="text" type="xs:string" maxOccurs="unbounded"/></xs:sequence></xs:complexType></xs:element>
<xs:element name="JoinResponse"><xs:complexType><xs:sequence><xs:element name="text" type="xs:string"/>
</xs:sequence></xs:complexType></xs:element>"""


class Joining:
    @staticmethod
    def join(text: list[str]) -> str:
        return str(len(text))


joining = Joining()


class TestALargeMessage:
    """It is validated and read in a thread, whatever its contract: a mebibyte takes up to 0.2 seconds."""

    @pytest.fixture
    def daemon(self, tmp_path: Path) -> Daemon:
        file = tmp_path / "joining.xsd"
        file.write_text(f"{HEAD}{MANY}</xs:schema>", "utf-8")
        daemon = daemonOf(contract=str(file), service="tests.protocols.soap.schema.test_validator:joining")
        daemon.pool.slow = True
        return daemon

    def join(self, count: int) -> str:
        return envelope(f"<Join>{'<text/>' * count}</Join>")

    def test_waits_for_a_thread(self, daemon: Daemon) -> None:
        talker = Talker(daemon)
        assert talker.say(self.join(20_000)) == []
        daemon.pool.catchUp()
        (answer,) = talker.heard()
        assert text(answer, "//text") == "20000"

    def test_is_told_what_is_wrong(self, daemon: Daemon) -> None:
        talker = Talker(daemon)
        assert talker.say(self.join(20_000).replace("<text/></", "<no/></")) == []
        daemon.pool.catchUp()
        (answer,) = talker.heard()
        assert "violates the contract" in fault(answer)[1]

    def test_a_small_one_does_not_wait(self, daemon: Daemon) -> None:
        talker = Talker(daemon)
        assert text(talker.ask(self.join(10)), "//text") == "10"
