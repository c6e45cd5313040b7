"""
Compression of messages one by one: `application/soap+msbin1+gzip`, and `+deflate`.

gzip is RFC 1952. deflate is the bare stream of RFC 1951, as .NET writes it; the format of zlib (RFC 1950) is read, too.
What a message becomes is bounded while it is decompressed. A message is one stream: a second one behind it, or anything
else, is an error.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from wsd.protocols.soap.encodings.encoding import (
    Encoding,
    MessageReader,
    SessionLost,
    TooLarge,
    Unreadable,
    WholeReader,
)
from wsd.protocols.soap.encodings.nbfse import Binary, BinarySession
from wsd.protocols.soap.names import SOAP12
from wsd.protocols.soap.reader import Document

CODINGS = ("gzip", "deflate")
_GZIP, _ZLIB, _BARE = 31, 15, -15
"""The formats, as zlib's parameter wbits."""
_LEVEL = 6


class Compressed:
    """A binary encoding whose messages are compressed."""

    __slots__ = ("_coding", "_inner", "contentType")
    isText = False
    version = SOAP12

    def __init__(self, inner: Binary | BinarySession, coding: str) -> None:
        self._inner = inner
        self._coding = coding
        self.contentType = f"{inner.contentType}+{coding}"

    @property
    def inText(self) -> Encoding:
        """The same: what is not compressed is refused, in a text message as well."""
        return self

    def reader(self, most: int, isCounted: bool = True) -> MessageReader:
        """Returns a reader of compressed messages."""
        lost = SessionLost if isinstance(self._inner, BinarySession) else None
        return CompressedReader(self._inner.reader(most, isCounted), self._coding, most, lost)

    def write(self, text: str) -> bytes:
        """Returns an envelope compressed."""
        compressor = zlib.compressobj(_LEVEL, wbits=_GZIP if self._coding == "gzip" else _BARE)
        return compressor.compress(self._inner.write(text)) + compressor.flush()


class CompressedReader(WholeReader):
    """Decompresses messages for the reader of the encoding inside."""

    __slots__ = ("_coding", "_inner", "_lost")

    def __init__(
        self, inner: MessageReader, coding: str, most: int, lost: Callable[[Unreadable], Exception] | None
    ) -> None:
        super().__init__(most, isCounted=True)
        self._inner = inner
        self._coding = coding
        self._lost = lost

    def close(self) -> Document:
        """Returns the message, which is complete. Raises `Fault` (Sender) or `Closed`."""
        message = self.taken()
        try:
            data = decompress(message, self._coding, self.most)
        except Unreadable as error:
            raise error if self._lost is None else self._lost(error) from None
        self._inner.feed(data)
        return self._inner.close()


def decompress(message: bytes, coding: str, most: int) -> bytes:
    """Returns the content of a compressed message. Raises `Unreadable`, or `TooLarge` for more than `most` bytes."""
    forms = (_GZIP,) if coding == "gzip" else (_ZLIB, _BARE) if _isZlib(message) else (_BARE,)
    for form in forms:
        stream = zlib.decompressobj(form)
        try:
            data = stream.decompress(message, most + 1)
        except zlib.error:
            continue
        if len(data) > most:
            raise TooLarge(most)
        if not stream.eof:
            raise Unreadable(f"the {coding} stream ends early", len(message))
        if stream.unused_data:
            raise Unreadable(f"there is more behind the {coding} stream", len(message) - len(stream.unused_data))
        return data
    raise Unreadable(f"the message is not compressed with {coding}", 0)


def _isZlib(message: bytes) -> bool:
    """Returns whether a message may begin with the header of zlib (RFC 1950, 2.2)."""
    return len(message) > 1 and message[0] & 0x0F == 8 and (message[0] << 8 | message[1]) % 31 == 0
