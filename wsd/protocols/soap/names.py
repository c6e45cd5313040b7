"""The names of SOAP 1.1 and 1.2, WS-Addressing 1.0, WSDL 1.1 and XML Schema, and of what is told from them."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    """The role of whoever is next on the way."""
    ultimate: str
    """The role of who is meant in the end; "" where an absent role says so."""
    roleName: str
    """The attribute of a header block that says for whom it is."""
    codes: dict[str, str]
    """Fault codes of 1.2 to this version's."""
    # Names of elements and attributes, which each message is searched for.
    envelope: str = field(init=False)
    header: str = field(init=False)
    body: str = field(init=False)
    role: str = field(init=False)
    mandatory: str = field(init=False)

    def __post_init__(self) -> None:
        names = {"envelope": "Envelope", "header": "Header", "body": "Body"}
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
