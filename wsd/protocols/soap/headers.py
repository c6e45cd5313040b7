"""
Headers: those that clients repeat are read once.

The Header of a client's messages usually differs in the text of its MessageID alone. Whatever has the same bytes before
and after that text has the same meaning, and so it is neither parsed nor read again: only the start tag of the Envelope
and what follows the Header are parsed.
"""

from __future__ import annotations

import re
from string import ascii_letters, digits
from typing import Any, NamedTuple

from wsd.protocols.soap.envelope import Addressing, Envelope, isAddressing
from wsd.protocols.soap.names import Version

_MOST_HEADERS = 64
"""Limit of the headers that are known. When there are more, all are forgotten."""
_LONGEST = 2048
"""Limit in bytes of a header that is kept."""
_START = re.compile(rb"<([\w:.-]+)")
_PLAIN = (ascii_letters + digits + ":._-").encode()
"""The characters of a MessageID that are neither markup nor white space."""


class KnownHeader(NamedTuple):
    """What a Header says, and the start tag of its Envelope."""

    start: bytes
    version: Version
    addressing: Addressing

    def withId(self, messageId: str) -> Addressing:
        """Returns the addressing of another message."""
        known = self.addressing
        return Addressing(
            known.Action, known.To, messageId, known.RelatesTo, known.ReplyTo, known.FaultTo, known.From, True
        )


RepeatedHeader = tuple[KnownHeader, str, bytes]
"""The known header of a message, the MessageID of this one, and the message without its Header."""


_known: dict[tuple[bytes, bytes], KnownHeader] = {}
"""By the bytes before and after the text of the MessageID."""


def repeatedHeader(data: bytes) -> RepeatedHeader | None:
    """Returns the header of a message if it is known."""
    start, end, headerEnd = _placeIn(data)
    known = _known.get((data[:start], data[end:headerEnd]))
    if known is None:
        return None
    messageId = data[start:end]
    if not messageId or messageId.translate(None, _PLAIN):
        return None
    return known, messageId.decode(), known.start + data[headerEnd:]


def remember(data: bytes, root: Any, envelope: Envelope) -> None:
    """Keeps the header of a valid message, unless more than its MessageID can differ or it has blocks of others."""
    start, end, headerEnd = _placeIn(data)
    head, first = data[:headerEnd], data.find(b"<", 1)
    name = _START.match(data, first)
    isPlain = (
        0 < start < end < headerEnd
        and name is not None
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


def _placeIn(data: bytes) -> tuple[int, int, int]:
    """Returns where the first MessageID begins and ends, and where the Header seems to end; 0 if there are none."""
    start = data.find(b"MessageID>", 0, _LONGEST) + 10
    if start < 10:
        return 0, 0, 0
    end = data.find(b"<", start)
    return start, end, data.find(b"Header>", end, _LONGEST) + 7
