"""Offers: services whose contracts are written from annotations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import pytest

from tests.protocols.soap import quotes
from tests.protocols.soap.talk import Talker, daemonOf, envelope, fault, text
from wsd.config import ConfigError
from wsd.protocols.soap.offer import Offer

SPACE = "urn:quotes"


@pytest.fixture
def talker() -> Talker:
    return Talker(daemonOf(service="tests.protocols.soap.quotes:quotes"))


def body(name: str, content: str) -> str:
    return envelope(f'<{name} xmlns="{SPACE}">{content}</{name}>')


def plain(root: Any) -> str:
    """Returns the content of the Body without namespaces."""
    return "".join(
        f"{each.tag.rpartition('}')[2]}={each.text} " for each in root.iter(f"{{{SPACE}}}*") if not len(each)
    ).strip()


class TestAnOffer:
    def test_what_has_a_default_may_be_left_out(self, talker: Talker) -> None:
        assert plain(talker.ask(body("Price", "<symbol>A</symbol>"))) == "result=1.50"
        day = "<symbol>A</symbol><day>2026-01-31</day><from>there</from>"
        assert plain(talker.ask(body("Price", day))) == "result=2026"

    def test_dataclasses_enumerations_and_lists_come_back_as_they_went(self, talker: Talker) -> None:
        inner = "<symbol>B</symbol><amount>2</amount><price>2.5</price>"
        trade = (
            "<trades><symbol>A</symbol><amount>1</amount><price>1.25</price><at>2026-01-31T12:00:00Z</at>"
            "<places><city>Köln</city></places><places><city>Bonn</city><market>far away</market></places>"
            f"<parent>{inner}</parent><labels>x</labels><labels>y</labels></trades>"
        )
        assert plain(talker.ask(body("MirrorTrades", f"{trade}<trades>{inner}</trades><seal>AAA=</seal>"))) == (
            "symbol=A amount=1 price=1.25 at=2026-01-31T12:00:00Z city=Köln market=home city=Bonn market=far away "
            "symbol=B amount=2 price=2.5 labels=x labels=y symbol=B amount=2 price=2.5"
        )

    def test_what_is_not_of_its_type_is_refused(self, talker: Talker) -> None:
        trade = "<trades><symbol>A</symbol><amount>2147483648</amount><price>1</price></trades>"
        assert "'xs:int'" in fault(talker.ask(body("MirrorTrades", trade)))[1]

    def test_exceptions_are_faults_with_their_attributes(self, talker: Talker) -> None:
        for asked, symbol in ((body("Price", "<symbol>NONE</symbol>"), "NONE"), (body("MirrorTrades", ""), "nothing")):
            answer = talker.ask(asked)
            assert fault(answer) == ("s:Sender", f"nobody deals in {symbol}")
            assert plain(answer) == f"symbol={symbol}"

    def test_an_attribute_that_fails_is_a_failure_of_the_service(
        self, talker: Talker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = property(lambda self: 1 // 0, lambda self, value: None)
        monkeypatch.setattr(quotes.UnknownSymbol, "symbol", broken, raising=False)
        for asked in (body("Price", "<symbol>NONE</symbol>"), body("MirrorTrades", "")):
            assert fault(talker.ask(asked)) == (
                "s:Receiver", "the service failed; see the server's log",
            )  # fmt: skip

    def test_one_way_and_push(self, talker: Talker) -> None:
        quotes.noted.clear()
        assert talker.say(body("Note", "<text>x</text>")) == []
        assert quotes.noted == ["x"]
        pushed, answer = talker.say(body("Follow", "<symbol>A</symbol>"))
        assert plain(pushed) == "symbol=A price=2"
        assert text(pushed, "//a:Action") == "urn:quotes:Quotes:Tick"
        assert answer.find(f".//{{{SPACE}}}FollowResponse") is not None

    def test_docstrings_are_in_the_contract(self) -> None:
        contract = quotes.quotes.service().contract
        assert contract.documentation == "What shares cost."
        assert contract.operations["Price"].documentation == "What a share costs. On a day, or now."
        assert contract.operations["Tick"].documentation == "A new price."
        assert contract.operations["Follow"].documentation == ""


class Shade(Enum):
    DARK = 1


def other() -> type:
    @dataclass
    class Place:
        name: str

    return Place


OTHER = other()


def bare(x) -> None:  # type: ignore[no-untyped-def]
    pass


def mapped(x: dict[str, str]) -> None:
    pass


def either(x: int | str) -> None:
    pass


def shaded(x: Shade) -> None:
    pass


def spelled(x: Annotated[int, "xs:itn"]) -> None:
    pass


def twice(x: quotes.Place, y: OTHER) -> None:  # type: ignore[valid-type]
    pass


class TestWhatNoContractCanTell:
    @pytest.mark.parametrize(
        ("function", "told"),
        [
            (bare, "bare: x has no type; write for example x: str"),
            (mapped, "mapped.x: dict has no type in a contract"),
            (either, "either.x: int | str has no type in a contract"),
            (shaded, "shaded.x: the values of Shade must be strings"),
            (spelled, "spelled.x: 'xs:itn' is not a simple type"),
            (twice, "twice.y: there is already a type Place; choose another name"),
        ],
    )
    def test_it_is_named(self, function: Callable[..., Any], told: str) -> None:
        offer = Offer("Wrong", "urn:wrong")
        offer.operation()(function)
        with pytest.raises(ConfigError) as caught:
            offer.service()
        assert str(caught.value).startswith(told)

    def test_two_of_one_name_are_refused(self) -> None:
        offer = Offer("Wrong", "urn:wrong")
        offer.oneWay(bare)
        with pytest.raises(ConfigError, match="two operations Bare"):
            offer.operation()(bare)
