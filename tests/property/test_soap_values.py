"""Any value of any content model is written, valid by lxml's own reading of the schema, and read back as it was."""

from __future__ import annotations

import string
from dataclasses import fields, is_dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.protocols.soap.mirror import Mirror, schemaOf
from wsd.protocols.soap.schema.content import ModelGroup
from wsd.protocols.soap.schema.datatypes import SimpleType
from wsd.protocols.soap.schema.fields import Field, Named
from wsd.protocols.soap.schema.values import ComplexType

TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\t\n\r")
)
INTS = st.integers(-(1 << 31), (1 << 31) - 1)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=3)
MOMENTS = st.datetimes(timezones=st.just(UTC))
SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "xs:string": TEXTS,
    "xs:int": INTS,
    "xs:unsignedByte": st.integers(0, 255),
    "xs:decimal": DECIMALS,
    "xs:double": st.floats(allow_nan=False),
    "xs:boolean": st.booleans(),
    "xs:date": st.dates(),
    "xs:dateTime": MOMENTS,
    "xs:time": st.times(),
    "xs:duration": st.timedeltas(),
    "xs:base64Binary": st.binary(),
    "xs:hexBinary": st.binary(),
    "xs:token": st.text(string.ascii_letters),
    "Colour": st.sampled_from(["red", "dark blue", ""]),
    "Numbers": st.lists(INTS),
    "Either": INTS | st.sampled_from(["red", "", "five"]),
}
"""Values of each simple type."""
KEYS = st.text(string.ascii_letters, min_size=1, max_size=3)
BARE = (
    TEXTS | st.integers() | DECIMALS | st.floats(allow_nan=False) | st.booleans() | st.dates() | MOMENTS | st.binary()
)
ANYTHING = st.recursive(
    BARE,
    lambda inner: st.dictionaries(
        KEYS, inner | st.none() | st.lists(inner, min_size=2, max_size=3), min_size=1, max_size=3
    ),
    max_leaves=5,
)
"""What has no type: of an empty mapping nothing remains, and a list of one is that one."""
DECLARED = """
<xs:simpleType name="Colour"><xs:restriction base="xs:string"><xs:enumeration value="red"/>
<xs:enumeration value="dark blue"/><xs:enumeration value=""/></xs:restriction></xs:simpleType>
<xs:simpleType name="Numbers"><xs:list itemType="xs:int"/></xs:simpleType>
<xs:simpleType name="Either"><xs:union memberTypes="xs:int Five"/></xs:simpleType>
<xs:simpleType name="Five"><xs:restriction base="xs:string"><xs:maxLength value="4"/></xs:restriction></xs:simpleType>
<xs:complexType name="Base" abstract="true"><xs:sequence>
<xs:element name="x" type="xs:int" minOccurs="0"/></xs:sequence>
<xs:attribute name="q" type="xs:int"/></xs:complexType>
<xs:complexType name="More"><xs:complexContent><xs:extension base="Base"><xs:choice maxOccurs="2">
<xs:element name="y" type="xs:string"/><xs:element name="z" type="Base"/></xs:choice></xs:extension></xs:complexContent>
</xs:complexType>
<xs:complexType name="Less"><xs:complexContent><xs:restriction base="Base"><xs:sequence>
<xs:element name="x" type="xs:int" minOccurs="0"/></xs:sequence><xs:attribute name="q" use="prohibited"/>
</xs:restriction></xs:complexContent></xs:complexType>
<xs:complexType name="Text" mixed="true"><xs:choice minOccurs="0" maxOccurs="unbounded">
<xs:element name="b" type="xs:string"/><xs:element ref="shape"/></xs:choice></xs:complexType>
<xs:element name="shape" type="xs:int"/><xs:element name="circle" substitutionGroup="shape"/>
"""
ONCE = (1, "1")
OFTEN = [ONCE, (0, "1"), (0, "unbounded"), (1, "3"), (2, "2")]
"""minOccurs and maxOccurs."""
LEAVES = [*SIMPLE, "Base", "Text", "xs:anyType", "shape"]


def often(how: tuple[int, str]) -> str:
    return f'minOccurs="{how[0]}" maxOccurs="{how[1]}"'


@st.composite
def contents(draw: st.DrawFn, depth: int = 0, isFirst: bool = False, names: list[str] | None = None) -> str:
    """
    A particle. Each element has a name of its own, but for `shape`, so that the schema is unambiguous.

    The first in a group that repeats is there once, or nobody could tell where a turn ends.
    """
    names = [] if names is None else names
    how = ONCE if isFirst else draw(st.sampled_from(OFTEN))
    if depth < 3 and draw(st.booleans()):
        kind = draw(st.sampled_from(["sequence", "choice"]))
        isBound = isFirst or how[1] != "1"
        count = draw(st.integers(1, 3))
        parts = [
            draw(contents(depth + 1, isBound and (kind == "choice" or not number), names)) for number in range(count)
        ]
        return f"<xs:{kind} {often(how)}>{''.join(parts)}</xs:{kind}>"
    drawn = draw(st.sampled_from(LEAVES))
    name = "shape" if drawn == "shape" else f"e{len(names)}"
    if drawn == "shape":
        assume("shape" not in names)
    names.append(name)
    if drawn == "shape":
        return f'<xs:element ref="shape" {often(how)}/>'
    isNillable = how == ONCE and draw(st.booleans()) and not isFirst
    return f'<xs:element name="{name}" type="{drawn}" {often(how)} nillable="{str(isNillable).lower()}"/>'


