"""Published contracts: clients that read one can call every operation of the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import zeep
from lxml import etree

from tests.protocols.soap.mirror import XSD, Here
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.wsdl.policy import Credentials
from wsd.protocols.soap.wsdl.reader import readContract
from wsd.protocols.soap.wsdl.writer import httpWsdl, webSocketWsdl

SCHEMA = f"""<xs:schema xmlns:xs="{XSD}" targetNamespace="urn:{{0}}" elementFormDefault="qualified">
<xs:element name="Ask"><xs:complexType><xs:sequence><xs:element name="{{0}}" type="xs:int"/></xs:sequence>
</xs:complexType></xs:element><xs:element name="Answer" type="xs:{{1}}"/><xs:element name="Wrong" type="xs:{{1}}"/>
</xs:schema>"""
MESSAGE = '<w:message name="{0}{1}"><w:part name="parameters" element="{0}:{1}"/></w:message>'
OPERATION = """<w:operation name="Ask{0}"><w:input message="t:{0}Ask"/><w:output message="t:{0}Answer"/>
<w:fault name="Bad" message="t:{0}Wrong"/><w:fault name="Worse" message="t:{1}Wrong"/></w:operation>"""
WSDL = f"""<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/" xmlns:t="urn:t" xmlns:a="urn:a" xmlns:b="urn:b"
targetNamespace="urn:t"><w:types>{SCHEMA.format("a", "int")}{SCHEMA.format("b", "string")}</w:types>
{"".join(MESSAGE.format(namespace, name) for namespace in "ab" for name in ("Ask", "Answer", "Wrong"))}
<w:portType name="Both">{OPERATION.format("a", "b")}{OPERATION.format("b", "a")}</w:portType></w:definitions>"""


class Bad(Exception):
    """The fault of an operation's own namespace."""


class Worse(Exception):
    """The fault of the other namespace."""


def askA(a: int) -> int:
    if a == 1:
        raise Bad(7)
    if a == 2:
        raise Worse("of b")
    return a + 1


def askB(b: int) -> str:
    return "b" * b


@pytest.fixture
def service(tmp_path: Path) -> Service:
    path = tmp_path / "both.wsdl"
    path.write_text(WSDL, "utf-8")
    return Service(readContract(path), {"askA": askA, "askB": askB, "Aska": askA, "Askb": askB})


def clientOf(service: Service, folder: Path) -> Any:
    published = folder / "published.wsdl"
    published.write_bytes(httpWsdl(service.contract, "http://localhost/soap"))
    return zeep.Client(str(published), transport=Here(service)).service


class TestMessagesOfOneNameInTwoNamespaces:
    def test_each_can_be_called(self, service: Service, tmp_path: Path) -> None:
        client = clientOf(service, tmp_path)
        assert client.Aska(5) == 6
        assert client.Askb(3) == "bbb"

    def test_their_faults_can_be_told_from_each_other(self, service: Service, tmp_path: Path) -> None:
        client = clientOf(service, tmp_path)
        for asked, tag, text in ((1, "{urn:a}Wrong", "7"), (2, "{urn:b}Wrong", "of b")):
            with pytest.raises(zeep.exceptions.Fault) as caught:
                client.Aska(asked)
            (detail,) = caught.value.detail
            assert (detail.tag, detail.text) == (tag, text)

    @pytest.mark.parametrize("publish", [httpWsdl, webSocketWsdl])
    def test_the_contract_comes_back_as_it_was(self, service: Service, tmp_path: Path, publish: Any) -> None:
        path = tmp_path / "again.wsdl"
        path.write_bytes(publish(service.contract, "http://localhost/"))
        again = readContract(path)
        for name, operation in service.contract.operations.items():
            other = again.operations[name]
            for mine, theirs in ((operation.input, other.input), (operation.output, other.output)):
                assert mine is not None
                assert theirs is not None
                assert (mine.element, mine.action) == (theirs.element, theirs.action)
            told = [{each.element for each in one.faults.values()} for one in (operation, other)]
            assert told[0] == told[1]

    def test_of_schemas_alone_the_second_has_an_underscore(self, tmp_path: Path) -> None:
        parts = {}
        for namespace in "ab":
            element = '<xs:element name="{}"><xs:complexType><xs:sequence><xs:element name="{}" type="xs:int"/>'
            end = "</xs:sequence></xs:complexType></xs:element>"
            parts[namespace] = "".join(element.format(name, namespace) + end for name in ("Ask", "AskResponse"))
        schema = (
            f'<xs:schema xmlns:xs="{XSD}" targetNamespace="urn:{{}}" elementFormDefault="qualified">{{}}</xs:schema>'
        )
        (tmp_path / "b.xsd").write_text(schema.format("b", parts["b"]), "utf-8")
        link = '<xs:import namespace="urn:b" schemaLocation="b.xsd"/>'
        (tmp_path / "a.xsd").write_text(schema.format("a", link + parts["a"]), "utf-8")
        service = Service(readContract(tmp_path / "a.xsd"), {"ask": lambda a: a + 1, "ask_": lambda b: b + 2})
        client = clientOf(service, tmp_path)
        assert client.Ask(1) == 2
        assert client.Ask_(1) == 3


