"""A service for a schema that returns its argument: Mirror and MirrorResponse have one `item` of the type T."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import zeep
from lxml import etree

from tests.protocols.soap.talk import daemonOf
from tests.protocols.soap.test_http import post
from wsd.protocols.soap.names import splitTag
from wsd.protocols.soap.schema import documents
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.wsdl.contract import Contract
from wsd.protocols.soap.wsdl.reader import readContract
from wsd.protocols.soap.wsdl.writer import httpWsdl

SPACE = "urn:mirror"
XML_XSD = Path(documents.__file__).with_name("xml.xsd")
XSD = "http://www.w3.org/2001/XMLSchema"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
NAMES = f'xmlns="{SPACE}" xmlns:m="{SPACE}" xmlns:xs="{XSD}" xmlns:i="{XSI}"'
_MESSAGE = '<xs:element name="{}"><xs:complexType><xs:sequence>{}</xs:sequence></xs:complexType></xs:element>'
ITEM = '<xs:element name="item" type="T"/>'


def schemaOf(content: str, item: str = ITEM, more: str = "") -> str:
    """Returns a schema with these declarations and the two messages."""
    messages = _MESSAGE.format("Mirror", item) + _MESSAGE.format("MirrorResponse", item)
    return (
        f'<xs:schema xmlns:xs="{XSD}" xmlns="{SPACE}" xmlns:m="{SPACE}" targetNamespace="{SPACE}" '
        f'elementFormDefault="qualified" {more}>{content}{messages}</xs:schema>'
    )


class Mirror:
    """The service of a schema, with its files in `folder`. `seen` is the last argument of its function."""

    def __init__(self, folder: Path, schema: str, isRefereed: bool = True) -> None:
        self.path = folder / "mirror.xsd"
        self.path.write_text(schema, "utf-8")
        self.contract: Contract = readContract(self.path)
        self.service = Service(self.contract, {"mirror": self._mirror})
        # lxml itself does not know the attributes of XML.
        self._referee = (
            etree.XMLSchema(etree.parse(str(self.path))) if isRefereed else self.contract.documents.validator
        )
        self.seen: Any = None

    def _mirror(self, item: Any = None) -> Any:
        self.seen = item
        return item

    def read(self, content: str) -> Any:
        """Returns the argument of the function for an element `item`."""
        return self.readMessage(f"<Mirror {NAMES}>{content}</Mirror>")

    def readMessage(self, text: str) -> Any:
        """Returns the argument of the function for the element of a request."""
        body = etree.fromstring(text)
        self._referee.assertValid(body)
        bound = self.service.select(body, "")
        bound.function(**self.service.arguments(bound, body))
        return self.seen

    def wrong(self, element: Any) -> str:
        """Returns the first error in an element, "" if it is valid."""
        return self.contract.valid(element, len(etree.tostring(element)))

    def write(self, value: Any) -> str:
        """Returns the element `item` of the answer, which must be valid."""
        text = self.service.answer(self.contract.operations["Mirror"], value)
        root = etree.fromstring(text)
        self._referee.assertValid(root)
        return canonical(root)

    def zeep(self) -> zeep.Client:
        """Returns a client made from the published contract, which calls this service."""
        published = self.path.with_name("published.wsdl")
        published.write_bytes(httpWsdl(self.contract, "http://localhost/soap"))
        return zeep.Client(str(published), transport=Here(self.service))


class Here(zeep.Transport):
    """Calls a service in this process, and has the one schema that zeep would download."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._daemon = daemonOf()
        factory = self._daemon.factories["/soap"]
        factory.service = factory.node.service = service

    def load(self, url: str) -> bytes:
        """Returns a file, or the schema of the attributes of XML."""
        return XML_XSD.read_bytes() if url == "https://www.w3.org/2001/xml.xsd" else bytes(super().load(url))

    def post_xml(self, address: str, message: Any, headers: Any) -> Any:
        """Sends a request over HTTP, and returns its response."""
        kind = headers["Content-Type"]
        answer = post(self._daemon, etree.tostring(message, encoding="unicode"), kind)
        return SimpleNamespace(
            status_code=answer.status, content=answer.body, headers={"Content-Type": kind}, encoding="utf-8"
        )


def canonical(root: Any) -> str:
    """Returns the children of a message in a form that does not depend on prefixes."""
    for each in root.iter("*"):
        told = each.get(f"{{{XSI}}}type")
        if told is not None:
            prefix, _, local = told.rpartition(":")
            each.set("type", f"{{{each.nsmap.get(prefix or None, '')}}}{local}")
            del each.attrib[f"{{{XSI}}}type"]
    return "".join(_plain(child) for child in root)


def _plain(element: Any) -> str:
    namespace, local = splitTag(element.tag)
    name = local if namespace == SPACE else f"{{{namespace}}}{local}"
    attributes = "".join(f" {tag}={value!r}" for tag, value in sorted(element.attrib.items()))
    inner = (element.text or "") + "".join(_plain(child) + (child.tail or "") for child in element)
    return f"<{name}{attributes}>{inner}</{name}>"
