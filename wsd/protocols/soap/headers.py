"""
Headers: those that clients repeat are read once.

The Header of a client's messages usually differs in the text of its MessageID alone. Whatever has the same bytes before
and after that text has the same meaning, and so it is neither parsed nor read again: only the start tag of the Envelope
and what follows the Header are parsed.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from wsd.protocols.soap.envelope import Addressing, Envelope, isAddressing
from wsd.protocols.soap.names import Version

_MOST_HEADERS = 64
"""Limit of the headers that are known. When there are more, all are forgotten."""
_LONGEST = 2048
"""Limit in bytes of a header that is kept."""
_MESSAGE_ID = b"MessageID>"
_HEADER = b"Header>"
_START = re.compile(rb"<([\w:.-]+)")
_TEXT = re.compile(rb"[\w:.-]+")
"""Matches a text without markup and white space."""


class KnownHeader(NamedTuple):
    """What a Header says, and the start tag of its Envelope."""

    start: bytes
    version: Version
    addressing: Addressing


class RepeatedHeader(NamedTuple):
    """The known header of a message, with the MessageID of this one, and the message without it."""

    version: Version
    addressing: Addressing
    rest: bytes


class _Place(NamedTuple):
    """The offsets of the text of a MessageID, and of the end of the Header."""

    start: int
    end: int
    headerEnd: int


_known: dict[tuple[bytes, bytes], KnownHeader] = {}
"""By the bytes before and after the text of the MessageID."""


def repeatedHeader(data: bytes) -> RepeatedHeader | None:
    """Returns the header of a message if it is known."""
    place = _placeIn(data)
    if place is None:
        return None
    start, end, headerEnd = place
    known = _known.get((data[:start], data[end:headerEnd]))
    if known is None or _TEXT.fullmatch(data, start, end) is None:
        return None
    same = known.addressing
    addressing = Addressing(
        same.Action, same.To, data[start:end].decode(), same.RelatesTo, same.ReplyTo, same.FaultTo, same.From, True
    )
    return RepeatedHeader(known.version, addressing, known.start + data[headerEnd:])


def remember(data: bytes, root: Any, envelope: Envelope) -> None:
    """Keeps the header of a valid message, unless more than its MessageID can differ or it has blocks of others."""
    place = _placeIn(data) if envelope.addressing.MessageID else None
    if place is None:
        return
    start, end, headerEnd = place
    head, first = data[:headerEnd], data.find(b"<", 1)
    name = _START.match(data, first)
    isPlain = (
        name is not None
        and head.endswith(b"</%b>" % name[1])
        # There is one element with each of these names, so they are those that were read.
        and head.count(b"Header") == head.count(b"MessageID") == 2
        # What is in a comment or in CDATA could look like a tag.
        and b"<!" not in head
        and b"<?" not in head
        and data[start:end] == envelope.addressing.MessageID.encode()
        and root[0].tag == envelope.version.header
        and all(isAddressing(block.tag) for block in root[0])
    )
    if isPlain:
        if len(_known) >= _MOST_HEADERS:
            _known.clear()
        _known[data[:start], data[end:headerEnd]] = KnownHeader(data[:first], envelope.version, envelope.addressing)


def _placeIn(data: bytes) -> _Place | None:
    """Returns where the text of the first MessageID is, and where the Header seems to end; None if there are none."""
    start = data.find(_MESSAGE_ID, 0, _LONGEST) + len(_MESSAGE_ID)
    if start < len(_MESSAGE_ID):
        return None
    end = data.find(b"<", start, _LONGEST)
    headerEnd = data.find(_HEADER, end, _LONGEST) + len(_HEADER)
    return _Place(start, end, headerEnd) if end > 0 and headerEnd > end else None
