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

_SKIPPED = re.compile(rb"(?:\xef\xbb\xbf)?(?:<\?xml\s(?P<declared>[^>]*)\?>)?(?:\s+|<!--.*?-->)*", re.DOTALL)
_BEGUN = re.compile(rb"<[A-Za-z]")
_ENCODING = re.compile(rb"encoding\s*=\s*[\"']([^\"']*)[\"']")
_UTF8 = (b"utf-8", b"utf8", b"us-ascii", b"ascii")
_NO_INSTRUCTIONS = "an envelope must not have processing instructions (SOAP 1.2 part 1, 5)"
_MOST_PROLOG = 4096
_MOST_MARKS = 100_000
"""Tags, of beginnings and ends: what 1 MiB of an honest list has at the most."""
_MOST_ATTRIBUTES = 10_000
"""Of the whole envelope; to read 50,000 in one tag takes 20 ms, and to validate them a multiple."""
_SMALL = 4 * _MOST_ATTRIBUTES
"""Bytes in which there is no room for so many of either."""


def _parser() -> Any:
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
    )


class Reader:
    """
    One message after the other: `feed` its bytes, then `close` for the root element.

    `isCounted` bounds its elements and attributes; who knows where a message comes from may do without.
    """

    __slots__ = (
        "_attributes",
        "_early",
        "_fault",
        "_isCounted",
        "_marks",
        "_mayInstruct",
        "_parser",
        "_prolog",
        "_size",
    )

    def __init__(self, isCounted: bool = True) -> None:
        self._isCounted = isCounted
        self._parser = _parser()
        self._begin()

    def _begin(self) -> None:
        self._prolog: bytes | None = b""
        self._early: list[bytes] = []
        self._size = 0
        self._marks = 0
        self._mayInstruct = False
        self._attributes = 0
        self._fault: Fault | None = None

    def feed(self, data: bytes) -> None:
        """Some bytes; what is wrong with them is told at `close`, and nothing more is parsed."""
        if self._fault is None:
            try:
                self._feed(data)
            except Fault as fault:
                self._fail(fault)
            except etree.XMLSyntaxError as error:
                self._fail(_malformed(error))

    def _feed(self, data: bytes) -> None:
        if self._prolog is not None:
            data = self._prolog + data
            if not _BEGUN.match(data) and not _isProlog(data):
                self._prolog = data
                return
            self._prolog = None
        # Most have none of its marks, and are not searched.
        self._mayInstruct = self._mayInstruct or b"?" in data
        if self._isCounted:
            self._early.append(data)
            self._size += len(data)
            if self._size > _SMALL:
                self._count(b"".join(self._early))
                self._early.clear()
        self._parser.feed(data)

    def _count(self, data: bytes) -> None:
        """Raises `Fault` for more than what is bearable."""
        self._marks += data.count(b"<")
        self._attributes += data.count(b'="') + data.count(b"='")
        if self._marks > _MOST_MARKS:
            raise Fault(f"an envelope has {_MOST_MARKS // 2} elements at the most; send less at once")
        if self._attributes > _MOST_ATTRIBUTES:
            raise Fault(f"an envelope has {_MOST_ATTRIBUTES} attributes at the most")

    def _fail(self, fault: Fault) -> None:
        self._fault = fault
        self._parser = _parser()

    def close(self) -> Any:
        """The root of a whole message. Raises `Fault` (Sender)."""
        fault, waiting, mayInstruct = self._fault, self._prolog, self._mayInstruct
        self._begin()
        if fault is not None:
            raise fault
        if waiting is not None:
            raise Fault("this is no envelope: no element begins in it")
        try:
            root = self._parser.close()
        except etree.XMLSyntaxError as error:
            self._parser = _parser()
            raise _malformed(error) from None
        if mayInstruct and (_isBesides(root) or any(True for _ in root.iter(etree.ProcessingInstruction))):
            raise Fault(_NO_INSTRUCTIONS)
        return root


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
