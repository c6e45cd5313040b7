"""
Policy: what the client of a port must do beyond SOAP, as WCF reads it from a WSDL (WS-Policy 1.2, WS-PolicyAttachment).

The assertions are those that WCF writes and reads: addressing, the binary encoding, MTOM, TLS, and how users log in
(WS-SecurityPolicy 1.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from lxml import etree

from wsd.protocols.soap.names import WSAW, WSU

_WSP = "http://schemas.xmlsoap.org/ws/2004/09/policy"
_SP = "http://schemas.xmlsoap.org/ws/2005/07/securitypolicy"
_HTTP = "http://schemas.microsoft.com/ws/06/2004/policy/http"

ADDRESSING = f"{{{WSAW}}}UsingAddressing"
BINARY = "{http://schemas.microsoft.com/ws/06/2004/mspolicy/netbinary1}BinaryEncoding"
MTOM = "{http://schemas.xmlsoap.org/ws/2004/09/policy/optimizedmimeserialization}OptimizedMimeSerialization"

_PREFIXES = {"wsp": _WSP, "wsu": WSU}
_TRANSPORT = {"TransportToken": "HttpsToken", "AlgorithmSuite": "Basic256", "Layout": "Strict"}
"""What WCF writes for a binding over TLS; the algorithms concern messages that are signed or encrypted, as none are."""
_WSS10 = ("MustSupportRefKeyIdentifier", "MustSupportRefIssuerSerial")
"""What WCF writes for WS-Security 1.0; it concerns signatures as well."""


class Credentials(Enum):
    """How the users of a route log in."""

    none = auto()
    basic = auto()
    """By the Authorization of HTTP (RFC 7617)."""
    usernameToken = auto()
    """By the messages themselves, over TLS."""


def policyOf(name: str, assertions: tuple[str, ...], isSecure: bool, credentials: Credentials) -> Any:
    """Returns a policy with these assertions; with `isSecure`, that of a transport over TLS as well."""
    policy = etree.Element(f"{{{_WSP}}}Policy", {f"{{{WSU}}}Id": name}, nsmap=_PREFIXES)
    every = etree.SubElement(etree.SubElement(policy, f"{{{_WSP}}}ExactlyOne"), f"{{{_WSP}}}All")
    for each in assertions:
        etree.SubElement(every, each)
    if credentials is Credentials.basic:
        etree.SubElement(every, f"{{{_HTTP}}}BasicAuthentication", nsmap={"http": _HTTP})
    if isSecure:
        _addTransport(every, credentials)
    return policy


def _addTransport(every: Any, credentials: Credentials) -> None:
    """Adds TLS, and the UsernameToken that is only sent over it (WCF's TransportWithMessageCredential)."""
    hasToken = credentials is Credentials.usernameToken
    binding = _nested(every, "TransportBinding")
    for part, value in _TRANSPORT.items():
        told = etree.SubElement(_nested(binding, part), f"{{{_SP}}}{'Lax' if hasToken and part == 'Layout' else value}")
        if value == "HttpsToken":
            told.set("RequireClientCertificate", "false")
    if hasToken:
        etree.SubElement(binding, f"{{{_SP}}}IncludeTimestamp")
        included = {f"{{{_SP}}}IncludeToken": f"{_SP}/IncludeToken/AlwaysToRecipient"}
        token = _nested(_nested(every, "SignedSupportingTokens"), "UsernameToken", included)
        etree.SubElement(token, f"{{{_SP}}}WssUsernameToken10")
        wss = _nested(every, "Wss10")
        for each in _WSS10:
            etree.SubElement(wss, f"{{{_SP}}}{each}")


def _nested(parent: Any, name: str, attributes: Mapping[str, str] | None = None) -> Any:
    """Adds an assertion, and returns the policy inside it."""
    assertion = etree.SubElement(parent, f"{{{_SP}}}{name}", attributes or {}, nsmap={"sp": _SP})
    return etree.SubElement(assertion, f"{{{_WSP}}}Policy")


def reference(binding: Any, name: str) -> None:
    """Adds the reference of a binding to a policy of the same document."""
    etree.SubElement(binding, f"{{{_WSP}}}PolicyReference", URI=f"#{name}", nsmap={"wsp": _WSP})
