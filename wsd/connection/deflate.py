"""Messages deflated and inflated (RFC 7692), and messages made ready once for many connections."""

from __future__ import annotations

import sys
import zlib

from autobahn.exception import PayloadCorruptError, PayloadExceededError

from wsd.frames.deflate import Corrupt, Deflater, Key, TooBig, newStream
from wsd.frames.writing import BINARY, TEXT, frameHead

_TAIL = 4
"""A flushed block ends on 00 00 FF FF, which RFC 7692 7.2.1 leaves out."""

_NO_LIMIT = sys.maxsize - 1


class AutobahnDeflater(Deflater):
    """The same in Autobahn's words, for the messages that it reads."""

    __slots__ = ("_most",)

    EXTENSION_NAME = "permessage-deflate"

    def start_decompress_message(self) -> None:
        """A compressed message begins."""
        self._most = 0
        self.begin()

    def decompress_message_data(self, data: bytes, max_output_len: int | None) -> bytes:
        """Some plain bytes of it; Autobahn counts how many there may still be."""
        self._most = _NO_LIMIT if max_output_len is None else max_output_len
        return self._inflated(data, False)

    def end_decompress_message(self) -> None:
        """It is whole; Autobahn takes no more bytes of it."""
        if self._inflated(b"", True):
            raise PayloadCorruptError("it goes on behind its end")

    def _inflated(self, data: bytes, last: bool) -> bytes:
        try:
            return self.inflate(data, last, self._most)
        except TooBig as error:
            raise PayloadExceededError(str(error)) from error
        except Corrupt as error:
            raise PayloadCorruptError(str(error)) from error


class Prepared:
    """
    One message for many connections: framed once, and deflated once for each set of parameters among them.

    It is deflated with a window of its own, so every receiver can inflate it whatever it had before.
    """

    __slots__ = ("_deflated", "isBinary", "payload", "plain")

    def __init__(self, payload: bytes, isBinary: bool) -> None:
        self.payload = payload
        self.isBinary = isBinary
        self.plain = frameHead(BINARY if isBinary else TEXT, len(payload)) + payload
        self._deflated: dict[Key, bytes] = {}

    def deflated(self, key: Key) -> bytes:
        """The whole frame for connections whose `Deflater.key` is this."""
        frame = self._deflated.get(key)
        if frame is None:
            stream = newStream(key)
            body = (stream.compress(self.payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-_TAIL]
            frame = frameHead(BINARY if self.isBinary else TEXT, len(body), compressed=True) + body
            self._deflated[key] = frame
        return frame
