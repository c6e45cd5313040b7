"""
Policy: what the client of a port must do beyond SOAP, as WCF reads it from a WSDL (WS-Policy 1.2, WS-PolicyAttachment).

The assertions are those that WCF writes and reads: addressing, the binary encoding, MTOM, and TLS (WS-SecurityPolicy).
"""

from __future__ import annotations

from typing import Any

from lxml import etree

from wsd.protocols.soap.names import WSAW

_WSP = "http://schemas.xmlsoap.org/ws/2004/09/policy"
_WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_SP = "http://schemas.xmlsoap.org/ws/2005/07/securitypolicy"

ADDRESSING = f"{{{WSAW}}}UsingAddressing"
BINARY = "{http://schemas.microsoft.com/ws/06/2004/mspolicy/netbinary1}BinaryEncoding"
MTOM = "{http://schemas.xmlsoap.org/ws/2004/09/policy/optimizedmimeserialization}OptimizedMimeSerialization"

_PREFIXES = {"wsp": _WSP, "wsu": _WSU}
_SECURE = (("TransportToken", "HttpsToken"), ("AlgorithmSuite", "Basic256"), ("Layout", "Strict"))
"""What WCF writes for a binding over TLS; the algorithms concern messages that are signed or encrypted, as none are."""


def policyOf(name: str, assertions: tuple[str, ...], isSecure: bool) -> Any:
    """Returns a policy with these assertions; with `isSecure`, that of a transport over TLS as well."""
    policy = etree.Element(f"{{{_WSP}}}Policy", {f"{{{_WSU}}}Id": name}, nsmap=_PREFIXES)
    every = etree.SubElement(etree.SubElement(policy, f"{{{_WSP}}}ExactlyOne"), f"{{{_WSP}}}All")
    for each in assertions:
        etree.SubElement(every, each)
    if isSecure:
        binding = etree.SubElement(every, f"{{{_SP}}}TransportBinding", nsmap={"sp": _SP})
        inside = etree.SubElement(binding, f"{{{_WSP}}}Policy")
        for part, value in _SECURE:
            nested = etree.SubElement(etree.SubElement(inside, f"{{{_SP}}}{part}"), f"{{{_WSP}}}Policy")
            told = etree.SubElement(nested, f"{{{_SP}}}{value}")
            if value == "HttpsToken":
                told.set("RequireClientCertificate", "false")
    return policy


def reference(binding: Any, name: str) -> None:
    """Adds the reference of a binding to a policy of the same document."""
    etree.SubElement(binding, f"{{{_WSP}}}PolicyReference", URI=f"#{name}", nsmap={"wsp": _WSP})
