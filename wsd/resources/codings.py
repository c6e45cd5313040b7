"""Content codings of bodies and answers (RFC 9110 8.4): gzip and deflate."""

from __future__ import annotations

import zlib
from typing import Any

from zope.interface import implementer

from wsd.head import Head, Refused
from wsd.resources.accept import codingWeight
from wsd.resources.interfaces import IBody

_GZIP, _ZLIB, _BARE = 31, 15, -15
"""The formats, as zlib's parameter wbits."""
_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_STEP = 65536
"""Bytes that are decompressed at a time, so that the receiver can stop a bomb."""
_CONTEXT = 40 * 1024
"""The bytes of memory that decompressing takes."""
_LEAST = 1024
"""The size in bytes from which an answer is worth compressing."""
_LEVEL = 1


def contentCoding(head: Head) -> str:
    """Returns the content coding of the body of a request in lower case, "" for none."""
    told = (head.headers.get("Content-Encoding") or "").strip().lower()
    return "" if told == "identity" else told


def decodedBody(head: Head, body: IBody) -> IBody:
    """
    Returns a receiver that decompresses the body of a request for `body`.

    `body` limits what it becomes. Raises `Refused` (415) for another coding (RFC 9110 15.5.16).
    """
    told = contentCoding(head)
    if not told:
        return body
    coding = _NAMES.get(told)
    if coding is None:
        raise Refused(
            415,
            f"the Content-Encoding {told[:40]!r} is not supported; send gzip, deflate, or the body as it is",
            [("Accept-Encoding", "gzip, deflate")],
        )
    decoded: IBody = DecodedBody(body, coding)
    return decoded


@implementer(IBody)
class DecodedBody:
    """Decompresses a body while it arrives. deflate is zlib's format (RFC 1950), or the bare stream that some send."""

    def __init__(self, body: IBody, coding: str) -> None:
        self._body = body
        self._coding = coding
        self._early = b""
        self._stream: Any = zlib.decompressobj(_GZIP) if coding == "gzip" else None

    def received(self, data: bytes) -> None:
        """Called with the next bytes. Raises `Refused`: 400, or what the receiver of the content raises."""
        if self._stream is None:
            self._early += data
            if len(self._early) < 2:
                return
            data, self._early = self._early, b""
            isZlib = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
            self._stream = zlib.decompressobj(_ZLIB if isZlib else _BARE)
        while data:
            if self._stream.eof:
                raise self._more()
            try:
                content = self._stream.decompress(data, _STEP)
            except zlib.error:
                raise Refused(400, f"the body is not compressed with {self._coding}") from None
            if content:
                self._body.received(content)
            if self._stream.unused_data:
                raise self._more()
            data = self._stream.unconsumed_tail
        # A step may have been full, with more still inside the stream.
        while self._stream is not None and not self._stream.eof:
            content = self._stream.decompress(b"", _STEP)
            if not content:
                break
            self._body.received(content)

    @property
    def kept(self) -> int:
        """The bytes of memory of the content that was received."""
        return getattr(self._body, "kept", 0) + _CONTEXT

    def _more(self) -> Refused:
        return Refused(400, f"there is more behind the {self._coding} stream of the body")

    def ended(self) -> None:
        """Called when the body is complete. Raises `Refused` (400) if its stream is not."""
        if self._stream is None or not self._stream.eof:
            raise Refused(400, f"the {self._coding} stream of the body ends early")
        self._body.ended()

    def lost(self) -> None:
        """Called when the connection ends before the body is complete."""
        self._body.lost()


def compressedFor(head: Head, content: bytes) -> tuple[bytes, dict[str, str]]:
    """Returns the content of an answer, compressed if that is worth it and the client accepts gzip, and its fields."""
    if len(content) < _LEAST:
        return content, {}
    if not codingWeight(head, "gzip"):
        return content, {"Vary": "Accept-Encoding"}
    stream = zlib.compressobj(_LEVEL, wbits=_GZIP)
    return stream.compress(content) + stream.flush(), {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
