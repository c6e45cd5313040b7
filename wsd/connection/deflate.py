"""Messages deflated and inflated (RFC 7692), and messages made ready once for many connections."""

from __future__ import annotations

import sys
import zlib

from autobahn.exception import PayloadCorruptError, PayloadExceededError

from wsd.frames.codes import Opcode
from wsd.frames.deflate import TAIL, Corrupt, Deflater, Key, TooBig, newStream
from wsd.frames.writing import frameHead

_NO_LIMIT = sys.maxsize - 1


class AutobahnDeflater(Deflater):
    """The same in Autobahn's words, for the messages that it reads."""

    __slots__ = ("last",)

    EXTENSION_NAME = "permessage-deflate"

    last: bool
    """Whether the bytes that Autobahn asks for next are the last of a message."""

    def start_decompress_message(self) -> None:
        """A compressed message begins."""
        self.begin()

    def decompress_message_data(self, data: bytes, max_output_len: int | None) -> bytes:
        """Some plain bytes of it; Autobahn counts how many there may still be."""
        try:
            return self.inflate(data, self.last, _NO_LIMIT if max_output_len is None else max_output_len)
        except TooBig as error:
            raise PayloadExceededError(str(error)) from error
        except Corrupt as error:
            raise PayloadCorruptError(str(error)) from error

    def end_decompress_message(self) -> None:
        """It was whole with its last bytes."""


_WINDOW = 4096
"""Bytes before a prepared message that it may refer to. Of 1 KiB of JSON they save as much as 32 KiB would, in a third
of the time, and a connection that rests holds on to no more."""

_VARIANTS = 8
"""Different bytes before, from which on a prepared message refers to nothing instead of being deflated once more."""


class Prepared:
    """
    One message for many connections: framed once, and deflated once for each set of parameters among them.

    Where the last they were sent was a prepared message too, it is referred to.
    """

    __slots__ = ("_deflated", "isBinary", "payload", "plain")

    def __init__(self, payload: bytes, isBinary: bool) -> None:
        self.payload = payload
        self.isBinary = isBinary
        self.plain = frameHead(Opcode.BINARY if isBinary else Opcode.TEXT, len(payload)) + payload
        self._deflated: dict[tuple[Key, bytes], tuple[bytes, bytes]] = {}

    def deflated(self, deflater: Deflater) -> bytes:
        """The whole frame for this connection, whose next message may refer to it then."""
        key, before = deflater.key, deflater.before
        found = self._deflated.get((key, before))
        if found is None:
            if len(self._deflated) >= _VARIANTS:
                before = b""
                found = self._deflated.get((key, before))
            if found is None:
                found = self._deflated[key, before] = self._deflate(key, before)
        frame, after = found
        deflater.forget(after)
        return frame

    def _deflate(self, key: Key, before: bytes) -> tuple[bytes, bytes]:
        """The frame, and the last bytes that its receiver then has."""
        stream = newStream(key, before)
        body = (stream.compress(self.payload) + stream.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]
        frame = frameHead(Opcode.BINARY if self.isBinary else Opcode.TEXT, len(body), compressed=True) + body
        return frame, (before + self.payload[-_WINDOW:])[-min(_WINDOW, 1 << key[0]) :]