NAMES = {
    "w": "http://schemas.xmlsoap.org/wsdl/",
    "p": "http://schemas.xmlsoap.org/ws/2004/09/policy",
    "u": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd",
    "sp": "http://schemas.xmlsoap.org/ws/2005/07/securitypolicy",
}
ADDRESSING, BINARY, MTOM = "UsingAddressing", "BinaryEncoding", "OptimizedMimeSerialization"


class TestThePolicies:
    """Each port says in its policy what its client must do, as WCF reads it."""

    @staticmethod
    def portsOf(wsdl: bytes) -> dict[str, list[str]]:
        """Returns the assertions of each port, by its name."""
        root = etree.fromstring(wsdl)
        found = {}
        for port in root.iterfind("w:service/w:port", NAMES):
            binding = port.get("binding").partition(":")[2]
            path = f"string(w:binding[@name='{binding}']/p:PolicyReference/@URI)"
            name = root.xpath(path, namespaces=NAMES)[1:]
            assertions = root.xpath(f"p:Policy[@u:Id='{name}']/p:ExactlyOne/p:All/*", namespaces=NAMES)
            found[port.get("name")] = [etree.QName(each).localname for each in assertions]
        return found

    def test_each_encoding_has_a_port_over_a_websocket(self, service: Service) -> None:
        assert self.portsOf(webSocketWsdl(service.contract, "ws://localhost/")) == {
            "WebSocket": [ADDRESSING],
            "WebSocketBinary": [BINARY, ADDRESSING],
            "WebSocketMtom": [MTOM, ADDRESSING],
        }

    def test_and_over_http_where_text_needs_no_addressing(self, service: Service) -> None:
        assert self.portsOf(httpWsdl(service.contract, "http://localhost/")) == {
            "Soap12": [],
            "Soap11": [],
            "Binary": [BINARY, ADDRESSING],
            "Mtom": [MTOM, ADDRESSING],
        }

    @pytest.mark.parametrize(("publish", "scheme"), [(httpWsdl, "https"), (webSocketWsdl, "wss")])
    def test_over_tls_each_port_says_so(self, service: Service, publish: Any, scheme: str) -> None:
        wsdl = publish(service.contract, f"{scheme}://localhost/")
        assert {each[-1] for each in self.portsOf(wsdl).values()} == {"TransportBinding"}
        tokens = etree.fromstring(wsdl).xpath("//sp:TransportToken/p:Policy/sp:HttpsToken", namespaces=NAMES)
        assert {each.get("RequireClientCertificate") for each in tokens} == {"false"}

    @pytest.mark.parametrize("publish", [httpWsdl, webSocketWsdl])
    def test_basic_authentication_is_in_each_of_them(self, service: Service, publish: Any) -> None:
        for location in ("http://localhost/", "https://localhost/"):
            ports = self.portsOf(publish(service.contract, location, Credentials.basic)).values()
            assert all("BasicAuthentication" in each for each in ports)

    @pytest.mark.parametrize(("publish", "scheme"), [(httpWsdl, "https"), (webSocketWsdl, "wss")])
    def test_so_is_a_username_token_over_tls(self, service: Service, publish: Any, scheme: str) -> None:
        root = etree.fromstring(publish(service.contract, f"{scheme}://localhost/", Credentials.usernameToken))
        policies = root.findall("p:Policy/p:ExactlyOne/p:All", NAMES)
        assert len(policies) == len(root.findall("w:service/w:port", NAMES))
        for each in policies:
            binding = each.find("sp:TransportBinding/p:Policy", NAMES)
            assert binding.find("sp:IncludeTimestamp", NAMES) is not None
            assert binding.find("sp:TransportToken/p:Policy/sp:HttpsToken", NAMES) is not None
            token = each.find("sp:SignedSupportingTokens/p:Policy/sp:UsernameToken", NAMES)
            assert token.get(f"{{{NAMES['sp']}}}IncludeToken").endswith("/AlwaysToRecipient")
            assert token.find("p:Policy/sp:WssUsernameToken10", NAMES) is not None
            assert each.find("sp:Wss10", NAMES) is not None

    def test_without_tls_a_username_token_is_not_offered(self, service: Service) -> None:
        ports = self.portsOf(httpWsdl(service.contract, "http://localhost/", Credentials.usernameToken))
        assert not any("Supporting" in assertion for each in ports.values() for assertion in each)
