"""Messages deflated and inflated (RFC 7692), and messages made ready once for many connections."""

from __future__ import annotations

import struct
import zlib

from autobahn.websocket.compress_deflate import PerMessageDeflate

from wsd.policies.negotiation import Deflate

TEXT = 1
BINARY = 2
_FIN = 0x80
_COMPRESSED = 0x40
_TAIL = 4
"""A flushed block ends on 00 00 FF FF, which RFC 7692 7.2.1 leaves out."""


def frameHead(opcode: int, length: int, fin: bool = True, compressed: bool = False) -> bytes:
    """The head of a frame that a server sends: unmasked, in the shortest form of its length (RFC 6455 5.2)."""
    first = opcode | (_FIN if fin else 0) | (_COMPRESSED if compressed else 0)
    if length < 126:
        return bytes((first, length))
    if length < 65536:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)


class Deflater(PerMessageDeflate):
    """
    What was agreed on for one connection, and its two streams.

    The deflating stream may be begun anew at any message, since what it refers to is always in the receiver's window.
    """

    def __init__(self, agreed: Deflate, level: int, memory: int) -> None:
        super().__init__(
            True, agreed.serverNoContext, agreed.clientNoContext, agreed.serverBits, agreed.clientBits, memory
        )
        self.level = level

    @property
    def key(self) -> tuple[int, int, int]:
        """Connections with the same key can be sent the same deflated bytes."""
        return (self.server_max_window_bits, self.level, self.mem_level)

    def start_compress_message(self) -> None:
        """Begin a message; with a new window when none is kept."""
        if self._compressor is None or self.server_no_context_takeover:
            self._compressor = newStream(*self.key)

    def deflate(self, payload: bytes) -> bytes:
        """The payload of the compressed message, all of it."""
        self.start_compress_message()
        return b"".join((self.compress_message_data(payload), self.end_compress_message()))

    def forget(self) -> None:
        """Begin a new window with the next message: somebody else's bytes were sent in between."""
        self._compressor = None


def newStream(bits: int, level: int, memory: int) -> zlib._Compress:
    """A deflating stream with a window of 2**bits bytes."""
    return zlib.compressobj(level, zlib.DEFLATED, -bits, memory)


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
        self._deflated: dict[tuple[int, int, int], bytes] = {}

    def deflated(self, key: tuple[int, int, int]) -> bytes:
        """The whole frame for connections whose `Deflater.key` is this."""
        frame = self._deflated.get(key)
        if frame is None:
            stream = newStream(*key)
            body = (stream.compress(self.payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-_TAIL]
            frame = frameHead(BINARY if self.isBinary else TEXT, len(body), compressed=True) + body
            self._deflated[key] = frame
        return frame
