"""
Reads one envelope as it arrives, and nothing that an envelope must not be (SOAP 1.2 part 1, 5).

There is no DTD, no processing instruction, no other encoding than UTF-8, and a bound on what one message may cost:
libxml2 refuses what is nested deeper than 256, and here what has more elements or attributes than anyone would ask for.
"""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.parsers import Piecewise, parseShort

_SKIPPED = re.compile(rb"(?:\xef\xbb\xbf)?(?:<\?xml\s(?P<declared>[^>]*)\?>)?(?:\s+|<!--.*?-->)*", re.DOTALL)
_BEGUN = re.compile(rb"<[A-Za-z]")
_ENCODING = re.compile(rb"encoding\s*=\s*[\"']([^\"']*)[\"']")
_ATTRIBUTE = re.compile(rb"=\s*[\"']")
_UTF8 = (b"utf-8", b"utf8", b"us-ascii", b"ascii")
_NO_INSTRUCTIONS = "an envelope must not have processing instructions (SOAP 1.2 part 1, 5)"
_NO_ELEMENT = "this is not an envelope: it has no element"
_MOST_PROLOG = 4096
_MOST_MARKS = 100_000
"""Tags, of beginnings and ends: what 1 MiB of an honest list has at the most."""
_MOST_ATTRIBUTES = 10_000
"""Of the whole envelope; to read 50,000 in one tag takes 20 ms, and to validate them a multiple."""
_SMALL = 4 * _MOST_ATTRIBUTES
"""Bytes in which there is no room for so many of either."""
_SHORT = 65536
"""Limit in bytes of a message that is parsed at once if it comes in one piece."""
_MOST_TEXT = 10_000_000
"""Limit in bytes of one text in libxml2, unless the parser is told to accept any."""
_MOST_LEVELS = 256
_NODE = 128
"""Bytes that libxml2 takes for an element, or a text; an attribute is two of these."""
_TOO_DEEP = etree.XPath(f"boolean({'/*' * (_MOST_LEVELS + 1)})")


class Reader:
    """
    Reads one message after the other: `feed` its bytes, then `close` returns the root element.

    `most` is the caller's limit in bytes, and no text is longer. `isCounted` limits elements and attributes; a caller
    that trusts the source may do without.
    """

    __slots__ = (
        "_attributes",
        "_begun",
        "_early",
        "_fault",
        "_first",
        "_isCounted",
        "_marks",
        "_mayInstruct",
        "_most",
        "_parser",
        "_prolog",
        "size",
    )

    def __init__(self, most: int = _MOST_TEXT, isCounted: bool = True) -> None:
        self._most = most
        self._isCounted = isCounted
        self.size = 0
        """Bytes of the last complete message."""
        self._begin()

    def _begin(self) -> None:
        self._first: bytes | None = None
        self._prolog: bytes | None = b""
        self._parser: Piecewise | None = None
        self._early: list[bytes] = []
        self._begun = 0
        self._marks = 0
        self._attributes = 0
        self._mayInstruct = False
        self._fault: Fault | None = None

    def feed(self, data: bytes) -> None:
        """Some bytes; what is wrong with them is told at `close`, and nothing more is parsed."""
        if self._fault is not None:
            return
        if not self._begun and len(data) <= _SHORT:
            # Most messages come in one piece.
            self._first = data
            self._begun = len(data)
            return
        first, self._first = self._first, None
        self._begun += len(data)
        self._parse(data if first is None else first + data)

    def _parse(self, data: bytes) -> None:
        """Parse a piece of a message, with a dictionary of its own."""
        if self._parser is None:
            self._parser = Piecewise(isHuge=self._most > _MOST_TEXT)
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
        """Whether the root element has begun; bytes before it are kept until then. Raises `Fault`."""
        if self._prolog is None:
            return True
        data = self._prolog + data
        if _BEGUN.match(data) or _isProlog(data):
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
        self._marks += data.count(b"<")
        self._attributes += len(_ATTRIBUTE.findall(data))
        # The quotation mark may be in the next piece.
        self._early = [b"="] if data.rstrip().endswith(b"=") else []
        if self._marks > _MOST_MARKS:
            raise Fault(f"an envelope has at most {_MOST_MARKS // 2} elements; send less at once")
        if self._attributes > _MOST_ATTRIBUTES:
            raise Fault(f"an envelope has at most {_MOST_ATTRIBUTES} attributes")

    def _fail(self, fault: Fault) -> None:
        self._fault = fault
        self._parser = None

    @property
    def weight(self) -> int:
        """Bytes that a long message takes so far, about; 0 for none and for a short one."""
        return 0 if self._parser is None else self._begun + _NODE * (self._marks + 2 * self._attributes)

    def drop(self) -> None:
        """Forget the message that has begun."""
        self._begin()

    def close(self) -> Any:
        """The root of a whole message. Raises `Fault` (Sender)."""
        self.size = self._begun
        try:
            if self._first is not None:
                return self._whole(self._first)
            return self._last()
        except etree.XMLSyntaxError as error:
            raise _malformed(error) from None
        finally:
            self._begin()

    def _whole(self, data: bytes) -> Any:
        if not _BEGUN.match(data) and not _isProlog(data):
            raise Fault(_NO_ELEMENT)
        if len(data) > _SMALL and self._isCounted:
            self._count(data)
        root = parseShort(data)
        if b"?" in data and _hasInstructions(root):
            raise Fault(_NO_INSTRUCTIONS)
        return root

    def _last(self) -> Any:
        if self._fault is not None:
            raise self._fault
        if self._parser is None or self._prolog is not None:
            raise Fault(_NO_ELEMENT)
        root = self._parser.close()
        if self._most > _MOST_TEXT and _TOO_DEEP(root):
            raise Fault(f"an envelope has at most {_MOST_LEVELS} levels")
        if self._mayInstruct and _hasInstructions(root):
            raise Fault(_NO_INSTRUCTIONS)
        return root


def _hasInstructions(root: Any) -> bool:
    return _isBesides(root) or any(True for _ in root.iter(etree.ProcessingInstruction))


def _isBesides(root: Any) -> bool:
    return root.getprevious() is not None or root.getnext() is not None


def _isProlog(data: bytes) -> bool:
    """Whether all before the root element is here. Raises `Fault` for what must not be there."""
    match = _SKIPPED.match(data)
    assert match is not None
    rest = data[match.end() :]
    if len(data) <= _MOST_PROLOG and _isCut(rest, match.end() in (0, 3)):
        return False
    if rest.startswith(b"<!"):
        raise Fault("an envelope must not have a DTD (SOAP 1.2 part 1, 5)")
    if rest.startswith(b"<?"):
        raise Fault(_NO_INSTRUCTIONS)
    declared = _ENCODING.search(match["declared"] or b"")
    if declared is not None and declared[1].lower() not in _UTF8:
        raise Fault("envelopes are UTF-8 here; write them so, and leave out another encoding")
    return True


def _isCut(rest: bytes, isFirst: bool) -> bool:
    """Whether more has to come before it can be told what this is."""
    if len(rest) < 2 or b"<!--".startswith(rest[:4]) or rest.startswith(b"<!--"):
        return True
    return isFirst and (b"<?xml".startswith(rest[:5]) or rest.startswith(b"<?xml")) and b"?>" not in rest


def _malformed(error: Exception) -> Fault:
    return Fault(f"the envelope is not well-formed: {str(error)[:200]}")
