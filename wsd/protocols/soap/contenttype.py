"""Content types: the version of SOAP that each means (RFC 3902), and the encoding of a document (RFC 7303, 3)."""

from __future__ import annotations

import codecs
import re

from wsd.connection import Refused
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.names import SOAP11, SOAP12, Version

_VERSIONS = {version.contentType: version for version in (SOAP11, SOAP12)}
_PARAMETER = re.compile(r";\s*([\w-]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;]*))")

_REFUSED = {
    "application/soap+msbinsession1": "the binary encoding of WCF; make the client's messageEncoding Text "
    "(NetHttpBinding: MessageEncoding = NetHttpMessageEncoding.Text)",
    "application/soap+msbin1": "the binary encoding of WCF; make the client's messageEncoding Text "
    "(a TextMessageEncodingBindingElement in place of the binary one)",
    "multipart/related": "MTOM; make the client's messageEncoding Text (NetHttpBinding: MessageEncoding = "
    "NetHttpMessageEncoding.Text), and send files as base64Binary",
}

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BEGINNINGS = ((b"<\x00", "utf-16-le"), (b"\x00<", "utf-16-be"))
"""Beginnings of documents in UTF-16 without a byte order mark (XML 1.0, appendix F)."""
_DECLARATION = re.compile(rb"\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z][\w.-]*)[\"'][^>]*\?>")
_DECLARED = re.compile(r"\s*<\?xml\s[^>]*\?>")
_ENCODINGS = re.compile(
    r"utf-?8|utf-?(16|32)([-_]?[bl]e)?|(us-)?ascii|iso[-_]?8859-\d+|latin-?\d+|windows-\d+|cp\d+|koi8-[ru]|"
    r"gb2312|gbk|gb18030|big5(-hkscs)?|euc-(jp|kr)|shift[-_]jis|iso-2022-jp"
)


def versionOf(text: str | None, where: str) -> Version:
    """Returns the version of SOAP that a content type means, 1.2 if there is none. Raises `Refused` (415)."""
    if text is None:
        return SOAP12
    mediaType = text.partition(";")[0].strip().lower()
    if mediaType in _VERSIONS:
        charset = parameters(text).get("charset", "utf-8").lower()
        if charset not in ("utf-8", "utf8", "us-ascii"):
            raise Refused(415, f"{where}: the charset {charset[:40]!r} is not supported; use utf-8")
        return _VERSIONS[mediaType]
    for name, sentence in _REFUSED.items():
        if mediaType.startswith(name):
            raise Refused(415, f"{where}: {name} is not supported: {sentence}")
    raise Refused(415, f"{where}: {mediaType[:80]!r} is not SOAP; write application/soap+xml (1.2) or text/xml (1.1)")


def parameters(text: str) -> dict[str, str]:
    """Returns the parameters of a content type, by their names in lower case."""
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(text)}


def toUtf8(content: bytes, contentType: str) -> bytes:
    """Converts a document to UTF-8, without byte order mark and declaration. Raises `Fault` (Receiver)."""
    encoding, content = _encodingOf(content, contentType)
    if encoding in ("utf-8", "utf8", "us-ascii", "ascii") and not _DECLARATION.match(content):
        return content
    if not _ENCODINGS.fullmatch(encoding):
        raise Fault(
            f"the upstream service answered in the encoding {encoding[:40]!r}, which is not supported", "Receiver"
        )
    try:
        text = content.decode("utf-8" if encoding.endswith("ascii") else encoding)
    except (LookupError, UnicodeDecodeError):
        raise Fault(f"the upstream service answered with bytes that are not {encoding[:40]}", "Receiver") from None
    return _DECLARED.sub("", text, count=1).encode()


def _encodingOf(content: bytes, contentType: str) -> tuple[str, bytes]:
    """Returns the encoding of a document, and the document without its byte order mark (RFC 7303, 3)."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return encoding, content[len(mark) :]
    for beginning, encoding in _BEGINNINGS:
        if content.startswith(beginning):
            return encoding, content
    charset = parameters(contentType).get("charset", "").lower()
    if charset:
        return charset, content
    declared = _DECLARATION.match(content)
    return (declared[1].decode().lower() if declared else "utf-8"), content
