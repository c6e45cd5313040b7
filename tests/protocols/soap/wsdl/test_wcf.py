"""A contract as WCF publishes it at ?singleWsdl: four schemas, arrays, a dictionary, a known type and its own types."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zeep
from lxml import etree

from tests.protocols.soap.encodings.test_encodings import CodedClient
from tests.protocols.soap.mirror import Here
from tests.protocols.soap.talk import daemonOf, envelope
from tests.wire import Daemon
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.wsdl.reader import readContract
from wsd.protocols.soap.wsdl.writer import httpWsdl, webSocketWsdl

PATH = Path(__file__).with_name("wcf.wsdl")
CONTENT = "AAECAwQF" * 200
ORDER = f"""<order xmlns:s="http://schemas.datacontract.org/2004/07/Shop"
 xmlns:r="http://schemas.microsoft.com/2003/10/Serialization/Arrays"
 xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
<s:Content>{CONTENT}</s:Content><s:Grade>65</s:Grade><s:Id>03020100-0504-0706-0809-0a0b0c0d0e0f</s:Id><s:Kind>Trade</s:Kind>
<s:Lines><s:Line><s:Item>tea &amp; 茶</s:Item><s:Price>1.50</s:Price></s:Line><s:Line i:nil="true"/>
<s:Line><s:Item i:nil="true"/><s:Price>0</s:Price></s:Line></s:Lines>
<s:Names><r:string>a</r:string><r:string i:nil="true"/><r:string/></s:Names>
<s:Numbers><r:int>-1</r:int><r:int>2147483647</r:int></s:Numbers><s:Paid i:nil="true"/>
<s:Payment i:type="s:Card"><s:Amount>0.1</s:Amount><s:Number>4711</s:Number></s:Payment>
<s:Stock><r:KeyValueOfstringint><r:Key>tea</r:Key><r:Value>3</r:Value></r:KeyValueOfstringint>
<r:KeyValueOfstringint><r:Key>cups</r:Key><r:Value>0</r:Value></r:KeyValueOfstringint></s:Stock>
<s:Time>2024-01-04T21:20:00.123457Z</s:Time><s:Took>P1DT2H3M4.5S</s:Took></order>""".replace("\n", "")
SEEN: list[Any] = []


def shape(element: Any) -> Any:
    """
    Returns an element as what it means: its tag, its type and whether it is nil, and its text or children.

    An optional child that is nil is left out in an answer, which WCF reads alike.
    """
    name = "{http://www.w3.org/2001/XMLSchema-instance}"
    told = element.get(f"{name}type")
    kind = None if told is None else (element.nsmap[told.partition(":")[0]], told.partition(":")[2])
    isLeftOut = [etree.QName(each).localname in ("Paid", "Item") and each.get(f"{name}nil") for each in element]
    children = [shape(each) for each, out in zip(element, isLeftOut, strict=True) if not out]
    tag = element.tag if "}" in element.tag and "tempuri" not in element.tag else ""
    return tag, kind, element.get(f"{name}nil"), children or element.text or ""


@pytest.fixture
def daemon() -> Daemon:
    daemon = daemonOf()
    factory = daemon.factories["/soap"]
    SEEN.clear()
    factory.service = factory.node.service = Service(readContract(PATH), {"Send": _send})
    return daemon


def _send(order: Any = None) -> Any:
    SEEN.append(order)
    return order


ENCODINGS = ("UTF-8", "UTF-16LE", "msbin1", "a session", "a session with gzip", "MTOM")


@pytest.mark.parametrize("encoding", ENCODINGS)
class TestACall:
    def test_each_value_comes_back_as_it_was(self, daemon: Daemon, encoding: str) -> None:
        client = CodedClient(daemon, encoding)
        answer = client.ask(envelope(f'<Send xmlns="http://tempuri.org/">{ORDER}</Send>'))
        (result,) = answer.iterfind(".//{http://tempuri.org/}SendResult")
        sent, received = shape(etree.fromstring(ORDER)), shape(result)
        # The function has a timedelta, which is written in seconds.
        assert sent[3].pop()[3] == "P1DT2H3M4.5S"
        assert received[3].pop()[3] == "PT93784.500000S"
        assert received == sent

    def test_and_the_function_has_it_in_python(self, daemon: Daemon, encoding: str) -> None:
        CodedClient(daemon, encoding).ask(envelope(f'<Send xmlns="http://tempuri.org/">{ORDER}</Send>'))
        (order,) = SEEN
        assert order.Content == bytes(range(6)) * 200
        assert (order.Grade, order.Id, order.Kind.value) == (65, "03020100-0504-0706-0809-0a0b0c0d0e0f", "Trade")
        assert [line and (line.Item, line.Price) for line in order.Lines.Line] == [
            ("tea & 茶", Decimal("1.50")),
            None,
            (None, Decimal(0)),
        ]
        assert (order.Names.string, order.Numbers.int, order.Paid) == (["a", None, ""], [-1, 2147483647], None)
        assert (type(order.Payment).__name__, order.Payment.Amount, order.Payment.Number) == ("Card", 0.1, "4711")
        assert {each.Key: each.Value for each in order.Stock.KeyValueOfstringint} == {"tea": 3, "cups": 0}
        assert order.Time == datetime.fromisoformat("2024-01-04T21:20:00.123457Z")
        assert order.Took == timedelta(days=1, hours=2, minutes=3, seconds=4.5)


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ("03020100-", "03020100", "Id"),
            (">Trade<", ">Other<", "Kind"),
            ("<s:Grade>65", "<s:Grade>A", "Grade"),
            ("P1DT2H3M4.5S", "P1Y", "Took"),
            ('i:type="s:Card"', 'i:type="s:Line"', "Payment"),
        ],
    )
    def test_is_the_senders_fault(self, daemon: Daemon, old: str, new: str, told: str) -> None:
        answer = CodedClient(daemon, "a session").ask(
            envelope(f'<Send xmlns="http://tempuri.org/">{ORDER.replace(old, new)}</Send>')
        )
        reason = answer.findtext(".//{*}Fault/{*}Reason/{*}Text")
        assert "the request violates the contract" in reason
        assert told in reason


class TestThePublishedContract:
    @pytest.mark.parametrize("publish", [httpWsdl, webSocketWsdl])
    def test_is_the_same_again(self, tmp_path: Path, publish: Any) -> None:
        contract = readContract(PATH)
        (tmp_path / "again.wsdl").write_bytes(publish(contract, "http://localhost/soap"))
        again = readContract(tmp_path / "again.wsdl")
        assert list(again.byAction) == ["http://tempuri.org/IShop/Send"]
        body = etree.fromstring(f'<Send xmlns="http://tempuri.org/">{ORDER}</Send>')
        assert again.valid(body, 1000) == ""

    def test_is_one_that_zeep_reads(self, tmp_path: Path) -> None:
        service = Service(readContract(PATH), {"Send": _send})
        (tmp_path / "shop.wsdl").write_bytes(httpWsdl(service.contract, "http://localhost/soap"))
        client = zeep.Client(str(tmp_path / "shop.wsdl"), transport=Here(service))
        stock = {"KeyValueOfstringint": [{"Key": "tea", "Value": 3}]}
        answer = client.service.Send({"Kind": "Retail", "Stock": stock, "Took": timedelta(hours=1), "Grade": 66})
        assert (answer.Kind, answer.Grade, answer.Took) == ("Retail", 66, timedelta(hours=1))
        assert answer.Stock.KeyValueOfstringint[0].Value == 3
