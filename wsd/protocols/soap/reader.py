"""
Reader: parses an envelope as it arrives, and refuses what an envelope must not have (SOAP 1.2 part 1, 5).

It takes UTF-8, whatever the XML declaration says: the `encodings` convert others before. It refuses a DTD and
processing instructions. It also bounds the cost of a message: libxml2 limits the depth to 256 levels, and the reader
limits the number of elements and attributes.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from lxml import etree

from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.headers import RepeatedHeader, repeatedHeader
from wsd.protocols.soap.parsers import FeedParser, parseShort

_PROLOG = re.compile(rb"(?:\xef\xbb\xbf)?(?:<\?xml\s[^>]*\?>)?(?:\s+|<!--.*?-->)*", re.DOTALL)
_START_TAG = re.compile(rb"<[A-Za-z]")
_ATTRIBUTE = re.compile(rb"=\s*[\"']")
_NO_INSTRUCTIONS = "an envelope must not have processing instructions (SOAP 1.2 part 1, 5)"
_NO_ELEMENT = "this is not an envelope: it has no element"
_MOST_PROLOG = 4096
MOST_ELEMENTS = 50_000
"""Limit of the elements. A usual list of 1 MiB has fewer."""
MOST_ATTRIBUTES = 10_000
"""Limit for the whole envelope. To parse 50,000 in one tag takes 20 ms, and to validate them several times that."""
_SMALL = 4 * MOST_ATTRIBUTES
"""A message of up to this size in bytes cannot reach either limit."""
_SHORT = 65536
"""Limit in bytes of a message that is parsed at once if it comes in one piece."""
_MOST_TEXT = 10_000_000
"""Limit in bytes of one text in libxml2, unless the parser is made with `isHuge`."""
MOST_LEVELS = 256
"""Limit of the depth, which is that of libxml2."""
_NODE = 128
"""Bytes that libxml2 uses for an element or a text. It uses twice as many for an attribute."""
_TOO_DEEP = etree.XPath(f"boolean({'/*' * (MOST_LEVELS + 1)})")


class Document:
    """A parsed message, and its size in bytes."""

    __slots__ = ("_root", "data", "repeated", "size")

    def __init__(self, root: Any, size: int, data: bytes = b"", repeated: RepeatedHeader | None = None) -> None:
        self._root = root
        self.size = size
        self.data = data
        """The message itself, b"" for one that came in pieces."""
        self.repeated = repeated
        """Its header, if that is known from an earlier message."""

    @property
    def root(self) -> Any:
        """The root element of the whole message."""
        return self._root if self.repeated is None else parseShort(self.data)

    @property
    def rootWithoutHeader(self) -> Any:
        """The root element, without the header that is known."""
        return self._root


class EnvelopeReader:
    """
    Parses one message after the other: `feed` takes its bytes, then `close` returns the document; `parse` does both.

    `most` is the caller's limit of a message in bytes. Elements and attributes are limited only if `isCounted`.
    """

    __slots__ = (
        "_attributes",
        "_begun",
        "_early",
        "_fault",
        "_first",
        "_isCounted",
        "_mayInstruct",
        "_most",
        "_parser",
        "_prolog",
        "_tags",
    )

    def __init__(self, most: int = _MOST_TEXT, isCounted: bool = True) -> None:
        self._most = most
        self._isCounted = isCounted
        self._begin()

    def _begin(self) -> None:
        self._first: bytes | None = None
        self._prolog: bytes | None = b""
        self._parser: FeedParser | None = None
        self._early: list[bytes] = []
        self._begun = 0
        self._tags = 0
        self._attributes = 0
        self._mayInstruct = False
        self._fault: Fault | None = None

    def feed(self, data: bytes) -> None:
        """Takes the next bytes. `close` raises any error; the bytes after it are not parsed."""
        if self._fault is not None:
            return
        if not self._begun and len(data) <= _SHORT:
            # Most messages come in one piece, and are parsed as a whole.
            self._first = data
            self._begun = len(data)
            return
        first, self._first = self._first, None
        self._begun += len(data)
        self._parse(data if first is None else first + data)

    def _parse(self, data: bytes) -> None:
        """Parses a piece of a message, with a dictionary for this message alone."""
        if self._parser is None:
            self._parser = FeedParser(isHuge=self._most > _MOST_TEXT)
        try:
            if self._isMarkup(data):
                data, self._prolog = (self._prolog or b"") + data, None
                self._check(data)
                self._parser.feed(data)
        except Fault as fault:
            self._fail(fault)
        except etree.XMLSyntaxError as error:
            self._fail(_malformed(error))

    def _isMarkup(self, data: bytes) -> bool:
        """Returns whether the root element has begun. Until then, keeps the bytes. Raises `Fault`."""
        if self._prolog is None:
            return True
        data = self._prolog + data
        if _START_TAG.match(data) or _isProlog(data):
            return True
        self._prolog = data
        return False

    def _check(self, data: bytes) -> None:
        """Raises `Fault` for too many elements or attributes."""
        self._mayInstruct = self._mayInstruct or b"?" in data
        if self._isCounted:
            self._early.append(data)
            if self._begun > _SMALL:
                self._count(b"".join(self._early))

    def _count(self, data: bytes) -> None:
        self._tags += data.count(b"<")
        self._attributes += len(_ATTRIBUTE.findall(data))
        # An attribute may be cut between = and its quotation mark.
        self._early = [b"="] if data.rstrip().endswith(b"=") else []
        if self._tags > 2 * MOST_ELEMENTS:
            raise Fault(f"an envelope has at most {MOST_ELEMENTS} elements; send less at once")
        if self._attributes > MOST_ATTRIBUTES:
            raise Fault(f"an envelope has at most {MOST_ATTRIBUTES} attributes")

    def _fail(self, fault: Fault) -> None:
        self._fault = fault
        self._parser = None

    @property
    def weight(self) -> int:
        """Estimates the memory of an incomplete message in bytes; 0 for a short one, and if there is none."""
        return 0 if self._parser is None else self._begun + _NODE * (self._tags + 2 * self._attributes)

    def drop(self) -> None:
        """Discards the incomplete message."""
        self._begin()

    def close(self) -> Document:
        """Returns the message, which is complete. Raises `Fault` (Sender)."""
        size, first = self._begun, self._first
        if first is not None:
            self._first, self._begun = None, 0
            return self.parse(first)
        try:
            return Document(self._last(), size)
        except etree.XMLSyntaxError as error:
            raise _malformed(error) from None
        finally:
            self._begin()

    def parse(self, data: bytes) -> Document:
        """Returns a message that is complete. Raises `Fault` (Sender)."""
        if len(data) > _SHORT:
            self.feed(data)
            return self.close()
        try:
            return self._whole(data)
        except etree.XMLSyntaxError as error:
            raise _malformed(error) from None

    def _whole(self, data: bytes) -> Document:
        """Parses a message that came in one piece. Raises `Fault` or XMLSyntaxError."""
        if not _START_TAG.match(data) and not _isProlog(data):
            raise Fault(_NO_ELEMENT)
        if len(data) > _SMALL and self._isCounted:
            self._count(data)
        repeated = repeatedHeader(data)
        root = None
        if repeated is not None:
            # An error is raised for the whole message, so that it names the right column.
            with suppress(etree.XMLSyntaxError):
                root = parseShort(repeated[2])
        if root is None:
            root, repeated = parseShort(data), None
        if b"?" in data and _hasInstructions(root):
            raise Fault(_NO_INSTRUCTIONS)
        return Document(root, len(data), data, repeated)

    def _last(self) -> Any:
        """Completes a message that came in several pieces. Raises `Fault` or XMLSyntaxError."""
        if self._fault is not None:
            raise self._fault
        if self._parser is None or self._prolog is not None:
            raise Fault(_NO_ELEMENT)
        root = self._parser.close()
        if self._most > _MOST_TEXT and _TOO_DEEP(root):
            raise Fault(f"an envelope has at most {MOST_LEVELS} levels")
        if self._mayInstruct and _hasInstructions(root):
            raise Fault(_NO_INSTRUCTIONS)
        return root


def _hasInstructions(root: Any) -> bool:
    """Returns whether there are processing instructions. The parser has removed all comments."""
    if root.getprevious() is not None or root.getnext() is not None:
        return True
    return any(True for _ in root.iter(etree.ProcessingInstruction))


def _isProlog(data: bytes) -> bool:
    """Returns whether `data` has the whole prolog. Raises `Fault` if the prolog is not allowed."""
    # Only its beginning: to pass over comments takes 55 ms a MiB.
    match = _PROLOG.match(data, 0, _SHORT)
    assert match is not None
    rest = data[match.end() :]
    if len(data) > _SHORT and (match.end() == _SHORT or rest.startswith(b"<!--")):
        raise Fault(f"the element of an envelope must begin within its first {_SHORT} bytes")
    if len(data) <= _MOST_PROLOG and _isCut(rest, match.end() in (0, 3)):
        return False
    if rest.startswith(b"<!"):
        raise Fault("an envelope must not have a DTD (SOAP 1.2 part 1, 5)")
    if rest.startswith(b"<?"):
        raise Fault(_NO_INSTRUCTIONS)
    return True


def _isCut(rest: bytes, isFirst: bool) -> bool:
    """Returns whether `rest` is too short to tell what it begins with."""
    if len(rest) < 2 or b"<!--".startswith(rest[:4]) or rest.startswith(b"<!--"):
        return True
    return isFirst and (b"<?xml".startswith(rest[:5]) or rest.startswith(b"<?xml")) and b"?>" not in rest


def _malformed(error: Exception) -> Fault:
    return Fault(f"the envelope is not well-formed: {str(error)[:200]}")
