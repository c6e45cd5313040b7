"""The ClientHello, the first message of a TLS handshake (RFC 8446 4.1.2), read for what chooses a certificate."""

from __future__ import annotations

from dataclasses import dataclass
from struct import error, unpack_from

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_PROTOCOLS = 16

_RECORD_HEAD = 5
_MESSAGE_HEAD = 4
_MAX_RECORDS = 8
"""Records that a ClientHello may come in; one does for all that is common."""
_MAX_HELLO = 64 * 1024
"""Bytes of a ClientHello, far above those with keys for after quantum computers."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client asked for: the server's name (RFC 6066 3) and protocols (RFC 7301 3.1), None where it did not."""

    name: str | None = None
    protocols: tuple[bytes, ...] | None = None


def readHello(data: bytes) -> Hello | None:
    """
    The hello at the beginning of what a client sent; None when more is needed.

    What is none, or is broken, asks for nothing: it is OpenSSL that says what is wrong with it.
    """
    message = b""
    start = 0
    for _ in range(_MAX_RECORDS):
        if data[start : start + 1] not in (b"", b"\x16"):
            return Hello()
        if len(data) < start + _RECORD_HEAD:
            return None
        (length,) = unpack_from("!H", data, start + 3)
        start += _RECORD_HEAD
        if len(data) < start + length:
            return None
        message += data[start : start + length]
        start += length
        if message and message[0] != _CLIENT_HELLO:
            return Hello()
        if len(message) >= _MESSAGE_HEAD:
            size = _MESSAGE_HEAD + int.from_bytes(message[1:_MESSAGE_HEAD], "big")
            if size > _MAX_HELLO:
                return Hello()
            if len(message) >= size:
                return _read(message[:size])
    return Hello()


def _read(message: bytes) -> Hello:
    try:
        extensions = _extensions(message)
        return Hello(_nameIn(extensions.get(_SERVER_NAME)), _protocolsIn(extensions.get(_PROTOCOLS)))
    except (error, IndexError):
        return Hello()


def _extensions(message: bytes) -> dict[int, bytes]:
    """Each by its number, after version, random, session, ciphers and compression."""
    at = _MESSAGE_HEAD + 2 + 32
    at += 1 + message[at]
    at += 2 + unpack_from("!H", message, at)[0]
    at += 1 + message[at]
    at += 2
    found = {}
    while at < len(message):
        kind, length = unpack_from("!HH", message, at)
        found[kind] = message[at + 4 : at + 4 + length]
        at += 4 + length
    return found


def _nameIn(extension: bytes | None) -> str | None:
    """The host name; there is no other kind."""
    if extension is None:
        return None
    kind, length = unpack_from("!BH", extension, 2)
    return extension[5 : 5 + length].decode("latin-1") if kind == 0 and length else None


def _protocolsIn(extension: bytes | None) -> tuple[bytes, ...] | None:
    if extension is None:
        return None
    found = []
    at = 2
    while at < len(extension):
        found.append(extension[at + 1 : at + 1 + extension[at]])
        at += 1 + extension[at]
    return tuple(found)
