"""Contracts as they are found: of many operations, with portTypes beside SOAP's, in several files; and what is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import zeep
from lxml import etree

from tests.protocols.soap.talk import daemonOf, envelope
from tests.protocols.soap.test_http import ask, post
from tests.socket.library import OPERATIONS
from tests.socket.library import wsdl as library
from wsd.config import ConfigError
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.wsdl.reader import readContract
from wsd.protocols.soap.wsdl.writer import httpWsdl

SPACE = "urn:convert"
TYPES = f"""<s:schema xmlns:s="http://www.w3.org/2001/XMLSchema" targetNamespace="{SPACE}"
elementFormDefault="qualified">
<s:element name="ToCelsius"><s:complexType><s:sequence><s:element name="degrees" type="s:decimal"/></s:sequence>
</s:complexType></s:element>
<s:element name="ToCelsiusResponse"><s:complexType><s:sequence><s:element name="result" type="s:decimal"/></s:sequence>
</s:complexType></s:element></s:schema>"""
MESSAGES = """<w:message name="In"><w:part name="parameters" element="c:ToCelsius"/></w:message>
<w:message name="Out"><w:part name="parameters" element="c:ToCelsiusResponse"/></w:message>
<w:message name="PostIn"><w:part name="degrees" type="s:string"/></w:message>"""
OPERATION = '<w:operation name="ToCelsius"><w:input message="c:{}"/><w:output message="c:Out"/></w:operation>'
PORTS = f"""<w:portType name="Soap">{OPERATION.format("In")}</w:portType>
<w:portType name="Post">{OPERATION.format("PostIn")}</w:portType>"""


def binding(portType: str, style: str = "document", use: str = "literal") -> str:
    """The binding of a portType to SOAP."""
    return (
        f'<w:binding name="{portType}" type="c:{portType}">'
        f'<soap:binding style="{style}" transport="http://schemas.xmlsoap.org/soap/http"/>'
        f'<w:operation name="ToCelsius"><soap:operation soapAction="{SPACE}/do"/>'
        f'<w:input><soap:body use="{use}"/></w:input></w:operation></w:binding>'
    )


def wsdl(content: str) -> str:
    return (
        f'<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" '
        f'xmlns:c="{SPACE}" xmlns:s="http://www.w3.org/2001/XMLSchema" targetNamespace="{SPACE}">{content}'
        "</w:definitions>"
    )


def whole(*bindings: str, types: str = TYPES) -> str:
    return wsdl(f"<w:types>{types}</w:types>{MESSAGES}{PORTS}{''.join(bindings)}")


def write(folder: Path, content: str, name: str = "contract.wsdl") -> Path:
    path = folder / name
    path.write_text(content, "utf-8")
    return path


class TestOneThatIsFound:
    def test_of_many_operations_it_is_served_and_published(self, tmp_path: Path) -> None:
        contract = readContract(write(tmp_path, library("http://localhost/service")))
        service = Service(contract, dict.fromkeys(OPERATIONS, lambda **values: values))
        assert len(service.bound) == len(OPERATIONS) >= 20
        client = zeep.Client(str(write(tmp_path, httpWsdl(contract, "http://localhost/").decode(), "again.wsdl")))
        book = client.get_type("{urn:library}Book")
        assert [name for name, _ in book.elements] == ["id", "name", "price", "since", "address"]
        assert set(dir(client.service)) >= set(OPERATIONS)

    def test_the_port_type_of_soap_is_taken(self, tmp_path: Path) -> None:
        """Older services have another portType for HTTP POST."""
        contract = readContract(write(tmp_path, whole(binding("Soap"))))
        assert contract.portType == "Soap"
        assert contract.byAction.keys() == {f"{SPACE}/do"}

    def test_its_documentation_may_be_in_several_languages(self, tmp_path: Path) -> None:
        """An element with xml:lang in it is a translation; all else is the text."""
        told = """<w:documentation>Converts <b>degrees</b>.
            <p xml:lang="zh-CN">转换 <b>温度</b>。</p> Old and new.<p xml:lang="DE">Rechnet um.</p></w:documentation>"""
        ports = PORTS.replace('<w:operation name="ToCelsius">', f'<w:operation name="ToCelsius">{told}')
        ports = ports.replace('<w:portType name="Soap">', f'<w:portType name="Soap">{told}')
        content = wsdl(f"<w:types>{TYPES}</w:types>{MESSAGES}{ports}{binding('Soap')}")
        contract = readContract(write(tmp_path, content))
        for each in (contract, contract.operations["ToCelsius"]):
            assert each.documentation == "Converts degrees. Old and new."
            assert each.translations == {"zh": "转换 温度。", "de": "Rechnet um."}

    def test_it_may_lie_in_several_files(self, tmp_path: Path) -> None:
        link = f'<s:import namespace="{SPACE}" schemaLocation="types.xsd"/>'
        types = f'<w:types><s:schema xmlns:s="http://www.w3.org/2001/XMLSchema">{link}</s:schema></w:types>'
        write(tmp_path, TYPES, "types.xsd")
        write(tmp_path, wsdl(f"{types}{MESSAGES}{PORTS}"), "abstract.wsdl")
        path = write(tmp_path, wsdl(f'<w:import namespace="{SPACE}" location="abstract.wsdl"/>{binding("Soap")}'))
        module = tmp_path / "degrees.py"
        module.write_text("def toCelsius(degrees):\n    return (degrees - 32) * 5 / 9\n", "utf-8")
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(tmp_path))
            daemon = daemonOf(contract=str(path), service="degrees")
        answer = post(daemon, envelope(f'<ToCelsius xmlns="{SPACE}"><degrees>212</degrees></ToCelsius>'))
        assert answer.root.findtext(".//{*}result") == "100"
        assert b"schemaLocation" not in ask(daemon, "GET /soap?wsdl").body

    def test_its_schema_may_have_no_namespace(self, tmp_path: Path) -> None:
        content = TYPES.replace(f'targetNamespace="{SPACE}"', "")
        contract = readContract(write(tmp_path, content, "degrees.xsd"))
        service = Service(contract, {"toCelsius": lambda degrees: degrees + 1})
        element = etree.fromstring("<ToCelsius><degrees>1.5</degrees></ToCelsius>")
        bound = service.select(element, "")
        result = bound.function(**service.arguments(bound, element))
        assert service.answer(bound.operation, result) == "<ToCelsiusResponse><result>2.5</result></ToCelsiusResponse>"
        published = write(tmp_path, httpWsdl(contract, "http://localhost/").decode(), "again.wsdl")
        assert list(readContract(published).byElement) == ["ToCelsius"]
        assert "ToCelsius" in dir(zeep.Client(str(published)).service)


class TestWhatIsNone:
    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (whole(binding("Soap"), binding("Post")), "has 2 portTypes for SOAP; it must have exactly one"),
            (whole(), "has 0 portTypes for SOAP"),
            (
                whole(binding("Soap", "rpc")),
                "the part parameters of ToCelsius must have a type, since it is rpc/literal",
            ),
            (
                whole(binding("Soap", "rpc", use="encoded")),
                "ToCelsius is rpc/encoded; only document/literal and rpc/literal are supported",
            ),
            (
                whole(binding("Soap", use="encoded")),
                "ToCelsius is document/encoded; only document/literal and rpc/literal are supported",
            ),
            (whole(binding("Soap"), types=TYPES.replace("ToCelsiusResponse", "x")), "no element {urn:convert}ToCel"),
            (whole(binding("Soap"), types=TYPES.replace('"s:decimal"', '"s:nope"')), "schema is invalid"),
        ],
    )
    def test_it_is_told(self, tmp_path: Path, content: str, told: str) -> None:
        path: Any = write(tmp_path, content)
        with pytest.raises(ConfigError) as caught:
            readContract(path)
        assert told in str(caught.value)
