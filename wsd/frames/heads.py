"""The head of a frame (RFC 6455 5.2), as a server sends it."""

from __future__ import annotations

import struct

FIN = 0x80
"""The first bit of a frame: this frame is the last one of its message (RFC 6455 5.2)."""

COMPRESSED = 0x40
"""RSV1, the second bit of a message's first frame: the message is deflated (RFC 7692 6)."""


def frameHead(opcode: int, length: int, fin: bool = True, compressed: bool = False) -> bytes:
    """Returns the head of an unmasked frame, with its length in the shortest form (RFC 6455 5.2)."""
    first = opcode | (FIN if fin else 0) | (COMPRESSED if compressed else 0)
    if length < 126:
        return bytes((first, length))
    if length < 65536:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)
