"""MTOM through the gateway: requests of a client that speaks it, and answers of the upstream service."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from lxml import etree
from twisted.internet.task import Clock

from tests.protocols.soap.encodings.test_encodings import MOST, MTOM
from tests.protocols.soap.talk import DEMO, S12, envelope, text
from wsd.protocols.soap.encodings.choice import encodingOfRequest
from wsd.protocols.soap.encodings.encoding import Utf8
from wsd.protocols.soap.envelope import Addressing, Envelope
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.gateway import SoapGateway, UpstreamResponse
from wsd.protocols.soap.names import SOAP12
from wsd.protocols.soap.options import SoapOptions
from wsd.protocols.soap.reader import Document

DATA = "AAAA" * 500
SAID = envelope(f'<Echo xmlns="{DEMO}"><text>{DATA}</text></Echo>')
KIND = MTOM.format("application/soap+xml")


def gateway(**keys: Any) -> SoapGateway:
    return SoapGateway(Clock(), SoapOptions(upstream="http://localhost/", **keys), "/soap")


def requested(kind: str) -> tuple[str, bytes]:
    """Returns the content type and the body that the gateway sends for a client with this content type."""
    requester: Any = SimpleNamespace(encoding=encodingOfRequest(kind), header=lambda name: None)
    document = Document(etree.fromstring(SAID), len(SAID))
    body, headers = gateway()._request(document, "urn:a", SOAP12, requester)
    (contentType,) = headers.getRawHeaders("Content-Type", [])
    return contentType, body


def test_a_request_in_mtom_goes_on_in_mtom() -> None:
    contentType, body = requested(KIND)
    assert contentType.endswith(r'start-info="application/soap+xml;action=\"urn:a\""')
    assert b"Content-Type: application/octet-stream" in body
    reader = encodingOfRequest(contentType).reader(MOST)
    reader.feed(body)
    assert text(reader.close().root, "//d:text") == DATA


@pytest.mark.parametrize("kind", ["application/soap+xml", "application/soap+msbin1"])
def test_any_other_goes_on_as_text(kind: str) -> None:
    contentType, body = requested(kind)
    assert contentType.startswith("application/soap+xml; charset=utf-8")
    assert etree.fromstring(body).tag == f"{{{S12}}}Envelope"


def answered(response: UpstreamResponse, **keys: Any) -> Any:
    answer = gateway(**keys)._read(response, Envelope(SOAP12, Addressing()))
    return etree.fromstring(answer.text)


def test_an_answer_in_mtom_is_passed_on() -> None:
    service = encodingOfRequest(KIND)
    assert text(answered(UpstreamResponse(200, service.contentType, service.write(SAID))), "//d:text") == DATA


def test_one_that_becomes_too_large_is_the_receivers_fault() -> None:
    service = encodingOfRequest(KIND)
    with pytest.raises(Fault, match="max_answer"):
        answered(UpstreamResponse(200, service.contentType, service.write(SAID)), max_answer=1500)


def test_so_is_one_that_is_no_mtom() -> None:
    with pytest.raises(Fault, match="with something other than SOAP") as caught:
        answered(UpstreamResponse(200, KIND, Utf8(SOAP12).write(SAID)))
    assert caught.value.code == "Receiver"
