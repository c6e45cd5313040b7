"""Checks that text messages are valid UTF-8 (RFC 3629, RFC 6455 8.1), whole or as they arrive."""

from __future__ import annotations

import codecs

_newDecoder = codecs.getincrementaldecoder("utf-8")
_HALF_SURROGATES = frozenset(bytes([0xED, second]) for second in range(0xA0, 0xC0))
"""
The beginnings of encoded surrogates, which are invalid in UTF-8 (RFC 3629 3).

Python's decoder does not reject them before the next byte, because of its error handler `surrogatepass`.
"""


def isText(payload: bytes) -> bool:
    """Returns whether a payload is valid UTF-8 (RFC 3629)."""
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


class TextCheck:
    """Checks the text of one message as it arrives. Finds the first invalid byte at once."""

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = None
        """Made for the first piece that is not valid by itself."""

    def add(self, piece: bytes) -> bool:
        """Returns whether the text so far is the beginning of valid UTF-8."""
        if self._decoder is None:
            if isText(piece):
                return True
            self._decoder = _newDecoder()
        try:
            self._decoder.decode(piece)
        except UnicodeDecodeError:
            return False
        return self._decoder.getstate()[0] not in _HALF_SURROGATES

    @property
    def isTruncated(self) -> bool:
        """Whether the text so far ends within a character."""
        return self._decoder is not None and bool(self._decoder.getstate()[0])
