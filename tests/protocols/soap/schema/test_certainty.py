"""Answers that need no validation: their types are certain, and what is written for their values is always valid."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsd.protocols.soap.parsers import parseAny
from wsd.protocols.soap.schema.certainty import isSure
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.wsdl.reader import readContract

SCHEMA = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:x" xmlns="urn:x"
    elementFormDefault="qualified">
  <xs:element name="Ask"><xs:complexType><xs:sequence/></xs:complexType></xs:element>
  {}
  <xs:simpleType name="Small">
    <xs:restriction base="xs:int"><xs:maxInclusive value="9"/></xs:restriction>
  </xs:simpleType>
  <xs:complexType name="Other"><xs:sequence><xs:element name="a" type="xs:int"/></xs:sequence></xs:complexType>
</xs:schema>"""
PLAIN = '<xs:element name="AskResponse"><xs:complexType><xs:sequence>{}</xs:sequence></xs:complexType></xs:element>'
TYPES = "string boolean byte short int long double date dateTime base64Binary".split()


def serviceOf(folder: Path, answer: str) -> Service:
    path = folder / "x.xsd"
    path.write_text(SCHEMA.format(answer))
    return Service(readContract(path), {"ask": lambda: None})


def answered(service: Service, value: Any) -> str:
    return service.answer(service.contract.operations["Ask"], value)


def isCertain(service: Service) -> bool:
    message = service.contract.operations["Ask"].output
    assert message is not None
    return service._sureFieldsOf(message) is not None


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The answers that were parsed again, in order to validate them."""
    texts: list[str] = []

    def noted(text: str) -> Any:
        texts.append(text)
        return parseAny(text)

    monkeypatch.setattr("wsd.protocols.soap.service.parseAny", noted)
    return texts


class TestACertainType:
    def test_is_a_sequence_of_built_in_types(self, tmp_path: Path, parsed: list[str]) -> None:
        fields = "".join(
            f'<xs:element name="{name}" type="xs:{name}" minOccurs="0" nillable="true"/>' for name in TYPES
        )
        service = serviceOf(tmp_path, PLAIN.format(fields))
        assert isCertain(service)
        values = {
            "string": "ä<&",
            "boolean": True,
            "int": -1,
            "double": 1e300,
            "date": date(1, 1, 1),
            "base64Binary": b"a",
        }
        assert "<n:string>ä&lt;&amp;</n:string>" in answered(
            service, {**values, "dateTime": datetime(1, 1, 1, tzinfo=UTC)}
        )
        assert parsed == []

    def test_may_be_empty(self, tmp_path: Path, parsed: list[str]) -> None:
        answered(serviceOf(tmp_path, PLAIN.format("")), None)
        assert len(parsed) <= 1

    @pytest.mark.parametrize(
        "answer",
        [
            '<xs:element name="AskResponse" type="Other"/>',
            '<xs:element name="AskResponse" type="xs:int"/>',
            PLAIN.format('<xs:element name="a" type="xs:int" fixed="5"/>'),
            PLAIN.format('<xs:element name="a" type="xs:int" default="5"/>'),
            PLAIN.format('<xs:element name="a" type="Small"/>'),
            PLAIN.format('<xs:element name="a" type="Other"/>'),
            PLAIN.format('<xs:element name="a" type="xs:int" maxOccurs="2"/>'),
            PLAIN.format('<xs:element name="a" type="xs:decimal"/>'),
            PLAIN.format(
                '<xs:element name="a"><xs:simpleType><xs:restriction base="xs:int"/></xs:simpleType></xs:element>'
            ),
            PLAIN.format('<xs:choice><xs:element name="a" type="xs:int"/></xs:choice>'),
            PLAIN.format('<xs:any processContents="skip"/>'),
            PLAIN.format('<xs:element name="a" type="xs:int"/>').replace(
                "<xs:sequence>", '<xs:sequence minOccurs="0">'
            ),
            PLAIN.format('<xs:element name="a" type="xs:int"/>').replace(
                "</xs:sequence>", '</xs:sequence><xs:attribute name="b" type="xs:int"/>'
            ),
            PLAIN.format('<xs:element name="a" type="xs:string"/>').replace(
                "</xs:complexType>",
                '</xs:complexType><xs:unique name="u"><xs:selector xpath="a"/><xs:field xpath="."/></xs:unique>',
            ),
            PLAIN.format('<xs:element name="a" type="xs:int"/>').replace(
                "complexType>", 'complexType mixed="true">', 1
            ),
        ],
    )
    def test_is_none_with_anything_else_in_the_schema(self, tmp_path: Path, answer: str) -> None:
        assert not isCertain(serviceOf(tmp_path, answer))


class TestAValue:
    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("int", 1 << 31),
            ("byte", -129),
            ("string", "a\0b"),
            ("string", "a\ud800"),
            ("string", "\ufffe"),
            ("int", None),
        ],
    )
    def test_that_is_not_valid_is_still_refused(self, tmp_path: Path, kind: str, value: Any) -> None:
        service = serviceOf(tmp_path, PLAIN.format(f'<xs:element name="a" type="xs:{kind}"/>'))
        assert isCertain(service)
        with pytest.raises(ValueError, match=r"not a valid value|cannot be written|encode|Missing child"):
            answered(service, value)

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("string", "two\nlines"),
            ("int", 5),
            ("dateTime", datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
            ("double", 5),
        ],
    )
    def test_that_is_not_sure_is_validated(self, tmp_path: Path, parsed: list[str], kind: str, value: Any) -> None:
        service = serviceOf(tmp_path, PLAIN.format(f'<xs:element name="a" type="xs:{kind}"/>'))
        answered(service, value)
        assert len(parsed) == (0 if kind == "int" else 1)

    def test_of_a_certain_type_is_always_valid(self, tmp_path: Path) -> None:
        fields = "".join(f'<xs:element name="{name}" type="xs:{name}" minOccurs="0"/>' for name in TYPES)
        service = serviceOf(tmp_path, PLAIN.format(fields))
        message = service.contract.operations["Ask"].output
        assert message is not None
        sure = service._sureFieldsOf(message)
        assert sure is not None
        kinds = {
            "string": st.text(), "boolean": st.booleans(), "byte": st.integers(-200, 200),
            "short": st.integers(-40_000, 40_000), "int": st.integers(), "long": st.integers(), "double": st.floats(),
            "date": st.dates(), "dateTime": st.datetimes(timezones=st.sampled_from([None, UTC])),
            "base64Binary": st.binary(),
        }  # fmt: skip

        @settings(deadline=None, max_examples=400)
        @given(st.fixed_dictionaries({}, optional=kinds))
        def check(value: dict[str, Any]) -> None:
            if isSure(sure, value):
                service._validated(service._written(message, value))

        check()
