"""Names: the namespaces of SOAP, WS-Addressing, WSDL and XML Schema, the versions of SOAP, and the parts of tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

XSD = "http://www.w3.org/2001/XMLSchema"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XML = "http://www.w3.org/XML/1998/namespace"
WSA = "http://www.w3.org/2005/08/addressing"
WSDL = "http://schemas.xmlsoap.org/wsdl/"
WSDL_SOAP11 = "http://schemas.xmlsoap.org/wsdl/soap/"
WSDL_SOAP12 = "http://schemas.xmlsoap.org/wsdl/soap12/"
WSAW = "http://www.w3.org/2006/05/addressing/wsdl"
WSAM = "http://www.w3.org/2007/05/addressing/metadata"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"

HTTP_TRANSPORT = "http://schemas.xmlsoap.org/soap/http"
WEBSOCKET_TRANSPORT = "http://schemas.microsoft.com/soap/websocket"
"""[MS-SWSB] 2.1: the transport of a binding over WebSocket."""

ANONYMOUS = f"{WSA}/anonymous"
NONE = f"{WSA}/none"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of SOAP."""

    number: str
    namespace: str
    contentType: str
    next: str
    """The role of the next node on the message path."""
    ultimate: str
    """The role of the ultimate receiver; "" if the version has no name for it."""
    roleName: str
    """The attribute of a header block that names its role."""
    codes: dict[str, str]
    """The names in this version of the fault codes of 1.2, where they differ."""
    # Tags of elements and attributes, computed once because every message needs them.
    envelope: str = field(init=False)
    header: str = field(init=False)
    body: str = field(init=False)
    fault: str = field(init=False)
    role: str = field(init=False)
    mandatory: str = field(init=False)

    def __post_init__(self) -> None:
        names = {"envelope": "Envelope", "header": "Header", "body": "Body", "fault": "Fault"}
        names |= {"role": self.roleName, "mandatory": "mustUnderstand"}
        for attribute, local in names.items():
            object.__setattr__(self, attribute, f"{{{self.namespace}}}{local}")


SOAP12 = Version(
    "1.2",
    "http://www.w3.org/2003/05/soap-envelope",
    "application/soap+xml",
    "http://www.w3.org/2003/05/soap-envelope/role/next",
    "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver",
    "role",
    {},
)
SOAP11 = Version(
    "1.1",
    "http://schemas.xmlsoap.org/soap/envelope/",
    "text/xml",
    "http://schemas.xmlsoap.org/soap/actor/next",
    "",
    "actor",
    {"Sender": "Client", "Receiver": "Server"},
)
BY_NAMESPACE = {version.namespace: version for version in (SOAP11, SOAP12)}


def splitTag(tag: str) -> tuple[str, str]:
    """Returns the namespace, "" for none, and the local name of a tag, {namespace}name."""
    namespace, _, local = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
    return namespace, local


def namespaceOf(tag: str) -> str:
    """Returns the namespace of a tag, "" for none."""
    return tag[1:].partition("}")[0] if tag.startswith("{") else ""


def localName(tag: Any) -> str:
    """Returns the local name of a tag. A comment, whose tag is a function in lxml, gets a text that is no XML name."""
    return str(tag).rpartition("}")[2]


def shortNames(tags: Collection[str]) -> dict[str, str]:
    """Returns a short name for each tag: its local name, or the whole tag if another has the same local name."""
    counts = Counter(map(localName, tags))
    return {tag: tag if counts[localName(tag)] > 1 else localName(tag) for tag in tags}
