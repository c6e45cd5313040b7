"""rpc/literal: each message has an element with its parts (WS-I Basic Profile 1.1, 4.7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import zeep
from lxml import etree

from tests.protocols.soap.mirror import XSD, Here
from wsd.config import ConfigError
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.wsdl.reader import readContract
from wsd.protocols.soap.wsdl.writer import httpWsdl

WSDL = f"""<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
 xmlns:xs="{XSD}" xmlns:t="urn:shop" xmlns:d="urn:data" targetNamespace="urn:shop" name="Shop">
<w:types>
 <xs:schema targetNamespace="urn:data" elementFormDefault="qualified">
  <xs:complexType name="Item"><xs:sequence><xs:element name="name" type="xs:string"/>
   <xs:element name="price" type="xs:decimal" minOccurs="0"/></xs:sequence></xs:complexType>
  <xs:complexType name="Items"><xs:sequence>
   <xs:element name="item" type="d:Item" minOccurs="0" maxOccurs="unbounded"/></xs:sequence></xs:complexType>
  <xs:element name="Missing"><xs:complexType><xs:sequence><xs:element name="name" type="xs:string"/></xs:sequence>
  </xs:complexType></xs:element>
 </xs:schema>
</w:types>
<w:message name="Price"><w:part name="item" type="d:Item"/><w:part name="count" type="xs:int"/></w:message>
<w:message name="PriceOut"><w:part name="total" type="xs:decimal"/></w:message>
<w:message name="None"/>
<w:message name="All"><w:part name="items" type="d:Items"/><w:part name="more" type="xs:boolean"/></w:message>
<w:message name="Missing"><w:part name="fault" element="d:Missing"/></w:message>
<w:message name="Log"><w:part name="text" type="xs:string"/></w:message>
<w:portType name="Shop">
 <w:operation name="price"><w:input message="t:Price"/><w:output message="t:PriceOut"/>
  <w:fault name="Missing" message="t:Missing"/></w:operation>
 <w:operation name="all"><w:input message="t:None"/><w:output message="t:All"/></w:operation>
 <w:operation name="log"><w:input message="t:Log"/></w:operation>
</w:portType>
<w:binding name="Shop" type="t:Shop"><soap:binding style="rpc" transport="http://schemas.xmlsoap.org/soap/http"/>
 <w:operation name="price"><soap:operation soapAction="urn:price"/>
  <w:input><soap:body use="literal" namespace="urn:calls"/></w:input>
  <w:output><soap:body use="literal" namespace="urn:calls"/></w:output>
  <w:fault name="Missing"><soap:fault name="Missing" use="literal"/></w:fault></w:operation>
 <w:operation name="all"><soap:operation soapAction=""/>
  <w:input><soap:body use="literal" namespace="urn:calls"/></w:input>
  <w:output><soap:body use="literal" namespace="urn:calls"/></w:output></w:operation>
 <w:operation name="log"><soap:operation soapAction=""/>
  <w:input><soap:body use="literal"/></w:input></w:operation>
</w:binding>
<w:service name="Shop"><w:port name="Shop" binding="t:Shop"><soap:address location="http://localhost/soap"/></w:port>
</w:service></w:definitions>"""


class Missing(Exception):
    """The fault of the contract."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no {name}")
        self.name = name


class Shop:
    """The functions: parts are their parameters."""

    def __init__(self) -> None:
        self.logged: list[str] = []

    def price(self, item: Any, count: int) -> Any:
        if item.price is None:
            raise Missing(item.name)
        return item.price * count

    def all(self) -> dict[str, Any]:
        return {"items": {"item": [{"name": "a", "price": 1}, {"name": "b"}]}, "more": False}

    def log(self, text: str) -> None:
        self.logged.append(text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shop.wsdl"
    path.write_text(WSDL, "utf-8")
    return path


@pytest.fixture
def service(path: Path) -> Service:
    return Service(readContract(path), Shop())


class TestTheElements:
    def test_have_the_namespace_of_the_body_and_parts_without_one(self, service: Service) -> None:
        price, every, log = service.contract.operations.values()
        assert price.input is not None
        assert price.output is not None
        assert (price.input.element, price.output.element) == ("{urn:calls}price", "{urn:calls}priceResponse")
        assert every.input is not None
        assert every.input.element == "{urn:calls}all"
        assert log.input is not None
        assert log.input.element == "{urn:shop}log"
        assert "<total>5</total>" in service.answer(price, 5)

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            ('<c:price xmlns:c="urn:calls"><count>1</count></c:price>', "item"),
            ('<c:price xmlns:c="urn:calls" xmlns:d="urn:data"><c:item/></c:price>', "item"),
        ],
    )
    def test_are_validated(self, service: Service, body: str, told: str) -> None:
        element = etree.fromstring(body)
        assert told in service.contract.valid(element, len(body))


class TestAClient:
    """zeep, with the WSDL as it was written and as it is published."""

    @pytest.fixture(params=["written", "published"])
    def client(self, service: Service, path: Path, request: pytest.FixtureRequest) -> Any:
        if request.param == "published":
            path.write_bytes(httpWsdl(service.contract, "http://localhost/soap"))
        return zeep.Client(str(path), transport=Here(service))

    def test_calls_each_operation(self, client: Any) -> None:
        assert client.service.price(item={"name": "a", "price": 2}, count=3) == 6
        every = client.service.all()
        assert [(each.name, each.price) for each in every["items"]["item"]] == [("a", 1), ("b", None)]
        assert every.more is False

    def test_gets_the_fault_of_the_contract(self, client: Any) -> None:
        with pytest.raises(zeep.exceptions.Fault, match="there is no a") as caught:
            client.service.price(item={"name": "a"}, count=3)
        (detail,) = caught.value.detail
        assert detail.tag == "{urn:data}Missing"


class TestWhatIsNone:
    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            (
                'use="literal" namespace',
                'use="encoded" namespace',
                "price is rpc/encoded/literal; only document/literal and rpc",
            ),
            (
                'name="count" type="xs:int"',
                'name="count" element="d:Missing"',
                "the part count of price must have a type",
            ),
            ('type="xs:int"', 'type="xs:nope"', "schema is invalid"),
            ('message="t:Price"', 'message="t:Prize"', "has no message {urn:shop}Prize"),
        ],
    )
    def test_it_is_told(self, path: Path, old: str, new: str, told: str) -> None:
        path.write_text(WSDL.replace(old, new, 1), "utf-8")
        with pytest.raises(ConfigError) as caught:
            readContract(path)
        assert told in str(caught.value)

    def test_a_fault_of_a_value_is_the_senders(self, service: Service) -> None:
        element = etree.fromstring('<c:other xmlns:c="urn:calls"/>')
        with pytest.raises(Fault, match="is not a request of this service"):
            service.select(element, "")
