"""
MTOM: an envelope whose base64 is sent as bytes, in parts of their own (XOP 1.0; `multipart/related`, RFC 2387).

    MIME-Version: 1.0
    Content-Type: multipart/related; type="application/xop+xml"; boundary="b"; start="<1>";
     start-info="application/soap+xml"

    --b
    Content-ID: <1>
    Content-Type: application/xop+xml; charset=utf-8; type="application/soap+xml"

    <s:Envelope ...><x:Include href="cid:2" xmlns:x="http://www.w3.org/2004/08/xop/include"/></s:Envelope>
    --b
    Content-ID: <2>

    the bytes
    --b--

Over a WebSocket a message has these headers itself, whose boundary counts. Over HTTP they are the headers of the
request. Each part is referred to exactly once (XOP 1.0, 3.2).
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from wsd.protocols.soap.contenttype import mediaType, parameters
from wsd.protocols.soap.encodings.charsets import CHARSETS, encodingOf, withoutDeclaration
from wsd.protocols.soap.encodings.encoding import Encoding, MessageReader, TooLarge, Unreadable, WholeReader
from wsd.protocols.soap.encodings.nbfxwriter import bytesOf
from wsd.protocols.soap.names import Version
from wsd.protocols.soap.reader import Document

XOP = "http://www.w3.org/2004/08/xop/include"
LEAST_PART = 768
"""The size in bytes from which an answer sends base64Binary as a part, as WCF does."""
_MOST_PARTS = 1000
_MOST_HEADERS = 8192
_START = "http://tempuri.org/0"
_FIELD = re.compile(r"([!-9;-~]+):[ \t]*(.*)")
_TEXT = re.compile(rf"(<[^/<>][^<>]*(?<!/)>)([A-Za-z0-9+/]{{{LEAST_PART // 3 * 4},}}={{0,2}})(?=</)")
"""A start tag and a base64 that is all there is in the element. What this package writes has no > in attributes."""
_INCLUDE = f"{{{XOP}}}Include"


class Mtom:
    """MTOM of one version of SOAP. `boundary` is that of the content type; messages without headers have it."""

    __slots__ = ("_boundary", "_hasHeaders", "_read", "contentType", "version")
    isText = False

    def __init__(self, version: Version, contentType: str, hasHeaders: bool) -> None:
        self.version = version
        self._read = contentType
        self._hasHeaders = hasHeaders
        self._boundary = f"uuid:{uuid4()}+id=1"
        self.contentType = (
            f'multipart/related;type="application/xop+xml";boundary="{self._boundary}";start="<{_START}>";'
            f'start-info="{version.contentType}"'
        )

    @property
    def inText(self) -> Encoding:
        """The same: a text message may be MTOM if all of its parts are text."""
        return self

    def reader(self, most: int, isCounted: bool = True) -> MessageReader:
        """Returns a reader of messages in MTOM."""
        return MtomReader("" if self._hasHeaders else self._read, most, isCounted)

    def write(self, text: str) -> bytes:
        """Returns an envelope in MTOM: its long base64 in parts."""
        parts: list[tuple[str, bytes]] = []

        def replace(found: re.Match[str]) -> str:
            data = bytesOf(found[2])
            if data is None or len(data) < LEAST_PART:
                return found[0]
            name = f"{_START}/{len(parts) + 1}"
            parts.append((name, data))
            return f'{found[1]}<x:Include href="cid:{name}" xmlns:x="{XOP}"/>'

        root = _TEXT.sub(replace, text).encode()
        rootType = f'application/xop+xml;charset=utf-8;type="{self.version.contentType}"'
        out = [self._head(_START, "8bit", rootType), root]
        for name, data in parts:
            out += (self._head(name, "binary", "application/octet-stream"), data)
        out.append(f"\r\n--{self._boundary}--\r\n".encode())
        message = b"".join(out)
        if self._hasHeaders:
            return f"MIME-Version: 1.0\r\nContent-Type: {self.contentType}\r\n".encode() + message
        return message[2:]

    def _head(self, name: str, coding: str, contentType: str) -> bytes:
        return (
            f"\r\n--{self._boundary}\r\nContent-ID: <{name}>\r\nContent-Transfer-Encoding: {coding}\r\n"
            f"Content-Type: {contentType}\r\n\r\n"
        ).encode()


class MtomReader(WholeReader):
    """Reads messages in MTOM. `contentType` is that of all messages, "" if each has headers of its own."""

    __slots__ = ("_contentType",)

    def __init__(self, contentType: str, most: int, isCounted: bool) -> None:
        super().__init__(most, isCounted)
        self._contentType = contentType

    def close(self) -> Document:
        """Returns the message with its parts as base64. Raises `Fault` (Sender) or `Closed`."""
        message = self.taken()
        contentType, at = self._contentType, 0
        if not contentType:
            headers, at = _headersAt(message, 0)
            contentType = headers.get("content-type", "")
            if mediaType(contentType) != "multipart/related":
                raise Unreadable("the headers of the message are not those of multipart/related", 0)
        told = parameters(contentType)
        parts = _partsOf(message, at, told.get("boundary", ""))
        start = _nameOf(told["start"]) if "start" in told else next(iter(parts))
        if start not in parts:
            raise Unreadable("there is no part with the Content-ID of start")
        headers, root = parts.pop(start)
        return self._documentOf(_rootText(headers, root), {name: part for name, (_, part) in parts.items()})

    def _documentOf(self, root: bytes, parts: dict[str, bytes]) -> Document:
        """Returns the envelope with its parts in place of the references to them. Raises `Fault` or `TooLarge`."""
        size = len(root) + sum((len(part) + 2) // 3 * 4 for part in parts.values())
        if size > self.most:
            raise TooLarge(self.most)
        document = self.envelopes.parse(root)
        for include in list(document.root.iter(_INCLUDE)):
            _replace(include, parts)
        if parts:
            raise Unreadable(f"{len(parts)} of the parts are not used")
        return Document(document.root, size)


def _replace(include: Any, parts: dict[str, bytes]) -> None:
    """Replaces a reference by the base64 of its part (XOP 1.0, 3.2). Raises `Unreadable`."""
    href, parent = include.get("href") or "", include.getparent()
    if parent is None or len(parent) > 1 or (parent.text or "").strip() or (include.tail or "").strip():
        raise Unreadable("an Include is all that its element has")
    if not href.startswith("cid:"):
        raise Unreadable(f"the href of an Include is a cid:, not {href[:80]!r}")
    part = parts.pop(unquote(href[4:]), None)
    if part is None:
        raise Unreadable(f"there is no part {href[:80]!r}, or it is used twice")
    parent.remove(include)
    parent.text = b64encode(part).decode()


def _rootText(headers: dict[str, str], root: bytes) -> bytes:
    """Returns the root part in UTF-8. Raises `Unreadable`."""
    charset, content = encodingOf(root, parameters(headers.get("content-type", "")).get("charset", "").lower())
    codec = CHARSETS.get(charset)
    if codec is None:
        raise Unreadable(f"the charset {charset[:40]!r} of the root part is not supported; write it in UTF-8")
    try:
        return withoutDeclaration(content.decode(codec)).encode()
    except UnicodeDecodeError:
        raise Unreadable(f"the root part is not valid {charset[:40]}") from None


def _headersAt(message: bytes, at: int) -> tuple[dict[str, str], int]:
    """Returns the headers of a message or part, and the offset of its content (RFC 5322, 2.2)."""
    if message.startswith(b"\r\n", at):
        return {}, at + 2
    end = message.find(b"\r\n\r\n", at, at + _MOST_HEADERS)
    if end < 0:
        raise Unreadable(f"headers end with an empty line, and have at most {_MOST_HEADERS} bytes", at)
    lines = message[at:end].decode("latin-1").replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n")
    found: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise Unreadable(f"{line[:40]!r} is no header", at)
        found[match[1].lower()] = match[2].strip()
    return found, end + 4


def _partsOf(message: bytes, at: int, boundary: str) -> dict[str, tuple[dict[str, str], bytes]]:
    """Returns the headers and the content of each part, by its Content-ID (RFC 2046, 5.1.1)."""
    if not boundary or len(boundary) > 70:
        raise Unreadable("multipart/related has a boundary of 1 to 70 characters")
    mark = b"\r\n--" + boundary.encode()
    found: dict[str, tuple[dict[str, str], bytes]] = {}
    # The first boundary may be the beginning of the body.
    at = at if message.startswith(mark[2:], at) else message.find(mark, max(at - 2, 0)) + 2
    if at < 2 and not message.startswith(mark[2:]):
        raise Unreadable("the boundary of the parts is nowhere in the message")
    at += len(mark) - 2
    while not message.startswith(b"--", at):
        line = message.find(b"\r\n", at)
        if line < 0 or message[at:line].strip(b" \t"):
            raise Unreadable("a boundary is followed by the end of the line", at)
        headers, start = _headersAt(message, line + 2)
        # The empty line before the content may be the beginning of the next boundary.
        end = message.find(mark, start - 2)
        if end < 0:
            raise Unreadable("the last part has no end", line)
        name = _nameOf(headers.get("content-id", ""))
        if name in found or (found and not name):
            raise Unreadable("each part has a Content-ID of its own", line)
        if len(found) >= _MOST_PARTS:
            raise Unreadable(f"a message has at most {_MOST_PARTS} parts", line)
        found[name] = headers, message[start : max(end, start)]
        at = end + len(mark)
    if not found:
        raise Unreadable("the message has no part")
    return found


def _nameOf(contentId: str) -> str:
    return contentId.strip().removeprefix("<").removesuffix(">")
