"""Services: a contract and its functions, values of every type, and functions that do not match a contract."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.protocols.soap import waiting
from tests.protocols.soap.talk import Talker, addressed, daemonOf, envelope, fault, text
from tests.wire import Daemon
from wsd.config import ConfigError, parse
from wsd.protocols import optionsOf
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.wsdl.reader import readContract

XSD = Path(__file__).with_name("waiting.xsd")
SPACE = "urn:waiting"
KINDS = f"""<w:Kinds xmlns:w="{SPACE}" lang="en"><id> a  b </id><flag>1</flag><rate>-INF</rate><price>1.50</price>
<day>2026-01-31</day><moment>2026-01-31T12:00:00.5Z</moment><clock>12:30:00</clock><length>-P1DT1.5S</length>
<raw>aGVsbG8=</raw><hex>00ff</hex><numbers>1 2  3</numbers><either>x</either>
<none xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/><right>4</right>
<key>k1</key><value>v1</value><key>k2</key><value>v2</value><weight unit="kg">2.5</weight>
<class>red</class><class>dark blue</class><o:other xmlns:o="urn:o">as it is</o:other></w:Kinds>"""


def wait(number: int, of: int) -> str:
    return f'<w:Wait xmlns:w="{SPACE}"><number>{number}</number><of>{of}</of></w:Wait>'


def named(number: int, of: int = 3) -> str:
    return addressed(wait(number, of), f"urn:n:{number}", f"{SPACE}/waiting/Wait")


@pytest.fixture
def daemon() -> Daemon:
    return daemonOf(contract=str(XSD), service="tests.protocols.soap.waiting")


@pytest.fixture
def talker(daemon: Daemon) -> Talker:
    return Talker(daemon)


def relates(answers: list[Any]) -> list[str]:
    return [text(answer, "//a:RelatesTo") for answer in answers]


class TestCalls:
    def test_they_are_answered_as_they_are_done(self, daemon: Daemon, talker: Talker) -> None:
        for number in (1, 2, 3):
            talker.client.protocol.send_text(named(number).encode())
        assert relates(talker.heard()) == ["urn:n:3"]
        daemon.pass_(1)
        assert relates(talker.heard()) == ["urn:n:2", "urn:n:1"]

    def test_without_a_name_they_are_answered_in_order(self, daemon: Daemon, talker: Talker) -> None:
        for number in (1, 3):
            talker.client.protocol.send_text(envelope(wait(number, 3)).encode())
        assert talker.heard() == []
        daemon.pass_(1)
        assert [text(answer, "//number") for answer in talker.heard()] == ["1", "3"]

    @pytest.mark.parametrize("message", [named(1), envelope(wait(1, 3))])
    def test_one_without_an_answer_closes_the_connection(
        self, daemon: Daemon, talker: Talker, monkeypatch: pytest.MonkeyPatch, message: str
    ) -> None:
        monkeypatch.setattr(daemon.factories["/soap"].node, "_resultAnswer", lambda *arguments: 1 // 0)
        assert talker.say(message) == []
        daemon.pass_(1)
        talker.client.exchange()
        assert talker.client.closeCode == 1011

    def test_as_many_are_open_as_the_key_says(self) -> None:
        daemon = daemonOf(contract=str(XSD), service="tests.protocols.soap.waiting", calls=2)
        talker = Talker(daemon)
        for number in (1, 2, 3):
            talker.client.protocol.send_text(named(number).encode())
        assert talker.heard() == []
        daemon.pass_(1)
        assert sorted(relates(talker.heard())) == ["urn:n:1", "urn:n:2", "urn:n:3"]

    def test_a_connection_that_closes_ends_its_calls(self, daemon: Daemon, talker: Talker) -> None:
        talker.say(named(1))
        (connection,) = daemon.connections
        assert len(connection._pending) == 1
        talker.client.close()
        talker.client.wire.close()
        assert connection._pending == set()

    def test_what_blocks_runs_on_the_pool(self, daemon: Daemon, talker: Talker) -> None:
        daemon.pool.slow = True
        message = f'<w:Block xmlns:w="{SPACE}"><text>done</text></w:Block>'
        assert talker.say(envelope(message)) == []
        daemon.pool.catchUp()
        (answer,) = talker.heard()
        assert text(answer, "//text").startswith("done in")

    def test_too_much_that_blocks_is_told_so(self) -> None:
        daemon = daemonOf(contract=str(XSD), service="tests.protocols.soap.waiting", threads=1)
        daemon.pool.slow = True
        daemon.factories["/soap"].threads._mostWaiting = 0
        message = envelope(f'<w:Block xmlns:w="{SPACE}"><text>done</text></w:Block>')
        first, second = Talker(daemon), Talker(daemon)
        assert first.say(message) == []
        (answer,) = second.say(message)
        assert fault(answer) == ("s:Receiver", "the service is overloaded; try again later")

    def test_one_that_takes_too_long_is_told_so(self) -> None:
        daemon = daemonOf(contract=str(XSD), service="tests.protocols.soap.waiting", timeout=2.0)
        talker = Talker(daemon)
        message = addressed(wait(1, 1001), "urn:n:1", f"{SPACE}/waiting/Wait")
        assert talker.say(message) == []
        daemon.pass_(2)
        (answer,) = talker.heard()
        assert fault(answer) == ("s:Receiver", "the service did not answer within 2 seconds")
        assert text(answer, "//a:RelatesTo") == "urn:n:1"
        daemon.pass_(10)
        assert talker.heard() == []

    def test_so_is_one_that_blocks(self) -> None:
        daemon = daemonOf(contract=str(XSD), service="tests.protocols.soap.waiting", timeout=2.0)
        daemon.pool.slow = True
        talker = Talker(daemon)
        assert talker.say(envelope(f'<w:Block xmlns:w="{SPACE}"><text>done</text></w:Block>')) == []
        daemon.pass_(2)
        (answer,) = talker.heard()
        assert fault(answer)[1] == "the service did not answer within 2 seconds"
        assert text(talker.ask(envelope(wait(3, 3))), "//number") == "3"


class TestValues:
    def test_each_is_of_its_type_and_comes_back(self, talker: Talker) -> None:
        answer = talker.ask(envelope(KINDS))
        (values,) = waiting.seen
        assert values.pop("any").text == "as it is"
        assert values.pop("weight").value == Decimal("2.5")
        colours = values.pop("class_")
        assert [str(colour.value) for colour in colours] == ["red", "dark blue"]
        assert colours[0] == "red"
        assert values == {
            "lang": "en", "id": "a b", "flag": True, "rate": float("-inf"), "price": Decimal("1.50"),
            "day": date(2026, 1, 31), "moment": datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC),
            "clock": time(12, 30), "length": -timedelta(days=1, seconds=1.5), "raw": b"hello", "hex": b"\0\xff",
            "numbers": [1, 2, 3], "either": "x", "none": None, "right": 4, "key": ["k1", "k2"], "value": ["v1", "v2"],
        }  # fmt: skip
        assert text(answer, "//kinds/@lang") == "en"
        assert [text(each, ".") for each in answer.xpath("//key | //value")] == ["k1", "v1", "k2", "v2"]
        assert text(answer, "//length") == "-PT86401.500000S"
        assert text(answer, "//hex") == "00FF"
        assert text(answer, "//rate") == "-INF"
        assert text(answer, "//weight/@unit") == "kg"
        assert answer.xpath("boolean(//none/@*[. = 'true'])")

    def test_a_type_may_hold_itself(self, talker: Talker) -> None:
        inner = KINDS.partition(">")[2].rpartition("<o:other")[0]
        nested = KINDS.replace("<o:other", f"<inner>{inner}</inner><o:other")
        assert text(talker.ask(envelope(nested)), "//inner/id") == "a b"
        assert waiting.seen[0]["inner"].id == "a b"

    def test_what_python_cannot_hold_is_the_senders_fault(self, talker: Talker) -> None:
        code, reason = fault(talker.ask(envelope(KINDS.replace("-P1DT1.5S", "P1M"))))
        assert code == "s:Sender"
        assert "P1M" in reason

    def test_nothing_is_converted_before_it_is_valid(self, talker: Talker) -> None:
        assert "'x'" in fault(talker.ask(envelope(KINDS.replace("<right>4", "<right>x"))))[1]


class TestErrors:
    @staticmethod
    def fail(talker: Talker, how: str) -> Any:
        return talker.ask(envelope(f'<w:Fail xmlns:w="{SPACE}">{how}</w:Fail>'))

    def test_a_value_that_is_no_element_of_its_own(self, talker: Talker) -> None:
        assert text(self.fail(talker, "fine"), "//s:Body/*") == "fine"

    def test_what_has_a_meaning_in_xml_is_escaped(self, talker: Talker) -> None:
        assert text(self.fail(talker, "&#13;\n&lt;x>&amp;]]&gt;\"'"), "//s:Body/*") == "\r\n<x>&]]>\"'"

    def test_what_xml_cannot_hold_is_the_receivers(self, talker: Talker) -> None:
        told = "the service's answer violates its contract"
        assert fault(self.fail(talker, "NUL")) == ("s:Receiver", told)

    def test_one_named_in_the_contract_is_typed(self, talker: Talker) -> None:
        answer = self.fail(talker, "typed")
        assert fault(answer) == ("s:Sender", "too small")
        assert text(answer, "//s:Detail/*[local-name()='SmallFault']") == "too small"

    def test_a_fault_is_told_as_it_is(self, talker: Talker) -> None:
        assert fault(self.fail(talker, "plain")) == ("s:Receiver", "not now")

    def test_any_other_is_for_the_log_alone(
        self, talker: Talker, monkeypatch: pytest.MonkeyPatch, daemon: Daemon
    ) -> None:
        logged: list[Any] = []
        node = daemon.factories["/soap"].node
        monkeypatch.setattr(node, "log", type("Log", (), {"failure": lambda self, *a, **k: logged.append(a)})())
        assert fault(self.fail(talker, "bug")) == (
            "s:Receiver", "the service failed; see the server's log",
        )  # fmt: skip
        assert logged[0][1].check(KeyError)


FINE: dict[str, Any] = {name: getattr(waiting, name) for name in ("wait", "block", "fail", "kinds")}


def refusal(**functions: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        Service(readContract(XSD), functions)
    return str(caught.value)


class TestWhatDoesNotFit:
    def test_a_function_that_is_missing_is_named(self) -> None:
        assert refusal(wait=waiting.wait) == "the service has no function for Block; write Block(...)"

    def test_parameters_that_are_missing_or_too_many_are_named(self) -> None:
        assert refusal(**{**FINE, "wait": lambda number: 1}) == (
            "the function for Wait must take number, of; it does not take of"
        )
        assert refusal(**{**FINE, "wait": lambda number, of, more: 1}).endswith("it wants more too")

    @pytest.mark.parametrize(
        ("keys", "told"),
        [
            ('service = "tests.nowhere"', 'service: there is no module "tests.nowhere", neither in the folder'),
            ('service = "1x"', 'service: "1x" does not name Python code; write "quotes.py:quotes", or "quotes:quotes"'),
            ('service = "json"', "contract: json has no contract of its own"),
            ('service = "json"\ncontract = "/nowhere.wsdl"', "/nowhere.wsdl cannot be read"),
            ('contract = "x.wsdl"', "contract: needs service"),
        ],
    )
    def test_it_is_told_in_one_sentence(self, keys: str, told: str) -> None:
        with pytest.raises(ConfigError, match=told.replace("(", r"\(")):
            daemonOf(**vars(parse(f'[route."/x"]\nprotocol = "soap"\n{keys}', optionsOf).routes["/x"].options["soap"]))

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("<x/>", "is neither a WSDL 1.1 nor a schema; its root is x"),
            ("<x", "is not XML"),
            (
                '<s:schema xmlns:s="http://www.w3.org/2001/XMLSchema"><s:element name="a" type="s:nope"/></s:schema>',
                "schema is invalid",
            ),
            (
                '<s:schema xmlns:s="http://www.w3.org/2001/XMLSchema">'
                '<s:import namespace="u" schemaLocation="http://example.com/x.xsd"/></s:schema>',
                "put that file beside the contract",
            ),
        ],
    )
    def test_a_contract_that_is_none_is_told(self, tmp_path: Path, content: str, told: str) -> None:
        (tmp_path / "contract.wsdl").write_text(content)
        with pytest.raises(ConfigError, match=told):
            readContract(tmp_path / "contract.wsdl")
