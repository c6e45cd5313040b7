"""Answers: the values that a function may return, and messages without a complex type."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.protocols.soap.features import (
    BASE,
    DERIVED,
    GROUPS,
    MANY,
    RESTRICTED,
    SHAPES,
    choice,
    derived,
    element,
    expected,
    plain,
    sequence,
    typeT,
)
from tests.protocols.soap.mirror import NAMES, SPACE, XSD, XSI, Mirror, canonical, schemaOf
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.schema.fields import Named
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.wsdl.reader import readContract


class Tone(Enum):
    LOUD = "loud"


@dataclass
class D:
    """A class with the name of the derived type."""

    x: int
    y: int
    z: int | None = None


@dataclass
class Other:
    x: int


ABSTRACT = BASE.format('abstract="true"') + DERIVED + RESTRICTED
BOTH = BASE.format("") + DERIVED + RESTRICTED


def answered(folder: Path, schema: str, value: Any, typeName: str = "T") -> str:
    return Mirror(folder, schemaOf(schema, element("item", typeName))).write(value)


class TestAnswers:
    @pytest.mark.parametrize(
        ("value", "told"),
        [
            (D(1, 2, 3), "<item type='{urn:mirror}D' z='3'><x>1</x><y>2</y></item>"),
            ({"xsi:type": "D", "x": 1, "z": 3}, "<item type='{urn:mirror}D' z='3'><x>1</x></item>"),
            ({"xsi:type": f"{{{SPACE}}}R", "x": 1}, "<item type='{urn:mirror}R'><x>1</x></item>"),
            ({"x": 1}, "<item><x>1</x></item>"),
            (Other(1), "<item><x>1</x></item>"),
        ],
    )
    def test_a_class_or_a_key_says_which_type_it_is(self, tmp_path: Path, value: Any, told: str) -> None:
        assert answered(tmp_path, BOTH, value, "B") == told

    def test_a_type_may_be_of_another_namespace(self, tmp_path: Path) -> None:
        base = BASE.format("").replace('name="x" type', 'name="x" form="unqualified" type')
        other = (
            f'<xs:schema xmlns:xs="{XSD}" xmlns:m="{SPACE}" targetNamespace="urn:o" elementFormDefault="qualified">'
            f'<xs:import namespace="{SPACE}" schemaLocation="mirror.xsd"/>{derived("E", "m:B", sequence(element("e")))}'
            "</xs:schema>"
        )
        (tmp_path / "other.xsd").write_text(other, "utf-8")
        link = '<xs:import namespace="urn:o" schemaLocation="other.xsd"/>'
        mirror = Mirror(tmp_path, schemaOf(link + base, element("item", "B")))
        said = '<item i:type="o:E" xmlns:o="urn:o"><x xmlns="">1</x><o:e>2</o:e></item>'
        assert plain(mirror.read(said)) == {"x": 1, "e": "2"}
        assert mirror.write(mirror.seen) == expected(said)
        assert mirror.write({"xsi:type": "E", "x": 1, "e": "2"}) == expected(said)

    def test_members_of_one_name_are_told_by_their_namespace(self, tmp_path: Path) -> None:
        dot = '<xs:element name="dot" substitutionGroup="m:shape"/>'
        other = (
            f'<xs:schema xmlns:xs="{XSD}" xmlns:m="{SPACE}" targetNamespace="urn:o">'
            f'<xs:import namespace="{SPACE}" schemaLocation="mirror.xsd"/>{dot}</xs:schema>'
        )
        (tmp_path / "other.xsd").write_text(other, "utf-8")
        link = '<xs:import namespace="urn:o" schemaLocation="other.xsd"/>'
        content = typeT(sequence('<xs:element ref="shape" maxOccurs="5"/>'))
        mirror = Mirror(tmp_path, schemaOf(link + SHAPES + dot + content))
        said = '<item><dot>1</dot><o:dot xmlns:o="urn:o">2</o:dot><disc>3</disc></item>'
        named = [Named(f"{{{SPACE}}}dot", "1"), Named("{urn:o}dot", "2"), Named("disc", "3")]
        assert mirror.read(said).shape == named
        assert mirror.write({"shape": named}) == expected(said)
        with pytest.raises(ValueError, match="dot is not one of"):
            mirror.write({"shape": [Named("dot", "1")]})

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ("text", "<item>text</item>"),
            (5, f"<item type='{{{XSD}}}int'>5</item>"),
            (1 << 40, f"<item type='{{{XSD}}}long'>{1 << 40}</item>"),
            (1 << 70, f"<item type='{{{XSD}}}integer'>{1 << 70}</item>"),
            (True, f"<item type='{{{XSD}}}boolean'>true</item>"),
            (1.5, f"<item type='{{{XSD}}}double'>1.5</item>"),
            (Decimal("1.50"), f"<item type='{{{XSD}}}decimal'>1.50</item>"),
            (b"x", f"<item type='{{{XSD}}}base64Binary'>eA==</item>"),
            (date(2026, 1, 31), f"<item type='{{{XSD}}}date'>2026-01-31</item>"),
            (timedelta(1), f"<item type='{{{XSD}}}duration'>PT86400S</item>"),
            (Tone.LOUD, f"<item type='{{{XSD}}}string'>loud</item>"),
            ({"x": 1}, f"<item><{{}}x type='{{{XSD}}}int'>1</{{}}x></item>"),
            (
                {"x": [{"y": "a"}, "b"], "{u}z": None},
                "<item><{}x><{}y>a</{}y></{}x><{}x>b</{}x><{u}z {nil}></{u}z></item>",
            ),
            ({}, "<item></item>"),
            (D(1, 2), "<item type='{urn:mirror}D'><x>1</x><y>2</y></item>"),
            ({"xsi:type": "D", "x": 1}, "<item type='{urn:mirror}D'><x>1</x></item>"),
            (Named("q", 1), f"<item><{{}}q type='{{{XSD}}}int'>1</{{}}q></item>"),
            (etree.fromstring("<q a='1'/>"), "<item><{}q a='1'></{}q></item>"),
            (etree.fromstring(f"<item xmlns='{SPACE}' a='1'>x<q/></item>"), "<item a='1'>x<q></q></item>"),
        ],
    )
    def test_anything_is_written_as_what_it_is(self, tmp_path: Path, value: Any, told: str) -> None:
        nil = f"{{{XSI}}}nil='true'"
        assert answered(tmp_path, BOTH, value, "xs:anyType") == told.replace("{nil}", nil)

    @pytest.mark.parametrize(
        "value",
        [{"x": 1}, Named("x", 1), etree.fromstring(f"<x i:type='x:int' xmlns:x='{XSD}' xmlns:i='{XSI}'>1</x>")],
    )
    def test_an_element_of_any_is_a_mapping_a_named_or_an_element(self, tmp_path: Path, value: Any) -> None:
        schema = typeT(sequence('<xs:any namespace="##local" processContents="lax"/>'))
        assert answered(tmp_path, schema, {"any": value}) == f"<item><{{}}x type='{{{XSD}}}int'>1</{{}}x></item>"

    @pytest.mark.parametrize(
        ("case", "value", "told"),
        [
            ("choice repeated", {"a": [1, 2], "b": ["x"]}, "<a>1</a><a>2</a><b>x</b>"),
            ("sequence repeated", {"k": ["1", "2"], "v": ["x", "y"]}, "<k>1</k><v>x</v><k>2</k><v>y</v>"),
            ("sequence repeated", {"k": ["1", "2"]}, "<k>1</k><k>2</k>"),
        ],
    )
    def test_rows_may_be_written_as_lists(self, tmp_path: Path, case: str, value: Any, told: str) -> None:
        assert answered(tmp_path, GROUPS[case].schema, value) == f"<item>{told}</item>"

    def test_mixed_content_may_be_written_by_its_elements_alone(self, tmp_path: Path) -> None:
        schema = typeT(sequence(element("n", "xs:int") + element("b", more=MANY)), 'mixed="true"')
        mirror = Mirror(tmp_path, schemaOf(schema))
        assert mirror.write({"n": 5, "b": ["x", "y"]}) == "<item><n>5</n><b>x</b><b>y</b></item>"
        assert mirror.write({"content": ["a ", Named("n", 5), " & c"]}) == "<item>a <n>5</n> & c</item>"

    @pytest.mark.parametrize("other", ["", sequence(element("b"))])
    def test_a_choice_may_be_a_sequence_of_nil_elements(self, tmp_path: Path, other: str) -> None:
        """None, or no value at all, means the alternative that can be written as nil, at any depth."""
        nil = sequence(sequence(element("a", "xs:int", 'nillable="true"')))
        schema = typeT(choice(nil + other + element("c", more='maxOccurs="3"')))
        for value in ({"a": None}, {}):
            assert answered(tmp_path, schema, value) == expected('<item><a i:nil="true"/></item>')

    def test_a_missing_attribute_or_child_has_its_default(self, tmp_path: Path) -> None:
        schema = typeT(
            sequence(element("a", "xs:int", 'fixed="5"')) + '<xs:attribute name="r" use="required" fixed="x"/>'
        )
        mirror = Mirror(tmp_path, schemaOf(schema))
        assert mirror.write({"a": None}) == "<item r='x'><a></a></item>"
        assert plain(mirror.read("<item r='x'><a/></item>")) == {"a": 5, "r": "x"}

    @pytest.mark.parametrize(
        ("schema", "typeName", "value", "told"),
        [
            (BOTH, "xs:anyType", object(), "object has no type in XML Schema"),
            (BOTH, "xs:anyType", ["a"], "str is not an element; write a mapping, a Named"),
            (BOTH, "xs:anyType", {"a b": 1}, "Invalid tag name"),
            (BOTH, "xs:anyType", {1: 1}, "1 is not an element name"),
            (BOTH, "B", "text", "str is not a B"),
            (BOTH, "B", {"w": 1}, "B has no w; it has x"),
            (BOTH, "B", {"x": 1, "w": 1}, "B has no w"),
            (BOTH, "B", {"xsi:type": "T", "x": 1}, "T is not a type that is allowed here; allowed are D, R, B"),
            (ABSTRACT, "B", {"x": 1}, "B is abstract; say which type it is, by its class or by the key xsi:type"),
            (GROUPS["choice repeated"].schema, "T", {"rows": [{"c": 1}]}, "a row has no c; it has a, b"),
            (GROUPS["choice repeated"].schema, "T", {"rows": [{"a": 1, "b": "x"}]}, "a, b exclude each other"),
            (GROUPS["choice repeated"].schema, "T", {"rows": ["x"]}, "an object with a, b; 'x' has none"),
            (GROUPS["choice repeated"].schema, "T", {"rows": [{}]}, "an object with a, b; {} has none"),
            (GROUPS["choice repeated"].schema, "T", {"c": [1]}, "T has no c"),
            (GROUPS["sequence repeated"].schema, "T", {"k": ["1", "2"], "v": ["x"]}, "k, v differ in length"),
            (GROUPS["mixed"].schema, "T", {"content": ["x", 5]}, "5 is neither a text, a Named nor an element"),
            (GROUPS["mixed"].schema, "T", {"content": [Named("c", 5)]}, "c is not one of b, n"),
            (
                '<xs:simpleType name="T"><xs:list itemType="xs:string"/></xs:simpleType>', "T", ["a b"],
                "'a b' cannot be an item of a list",
            ),
            (typeT(sequence(element("a", more='default="x"'))), "T", {"a": ""}, "empty element is read as its default"),
            (
                typeT(sequence(element("k") + element("v"), MANY)), "T", {"k": ["1"], "v": []},
                "k, v: these lists differ in length",
            ),
        ],
    )  # fmt: skip
    def test_what_cannot_be_written_is_told(
        self, tmp_path: Path, schema: str, typeName: str, value: Any, told: str
    ) -> None:
        with pytest.raises((TypeError, ValueError)) as caught:
            answered(tmp_path, schema, value, typeName)
        assert told in str(caught.value)


def messages(folder: Path, content: str, **functions: Any) -> Service:
    """Returns a service for a schema that declares its own messages."""
    path = folder / "contract.xsd"
    path.write_text(schemaOf(content, element("item")), "utf-8")
    return Service(readContract(path), {"mirror": lambda item: item, **functions})


def asked(service: Service, content: str) -> str:
    """Returns the answer to a request."""
    body = etree.fromstring(content)
    bound = service.select(body, "")
    text = service.answer(bound.operation, bound.function(**service.arguments(bound, body)))
    return canonical(etree.fromstring(f"<x>{text}</x>"))


class TestWholeMessages:
    def test_one_without_a_type_is_a_value_for_who_takes_it(self, tmp_path: Path) -> None:
        service = messages(tmp_path, '<xs:element name="Do"/><xs:element name="DoResponse"/>', do=lambda value: value)
        assert asked(service, f"<Do {NAMES}>text</Do>") == "<DoResponse>text</DoResponse>"
        typed = f"<DoResponse type='{{{XSD}}}int'>5</DoResponse>"
        assert asked(service, f'<Do {NAMES} i:type="xs:int">5</Do>') == typed

    def test_who_takes_none_is_asked_with_none(self, tmp_path: Path) -> None:
        service = messages(tmp_path, '<xs:element name="Do"/><xs:element name="DoResponse"/>', do=lambda: None)
        assert asked(service, f"<Do {NAMES}/>") == "<DoResponse></DoResponse>"
        with pytest.raises(Fault, match="Do takes no value here"):
            asked(service, f"<Do {NAMES}>text</Do>")

    def test_one_may_say_its_type(self, tmp_path: Path) -> None:
        content = BOTH + '<xs:element name="Do" type="B"/><xs:element name="DoResponse" type="B"/>'
        service = messages(tmp_path, content, do=lambda x, **more: D(x, 2, **more))
        answer = "<DoResponse type='{urn:mirror}D' z='3'><x>1</x><y>2</y></DoResponse>"
        content = f'<Do {NAMES} i:type="D" z="3"><x>1</x></Do>'
        assert asked(service, content).replace("<{}x>", "").replace("</{}x>", "") == answer
        service = messages(tmp_path, content="".join((BOTH, '<xs:element name="Do" type="B"/>')), do=lambda x: None)
        with pytest.raises(Fault, match="Do takes no z here"):
            asked(service, content)

    @pytest.mark.parametrize("answer", [lambda rows: rows, lambda rows: {"rows": rows}])
    def test_rows_may_be_all_of_one(self, tmp_path: Path, answer: Any) -> None:
        rows = GROUPS["choice repeated"].schema
        content = f'{rows}<xs:element name="Do" type="T"/><xs:element name="DoResponse" type="T"/>'
        service = messages(tmp_path, content, do=answer)
        said = "<a>1</a><b>x</b><a>2</a>"
        assert asked(service, f"<Do {NAMES}>{said}</Do>") == f"<DoResponse>{said}</DoResponse>"

    def test_an_empty_one_has_its_default(self, tmp_path: Path) -> None:
        content = '<xs:element name="Do" type="xs:int" default="5"/><xs:element name="DoResponse" type="xs:int"/>'
        service = messages(tmp_path, content, do=lambda value: value + 1)
        assert asked(service, f"<Do {NAMES}/>") == "<DoResponse>6</DoResponse>"

    def test_one_of_a_fault_without_a_type_is_what_was_raised(self, tmp_path: Path) -> None:
        class OddFault(Exception):
            pass

        service = messages(tmp_path, '<xs:element name="OddFault"/>')
        fault = service.faultOf(service.contract.operations["Mirror"], OddFault({"why": 5}))
        assert fault is not None
        assert canonical(fault.detail) == f"<{{}}why type='{{{XSD}}}int'>5</{{}}why>"


class TestDepth:
    NESTED = typeT(sequence(element("kid", "T", MANY)))
    IN_ROWS = typeT(sequence(element("n") + element("kid", "T", MANY), MANY))

    def test_values_are_as_deep_as_an_envelope_may_be(self, tmp_path: Path) -> None:
        mirror = Mirror(tmp_path, schemaOf(self.NESTED))
        said = f"<item>{'<kid>' * 250}{'</kid>' * 250}</item>"
        assert mirror.write(mirror.read(said)) == said

    def test_what_is_too_deep_is_told(self, tmp_path: Path) -> None:
        mirror = Mirror(tmp_path, schemaOf(self.IN_ROWS))
        with pytest.raises(Fault, match="the request is nested too deeply"):
            mirror.read(f"<item>{'<n>x</n><kid>' * 250}{'</kid>' * 250}</item>")

    def test_what_holds_itself_is_told(self, tmp_path: Path) -> None:
        circle: dict[str, Any] = {}
        circle["kid"] = [circle]
        with pytest.raises(ValueError, match="the value is nested too deeply, or contains itself"):
            Mirror(tmp_path, schemaOf(self.NESTED)).write(circle)
