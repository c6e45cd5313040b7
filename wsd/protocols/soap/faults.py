"""Faults: the answers to requests that fail (SOAP 1.2 part 1, 5.4, and SOAP 1.1, 4.4)."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

from lxml import etree

from wsd.protocols.soap.names import SOAP11, SOAP12, WSA, Version, splitTag

ADDRESSING_FAULT = f"{WSA}/fault"
"""The Action of the faults of WS-Addressing (WS-Addressing SOAP Binding, 6)."""
SOAP_FAULT = f"{WSA}/soap/fault"
"""The Action of the faults of SOAP (WS-Addressing SOAP Binding, 6)."""


class Fault(Exception):
    """
    A fault: `code` is Sender, Receiver, VersionMismatch or MustUnderstand (SOAP 1.2), `reason` a sentence.

    `subcode` names a fault of WS-Addressing, or is the tag of another one. `detail` is an element, and `notUnderstood`
    has the tags of the mandatory header blocks that are not understood.
    """

    def __init__(
        self,
        reason: str,
        code: str = "Sender",
        subcode: str = "",
        detail: Any = None,
        notUnderstood: tuple[str, ...] = (),
        action: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.subcode = subcode
        self.detail = detail
        self.notUnderstood = notUnderstood
        self.action = action or (ADDRESSING_FAULT if subcode else SOAP_FAULT)


def legible(text: str) -> str:
    """Escapes a text. Characters that XML cannot hold become question marks."""
    if text.isprintable():
        return escape(text) if "&" in text or "<" in text or ">" in text else text
    return escape("".join(c if c.isprintable() or c in "\n\t" else "?" for c in text))


def headersOf(fault: Fault, version: Version) -> str:
    """Returns the header blocks of a fault: Upgrade (SOAP 1.2 part 1, 5.4.7) and NotUnderstood (5.4.8)."""
    if version is SOAP11:
        return ""
    if fault.code == "VersionMismatch":
        return (
            f'<s:Upgrade><s:SupportedEnvelope qname="n0:Envelope" xmlns:n0="{SOAP12.namespace}"/>'
            f'<s:SupportedEnvelope qname="n1:Envelope" xmlns:n1="{SOAP11.namespace}"/></s:Upgrade>'
        )
    blocks = []
    for name in fault.notUnderstood[:20]:
        namespace, local = splitTag(name)
        prefixed = (
            f'qname="n:{legible(local)}" xmlns:n="{_quoted(namespace)}"' if namespace else f'qname="{legible(local)}"'
        )
        blocks.append(f"<s:NotUnderstood {prefixed}/>")
    return "".join(blocks)


def bodyOf(fault: Fault, version: Version) -> str:
    """Returns the Fault element. The prefix s stands for the envelope's namespace, and a for WS-Addressing."""
    detail = "" if fault.detail is None else etree.tostring(fault.detail, encoding="unicode", with_tail=False)
    name, declared = _qualified(fault.subcode)
    if version is SOAP11:
        # SOAP 1.1 has no subcodes: they become the code (WS-Addressing SOAP Binding, 6.2; WSS 1.1, 12).
        code = name if fault.subcode else f"s:{version.codes.get(fault.code, fault.code)}"
        element = f"<detail>{detail}</detail>" if detail else ""
        reason = f"<faultstring>{legible(fault.reason)}</faultstring>"
        return f"<s:Fault><faultcode{declared}>{code}</faultcode>{reason}{element}</s:Fault>"
    subcode = f"<s:Subcode><s:Value{declared}>{name}</s:Value></s:Subcode>" if fault.subcode else ""
    element = f"<s:Detail>{detail}</s:Detail>" if detail else ""
    return (
        f"<s:Fault><s:Code><s:Value>s:{fault.code}</s:Value>{subcode}</s:Code>"
        f'<s:Reason><s:Text xml:lang="en">{legible(fault.reason)}</s:Text></s:Reason>{element}</s:Fault>'
    )


def _qualified(subcode: str) -> tuple[str, str]:
    """Returns the qualified name of a subcode, and the declaration of its prefix; a stands for WS-Addressing."""
    namespace, local = splitTag(subcode)
    return (f"w:{local}", f' xmlns:w="{_quoted(namespace)}"') if namespace else (f"a:{local}", "")


def _quoted(text: str) -> str:
    return legible(text).replace('"', "&quot;")
