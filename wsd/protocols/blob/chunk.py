"""A chunk of blob.wsd.v1: a header with the offset and the CRC-32, then bytes of the file."""

from __future__ import annotations

from struct import Struct

try:
    from isal.isal_zlib import crc32  # takes a tenth of the time of zlib's
except ModuleNotFoundError:
    from zlib import crc32

__all__ = ["HEADER", "crc32", "encodeChunk"]

HEADER = Struct(">QI")
"""The offset in the file of the chunk's first byte, and the CRC-32 (RFC 1952 8) of the bytes after the header."""


def encodeChunk(offset: int, data: bytes) -> bytes:
    """Returns the chunk with these bytes of the file."""
    return HEADER.pack(offset, crc32(data)) + data
