"""Binary XML: both codecs read the same document, or refuse it in the same words, and write it alike."""

from __future__ import annotations

from typing import Any
from xml.parsers.expat import ExpatError

from wsd.protocols.soap.encodings.nbfx import CODECS
from wsd.protocols.soap.encodings.nbfxwriter import STATIC
from wsd.protocols.soap.faults import Fault

_STRINGS = ["a", "bcd", "http://example.com/", "é", "two words"]
"""The strings of the session. Two are no names, or not in ASCII."""
_MOST = 100_000


def check(data: bytes) -> None:
    """Takes a document."""
    first, *others = (_outcome(codec, data) for codec in CODECS.values())
    assert all(other == first for other in others)
    if isinstance(first, str):
        return
    text = first.decode()
    try:
        written = {codec.writeDocument(text, STATIC) for codec in CODECS.values()}
    except ExpatError:
        # An attribute that is there twice is found by the parser of the envelope.
        return
    assert len(written) == 1
    for document in written:
        assert CODECS["python"].readDocument(document, 0, (), 10 * _MOST).decode() == text


def _outcome(codec: Any, data: bytes) -> bytes | str:
    """The text of a document, or the sentence with which it is refused."""
    try:
        text: bytes = codec.readDocument(data, 0, _STRINGS, _MOST)
    except Fault as fault:
        return fault.reason
    return text
