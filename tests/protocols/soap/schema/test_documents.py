"""Schemas in several files: chameleons, which take the namespace of the including schema, and the attributes of XML."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from tests.protocols.soap.features import plain
from tests.protocols.soap.mirror import NAMES, SPACE, XSD, Mirror, canonical, schemaOf
from wsd.protocols.soap.names import XML
from wsd.protocols.soap.wsdl.reader import readContract

OUTER = """<xs:include schemaLocation="inner.xsd"/>
<xs:complexType name="Part"><xs:sequence><xs:element name="deep" type="Deep"/><xs:element ref="top"/>
<xs:group ref="pair"/></xs:sequence><xs:attributeGroup ref="marked"/></xs:complexType>
<xs:element name="top" type="Deep"/>"""
INNER = """<xs:include schemaLocation="outer.xsd"/>
<xs:complexType name="Deep"><xs:sequence><xs:element name="part" type="Part" minOccurs="0"/>
<xs:element name="code" type="Code" minOccurs="0"/></xs:sequence></xs:complexType>
<xs:simpleType name="Code"><xs:restriction base="Text"><xs:maxLength value="3"/></xs:restriction></xs:simpleType>
<xs:simpleType name="Text"><xs:restriction base="xs:string"/></xs:simpleType>
<xs:group name="pair"><xs:sequence><xs:element name="left" type="Code"/></xs:sequence></xs:group>
<xs:attributeGroup name="marked"><xs:attribute name="mark" type="Code"/></xs:attributeGroup>"""
WHOLE = """<xs:import namespace="urn:o" schemaLocation="other.xsd"/><xs:include schemaLocation="outer.xsd"/>
<xs:complexType name="T"><xs:sequence><xs:element name="p" type="Part"/>
<xs:element ref="o:part" xmlns:o="urn:o"/></xs:sequence></xs:complexType>"""
LIKE = '<xs:element name="part" type="o:Part"/>'
CONTENT = "<deep><code>abc</code></deep><top><code>t</code></top><left>l</left>"
ITEM = f'<item><p mark="x">{CONTENT}</p><part xmlns="urn:o">{CONTENT}</part></item>'


def schema(content: str, more: str = "") -> str:
    return f'<xs:schema xmlns:xs="{XSD}" elementFormDefault="qualified" {more}>{content}</xs:schema>'


class TestOneWithoutANamespace:
    @pytest.fixture
    def mirror(self, tmp_path: Path) -> Mirror:
        """A schema without a namespace, in two files that include each other, included by two namespaces."""
        other = '<xs:include schemaLocation="outer.xsd"/>' + LIKE
        (tmp_path / "outer.xsd").write_text(schema(OUTER), "utf-8")
        (tmp_path / "inner.xsd").write_text(schema(INNER), "utf-8")
        (tmp_path / "other.xsd").write_text(schema(other, 'targetNamespace="urn:o" xmlns:o="urn:o"'), "utf-8")
        return Mirror(tmp_path, schemaOf(WHOLE))

    def test_it_is_of_each_namespace_that_includes_it(self, mirror: Mirror) -> None:
        part = {"deep": {"part": None, "code": "abc"}, "top": {"part": None, "code": "t"}, "left": "l"}
        assert plain(mirror.read(ITEM)) == {"p": {"mark": "x", **part}, "part": {"mark": None, **part}}
        assert mirror.write(mirror.seen) == canonical(etree.fromstring(f"<Mirror {NAMES}>{ITEM}</Mirror>"))

    def test_what_is_published_is_read_by_zeep(self, mirror: Mirror) -> None:
        client = mirror.zeep()
        said = etree.fromstring(f"<Mirror {NAMES}>{ITEM}</Mirror>")
        known = client.wsdl.types.get_element(f"{{{SPACE}}}Mirror").parse(said, client.wsdl.types)
        assert str(client.service.Mirror(known.item)) == str(known.item)


IMPORT = f'<xs:import namespace="{XML}"{{}}/>'
ATTRIBUTES = """<xs:complexType name="T"><xs:simpleContent><xs:extension base="xs:string">
<xs:attribute ref="xml:lang"/><xs:attribute ref="xml:space"/><xs:attribute ref="xml:base"/><xs:attribute ref="xml:id"/>
</xs:extension></xs:simpleContent></xs:complexType>"""
GROUP = """<xs:complexType name="T"><xs:simpleContent><xs:extension base="xs:string">
<xs:attributeGroup ref="xml:specialAttrs"/></xs:extension></xs:simpleContent></xs:complexType>"""
SAID = '<item xml:base="http://a/" xml:id="i" xml:lang="de" xml:space="preserve"> x</item>'


class TestAttributesOfXml:
    @pytest.mark.parametrize(
        "link",
        [
            IMPORT.format(' schemaLocation="http://www.w3.org/2001/xml.xsd"'),
            IMPORT.format(' schemaLocation="xml.xsd"'),
            IMPORT.format(""),
            "",
        ],
    )
    @pytest.mark.parametrize("content", [ATTRIBUTES, GROUP])
    def test_they_are_known_however_they_are_imported(self, tmp_path: Path, link: str, content: str) -> None:
        mirror = Mirror(tmp_path, schemaOf(link + content), isRefereed=False)
        assert plain(mirror.read(SAID)) == {
            "value": " x", "lang": "de", "space": "preserve", "base": "http://a/", "id": "i",
        }  # fmt: skip
        assert mirror.write(mirror.seen) == canonical(etree.fromstring(f"<Mirror {NAMES}>{SAID}</Mirror>"))
        assert mirror.wrong(etree.fromstring(f'<Mirror {NAMES}><item xml:lang="n n"/></Mirror>'))

    def test_an_id_is_there_only_where_it_is_used(self, tmp_path: Path) -> None:
        """Validating an xs:ID costs more than validating other types."""
        only = '<xs:complexType name="T"><xs:attribute ref="xml:lang"/></xs:complexType>'
        for content, isThere in ((only, False), (ATTRIBUTES, True), (GROUP, True)):
            schemas = Mirror(tmp_path, schemaOf(content), isRefereed=False).contract.documents
            assert (schemas.declared("attribute", f"{{{XML}}}id") is not None) is isThere

    def test_a_file_beside_the_contract_comes_first(self, tmp_path: Path) -> None:
        own = (
            f'<xs:schema xmlns:xs="{XSD}" targetNamespace="{XML}"><xs:attribute name="lang" type="xs:int"/></xs:schema>'
        )
        (tmp_path / "xml.xsd").write_text(own, "utf-8")
        only = '<xs:complexType name="T"><xs:attribute ref="xml:lang"/></xs:complexType>'
        mirror = Mirror(tmp_path, schemaOf(IMPORT.format(' schemaLocation="xml.xsd"') + only))
        assert plain(mirror.read('<item xml:lang="5"/>')) == {"lang": 5}

    def test_what_is_published_can_be_read_again(self, tmp_path: Path) -> None:
        mirror = Mirror(tmp_path, schemaOf(IMPORT.format("") + ATTRIBUTES), isRefereed=False)
        client = mirror.zeep()
        assert client.service.Mirror({"_value_1": "x", "lang": "de"})["lang"] == "de"
        again = readContract(mirror.path.with_name("published.wsdl"))
        assert list(again.byElement) == list(mirror.contract.byElement)