def valueOf(draw: st.DrawFn, each: Field) -> Any:
    """A value for one child."""
    if each.isNillable and draw(st.booleans()):
        return None
    if each.tag.endswith("}shape"):
        return draw(INTS | st.builds(Named, st.just("circle"), INTS))
    if isinstance(each.type, SimpleType):
        name = each.type.name if each.type.name in SIMPLE else f"xs:{each.type.name}"
        return draw(SIMPLE[name])
    if each.type.name == "anyType":
        return draw(ANYTHING)
    if each.type.name == "Text":
        pieces = draw(
            st.lists(
                TEXTS.filter(bool) | st.builds(Named, st.just("b"), TEXTS) | st.builds(Named, st.just("circle"), INTS)
            )
        )
        return {"content": joined(pieces)}
    return draw(
        st.sampled_from(
            [
                {"xsi:type": "Less", "x": 1},
                {"xsi:type": "More", "q": 5, "rows": [{"y": "a"}, {"z": {"xsi:type": "Less"}}]},
            ]
        )
    )


def joined(pieces: list[Any]) -> list[Any]:
    """Texts that follow each other are one."""
    found: list[Any] = []
    for piece in pieces:
        if isinstance(piece, str) and found and isinstance(found[-1], str):
            found[-1] += piece
        else:
            found.append(piece)
    return found


def fill(draw: st.DrawFn, part: Field | ModelGroup, values: dict[str, Any], isOnce: bool = False) -> None:
    """A few turns of a particle."""
    least, most = (1, 1) if isOnce else part.occurs
    for _ in range(draw(st.integers(int(least), int(min(most, least + 2))))):
        if isinstance(part, Field):
            value = valueOf(draw, part)
            if part.isList:
                values.setdefault(part.name, []).append(value)
            else:
                values[part.name] = value
        elif part.rows is not None and not isOnce:
            row: dict[str, Any] = {}
            fill(draw, part, row, isOnce=True)
            values.setdefault(part.rows.name, []).append(row)
        elif part.kind == "choice":
            fill(draw, draw(st.sampled_from(part.parts)), values)
        else:
            for each in part.parts:
                fill(draw, each, values)


@st.composite
def filled(draw: st.DrawFn, root: ModelGroup) -> dict[str, Any]:
    """Values of a whole content."""
    values: dict[str, Any] = {}
    fill(draw, root, values)
    return values


def whole(schemaType: ComplexType, values: dict[str, Any]) -> dict[str, Any]:
    """What is read for a value that was written; nothing is told of what it does not have."""
    found: dict[str, Any] = {}
    for each in (*schemaType.attributes, *schemaType.fields):
        value = values.get(each.name)
        if value is not None and value != []:
            isMany = isinstance(value, list) and each.isList
            found[each.name] = [readAs(each.type, item) for item in value] if isMany else readAs(each.type, value)
    return found


def readAs(schemaType: Any, value: Any) -> Any:
    if not isinstance(value, dict) or not isinstance(schemaType, ComplexType) or schemaType.name == "anyType":
        return value
    if "xsi:type" in value:
        types: Any = schemaType.types
        schemaType = types.named(f"{{urn:mirror}}{value['xsi:type']}")
    return schemaType.name, whole(schemaType, value)


def told(value: Any) -> Any:
    """A value as `whole` tells it."""
    if isinstance(value, list):
        return [told(each) for each in value]
    if is_dataclass(value) and not isinstance(value, Named):
        held = {each.name: getattr(value, each.name) for each in fields(value)}
        return type(value).__name__, {
            name: told(each) for name, each in held.items() if each is not None and each != []
        }
    return value


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mirror")


class TestAnyValue:
    @settings(
        max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
    )
    @given(content=contents(), data=st.data())
    def test_it_comes_back(self, folder: Path, content: str, data: st.DataObject) -> None:
        mirror = Mirror(
            folder,
            schemaOf(f'{DECLARED}<xs:complexType name="T"><xs:sequence>{content}</xs:sequence></xs:complexType>'),
        )
        schemaType = mirror.contract.types.named("{urn:mirror}T")
        assert isinstance(schemaType, ComplexType)
        values = data.draw(filled(schemaType.model))
        text = mirror.service.answer(mirror.contract.operations["Mirror"], values)
        assert told(mirror.readMessage(text.replace("MirrorResponse", "Mirror"))) == ("T", whole(schemaType, values))
