"""
Character sets of XML text, and how a document says which it has (RFC 7303, 3, and XML 1.0, appendix F).

The byte order mark goes before the charset of the content type, and that before the XML declaration. Without any of
them it is UTF-8. A text message of a WebSocket is UTF-8 whatever it says.
"""

from __future__ import annotations

import codecs
import re

from wsd.protocols.soap.contenttype import parameters
from wsd.protocols.soap.encodings.encoding import Encoding, MessageReader, TooLarge, Unreadable, Utf8, WholeReader
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.names import Version
from wsd.protocols.soap.reader import Document, EnvelopeReader

UTF8 = "utf-8"
CHARSETS = {
    "utf-8": UTF8,
    "utf8": UTF8,
    "us-ascii": "ascii",
    "ascii": "ascii",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16-le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "utf-16-be": "utf-16-be",
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
}
"""The character sets that clients may use, and Python's codecs for them."""

_MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BEGINNINGS = ((b"<\x00", "utf-16-le"), (b"\x00<", "utf-16-be"))
"""Beginnings of documents in UTF-16 without a byte order mark (XML 1.0, appendix F)."""
_DECLARATION = re.compile(rb"\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z][\w.-]*)[\"'][^>]*\?>")
_DECLARED = re.compile(r"\s*<\?xml\s[^>]*\?>")
_START_OF_TAG = re.compile(rb"<[A-Za-z]")


def encodingOf(content: bytes, charset: str) -> tuple[str, bytes]:
    """Returns the name of a document's encoding, and the document without its byte order mark. `charset` may be ""."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding, content[len(mark) :]
    if charset and charset not in ("utf-16", "utf16"):
        return charset, content
    for beginning, encoding in _BEGINNINGS:
        if content.startswith(beginning):
            return encoding, content
    if charset:
        # Without a byte order mark the higher byte comes first (RFC 2781, 4.3).
        return "utf-16-be", content
    declared = _DECLARATION.match(content)
    return (declared[1].decode().lower() if declared else UTF8), content


def withoutDeclaration(text: str) -> str:
    """Returns a document without its XML declaration."""
    return _DECLARED.sub("", text, count=1)


class Charset:
    """A character set that the content type says. Answers have the same, with a declaration."""

    __slots__ = ("_charset", "_codec", "_declaration", "_mark", "contentType", "version")
    isText = False

    def __init__(self, version: Version, charset: str) -> None:
        self.version = version
        self.contentType = f"{version.contentType}; charset={charset}"
        self._charset = charset.lower()
        codec = CHARSETS[self._charset]
        self._codec = "utf-16-le" if codec == "utf-16" else codec
        isWide = codec.startswith("utf-16")
        self._mark = "\ufeff" if isWide else ""
        self._declaration = f'<?xml version="1.0" encoding="{"utf-16" if isWide else self._charset}"?>'

    @property
    def inText(self) -> Encoding:
        """UTF-8: a text message cannot be anything else."""
        return Utf8(self.version)

    def reader(self, most: int, isCounted: bool = True) -> MessageReader:
        """Returns a reader of this character set."""
        return CharsetReader(self._charset, most, isCounted)

    def write(self, text: str) -> bytes:
        """Returns an envelope in this character set; a character that it does not have becomes a reference."""
        return f"{self._mark}{self._declaration}{text}".encode(self._codec, "xmlcharrefreplace")


class CharsetReader(WholeReader):
    """Reads documents whose character set the content type says, or else the document itself."""

    __slots__ = ("_charset",)

    def __init__(self, charset: str, most: int, isCounted: bool) -> None:
        super().__init__(most, isCounted)
        self._charset = charset

    def decode(self, message: bytes) -> bytes:
        """Returns a document as UTF-8. Raises `Unreadable` or `TooLarge`."""
        charset, content = encodingOf(message, self._charset)
        codec = CHARSETS.get(charset)
        if codec is None:
            raise Unreadable(f"the encoding {charset[:40]!r} is not supported; write the envelope in UTF-8")
        try:
            text = withoutDeclaration(content.decode(codec))
        except UnicodeDecodeError as error:
            raise Unreadable(f"the envelope is not valid {charset[:40]}", error.start) from None
        data = text.encode()
        if len(data) > self.most:
            raise TooLarge(self.most)
        return data


class Declared(Utf8):
    """A content type without a charset: UTF-8, unless the document begins with something else."""

    __slots__ = ()

    @property
    def inText(self) -> Encoding:
        """UTF-8: a text message cannot be anything else."""
        return Utf8(self.version)

    def reader(self, most: int, isCounted: bool = True) -> MessageReader:
        """Returns a reader of documents that say themselves which character set they have."""
        return DeclaredReader(most, isCounted)


class DeclaredReader:
    """Reads documents as they arrive if they begin with a tag, and as a whole otherwise."""

    __slots__ = ("_bounds", "_chosen", "_inUtf8")

    def __init__(self, most: int, isCounted: bool) -> None:
        self._bounds = most, isCounted
        self._inUtf8 = EnvelopeReader(most, isCounted)
        self._chosen: MessageReader | None = None

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of a message."""
        if self._chosen is None:
            self._chosen = self._inUtf8 if _START_OF_TAG.match(data) else CharsetReader("", *self._bounds)
        self._chosen.feed(data)

    def close(self) -> Document:
        """Returns the message, which is complete. Raises `Fault` (Sender) or `Closed`."""
        chosen, self._chosen = self._chosen or self._inUtf8, None
        return chosen.close()

    def drop(self) -> None:
        """Discards the incomplete message."""
        self._chosen = None
        self._inUtf8.drop()

    @property
    def weight(self) -> int:
        """The memory of the incomplete message in bytes; 0 for a short one."""
        return 0 if self._chosen is None else self._chosen.weight


# -- for the gateway ------------------------------------------------------------------------------------------------

_OF_SERVICES = re.compile(
    r"utf-?8|utf-?(16|32)([-_]?[bl]e)?|(us-)?ascii|iso[-_]?8859-\d+|latin-?\d+|windows-\d+|cp\d+|koi8-[ru]|"
    r"gb2312|gbk|gb18030|big5(-hkscs)?|euc-(jp|kr)|shift[-_]jis|iso-2022-jp"
)
"""The encodings in which an upstream service may answer."""


def toUtf8(content: bytes, contentType: str) -> bytes:
    """Converts an upstream service's document to UTF-8, without its declaration. Raises `Fault` (Receiver)."""
    encoding, content = encodingOf(content, parameters(contentType).get("charset", "").lower())
    if encoding in (UTF8, "utf8", "us-ascii", "ascii") and not _DECLARATION.match(content):
        return content
    if not _OF_SERVICES.fullmatch(encoding):
        raise Fault(
            f"the upstream service answered in the encoding {encoding[:40]!r}, which is not supported", "Receiver"
        )
    try:
        text = content.decode(UTF8 if encoding.endswith("ascii") else encoding)
    except (LookupError, UnicodeDecodeError):
        raise Fault(f"the upstream service answered with bytes that are not {encoding[:40]}", "Receiver") from None
    return withoutDeclaration(text).encode()
