"""
Reads the TLVs of a PROXY header of version 2: what a proxy says about the client, beside its addresses.

HAProxy's specification of the protocol lists them in its section 2.2. Unknown ones are skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from wsd.config.subjects import commonName
from wsd.logs import escaped
from wsd.policies.address import TlsInfo

_ALPN, _AUTHORITY, _CRC32C, _UNIQUE_ID, _SSL = 0x01, 0x02, 0x03, 0x05, 0x20
_VERSION, _CN, _CIPHER, _CERTIFICATE = 0x21, 0x22, 0x23, 0x28
"""Types within the TLV of the type _SSL."""
_USES_TLS, _HAS_CERTIFICATE = 0x01, 0x06
"""Bits of the client of an _SSL: it uses TLS; it has sent a certificate, now or earlier in the TLS session."""
_LONGEST_ID = 128


class MalformedTlv(Exception):
    """Raised with one sentence if a header has TLVs that are not what they should be."""


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """What a proxy says about a client."""

    tls: TlsInfo | None = None
    """What the client's TLS handshake with the proxy agreed on; None if the client has not used TLS to the proxy."""
    id: str | None = None
    """The id that the proxy has given to the connection, as its own log has it."""


NO_FACTS = ClientFacts()
"""Of a proxy that says nothing."""


def readTlvs(header: bytes, start: int) -> ClientFacts:
    """Read the TLVs that begin at `start` of a whole header. Raises `MalformedTlv`."""
    found: dict[int, bytes] = {}
    for kind, at, value in _split(header, start):
        if kind == _CRC32C:
            _verify(header, at, value)
        found[kind] = value
    name = found.get(_UNIQUE_ID)
    if name is not None and len(name) > _LONGEST_ID:
        raise MalformedTlv(f"the PROXY header has a unique id of {len(name)} bytes; the longest has {_LONGEST_ID}")
    shown = escaped(name.decode("utf-8", "backslashreplace")) if name else None
    return ClientFacts(_tls(found), shown)


def _split(data: bytes, start: int) -> Iterator[tuple[int, int, bytes]]:
    """The type, place and value of each TLV."""
    while start < len(data):
        if start + 3 > len(data):
            raise MalformedTlv("the PROXY header ends within a TLV")
        kind, length = struct.unpack_from("!BH", data, start)
        start += 3
        if start + length > len(data):
            raise MalformedTlv("the PROXY header ends within a TLV")
        yield kind, start, data[start : start + length]
        start += length


# -- TLS --------------------------------------------------------------------------------------------------------------


def _tls(found: dict[int, bytes]) -> TlsInfo | None:
    data = found.get(_SSL)
    if data is None:
        return None
    if len(data) < 5:
        raise MalformedTlv("the PROXY header has too few bytes about TLS")
    client, verify = struct.unpack_from("!BI", data)
    if not client & _USES_TLS:
        return None
    inner = {kind: value for kind, _, value in _split(data, 5)}
    # The certificate counts only if the proxy has verified it.
    subject, pem = _subject(inner) if client & _HAS_CERTIFICATE and not verify else (None, None)
    return TlsInfo(
        _text(inner, _VERSION) or "",
        _text(inner, _CIPHER) or "",
        _text(found, _AUTHORITY),
        _text(found, _ALPN),
        subject,
        pem,
    )


def _subject(inner: dict[int, bytes]) -> tuple[str | None, bytes | None]:
    """The subject of the client's certificate, and the certificate as PEM if the proxy has sent all of it."""
    data = inner.get(_CERTIFICATE)
    if data:
        # A daemon without client certificates does not load the library.
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        try:
            certificate = x509.load_der_x509_certificate(data)
            return certificate.subject.rfc4514_string(), certificate.public_bytes(Encoding.PEM)
        except ValueError:
            raise MalformedTlv("the PROXY header has a client certificate that is not DER") from None
    name = _text(inner, _CN)
    return (commonName(name) if name else None), None


def _text(found: dict[int, bytes], kind: int) -> str | None:
    value = found.get(kind)
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if not text.isprintable():
        raise MalformedTlv(f"the PROXY header has a TLV of the type 0x{kind:02x} that is not printable UTF-8")
    return text


# -- checksum ---------------------------------------------------------------------------------------------------------


def _verify(header: bytes, at: int, value: bytes) -> None:
    """Compare the checksum at a place of the header: it was made while its own bytes were zero."""
    zeroed = header[:at] + bytes(len(value)) + header[at + len(value) :]
    if value != crc32c(zeroed).to_bytes(4, "big"):
        raise MalformedTlv("the PROXY header has a wrong checksum")


def crc32c(data: bytes) -> int:
    """The CRC-32C of some bytes (RFC 3720 12.1)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[crc & 0xFF ^ byte]
    return crc ^ 0xFFFFFFFF


def _tableOf(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


_CRC_TABLE = tuple(map(_tableOf, range(256)))
