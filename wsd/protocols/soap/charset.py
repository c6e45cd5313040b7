"""Charset: converts a document in any common encoding to UTF-8; the encoding is detected as in RFC 7303 (3)."""

from __future__ import annotations

import codecs
import re

from wsd.protocols.soap.contenttype import parameters
from wsd.protocols.soap.faults import Fault

_MARKS = (
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
_KNOWN = re.compile(
    r"utf-?8|utf-?(16|32)([-_]?[bl]e)?|(us-)?ascii|iso[-_]?8859-\d+|latin-?\d+|windows-\d+|cp\d+|koi8-[ru]|"
    r"gb2312|gbk|gb18030|big5(-hkscs)?|euc-(jp|kr)|shift[-_]jis|iso-2022-jp"
)


def toUtf8(content: bytes, contentType: str) -> bytes:
    """The document in UTF-8, without a byte order mark or another declaration. Raises `Fault` (Receiver)."""
    encoding, content = _encodingOf(content, contentType)
    if encoding in ("utf-8", "utf8", "us-ascii", "ascii") and not _DECLARATION.match(content):
        return content
    if not _KNOWN.fullmatch(encoding):
        raise Fault(f"the service behind answers in the encoding {encoding[:40]!r}, which is not supported", "Receiver")
    try:
        text = content.decode("utf-8" if encoding.endswith("ascii") else encoding)
    except (LookupError, UnicodeDecodeError):
        raise Fault(f"the service behind answers with bytes that are not {encoding[:40]}", "Receiver") from None
    return _DECLARED.sub("", text, count=1).encode()


def _encodingOf(content: bytes, contentType: str) -> tuple[str, bytes]:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding, content[len(mark) :]
    for beginning, encoding in _BEGINNINGS:
        if content.startswith(beginning):
            return encoding, content
    told = parameters(contentType).get("charset", "").lower()
    if told:
        return told, content
    declared = _DECLARATION.match(content)
    return (declared[1].decode().lower() if declared else "utf-8"), content
