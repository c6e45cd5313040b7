"""The PROXY header of both versions, with its TLVs: read alike however it arrives, or `Malformed`."""

from __future__ import annotations

from wsd.listen.proxy import Malformed, ProxyHeader, readHeader
from wsd.listen.proxytlvs import crc32c

_CHECKSUM = b"\x03\x00\x04CRC!"
"""A TLV for a checksum with this value gets the right one, which no fuzzer finds by changing bytes."""


def check(data: bytes) -> None:
    """Takes what a proxy sends first."""
    data = _withChecksum(data)
    whole = _outcome(data)
    for size in range(1, min(len(data), 300)):
        if (early := _outcome(data[:size])) is not None:
            assert early == whole, f"after {size} bytes {early}, after all {whole}"
            return


def _withChecksum(data: bytes) -> bytes:
    at = data.find(_CHECKSUM)
    if at < 0 or len(data) < 16:
        return data
    end = 16 + int.from_bytes(data[14:16], "big")
    before, after = data[: at + 3], data[at + 7 :]
    return before + crc32c((before + bytes(4) + after)[:end]).to_bytes(4, "big") + after


def _outcome(data: bytes) -> tuple[ProxyHeader, int] | type[Malformed] | None:
    try:
        return readHeader(data)
    except Malformed:
        return Malformed
