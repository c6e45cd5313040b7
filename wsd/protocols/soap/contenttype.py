"""Content types: which of them is which version of SOAP, and what is not spoken is refused by its name."""

from __future__ import annotations

import re

from wsd.connection import Refused
from wsd.protocols.soap.names import SOAP11, SOAP12, Version

_VERSIONS = {version.contentType: version for version in (SOAP11, SOAP12)}
_PARAMETER = re.compile(r";\s*([\w-]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;]*))")

_NAMED = {
    "application/soap+msbinsession1": "the binary encoding of WCF; make the client's messageEncoding Text "
    "(NetHttpBinding: MessageEncoding = NetHttpMessageEncoding.Text)",
    "application/soap+msbin1": "the binary encoding of WCF; make the client's messageEncoding Text "
    "(a TextMessageEncodingBindingElement in place of the binary one)",
    "multipart/related": "MTOM; make the client's messageEncoding Text (NetHttpBinding: MessageEncoding = "
    "NetHttpMessageEncoding.Text), and send files as base64Binary",
}


def versionOf(text: str | None, where: str) -> Version:
    """The version of SOAP that a content type is, 1.2 when there is none. Raises `Refused` (415)."""
    if text is None:
        return SOAP12
    kind = text.partition(";")[0].strip().lower()
    if kind in _VERSIONS:
        charset = parameters(text).get("charset", "utf-8").lower()
        if charset not in ("utf-8", "utf8", "us-ascii"):
            raise Refused(415, f"{where}: the charset {charset[:40]!r} is not spoken here; write utf-8")
        return _VERSIONS[kind]
    for name, sentence in _NAMED.items():
        if kind.startswith(name):
            raise Refused(415, f"{where}: {name} is not spoken here: {sentence}")
    raise Refused(415, f"{where}: {kind[:80]!r} is not SOAP; write application/soap+xml (1.2) or text/xml (1.1)")


def parameters(text: str) -> dict[str, str]:
    """The parameters of a content type, by their names in lower case."""
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(text)}
