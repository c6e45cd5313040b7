"""A chunk of blob.wsd.v1: a header with the offset and the CRC-32, then bytes of the file."""

from __future__ import annotations

from struct import Struct

try:
    from isal.isal_zlib import crc32  # takes a tenth of the time of zlib's
except ModuleNotFoundError:
    from zlib import crc32

__all__ = ["HEADER", "crc32", "encodeChunk"]

HEADER = Struct(">QI")
"""The offset of the chunk's first byte in the file, and the CRC-32 (that of zlib) of the bytes behind the header."""


def encodeChunk(offset: int, data: bytes) -> bytes:
    """The chunk with these bytes of the file."""
    return HEADER.pack(offset, crc32(data)) + data
