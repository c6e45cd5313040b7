"""Reads the ClientHello (RFC 8446 4.1.2): the server name and the application protocols that a client asks for."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from struct import error as StructError

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_PROTOCOLS = 16
_WANTED = frozenset((_SERVER_NAME, _PROTOCOLS))

_RECORD_HEAD = 5
_MESSAGE_HEAD = 4
_PAIR, _NAME = Struct("!HH").unpack_from, Struct("!BH").unpack_from
_MAX_HELLO = 131396
"""Bytes of the longest possible ClientHello, which is also OpenSSL's limit."""
_MAX_RECEIVED = 256 * 1024
"""Limit of all its records with their headers, in bytes: enough for any ClientHello, even in very small records."""


class HelloTooLong(Exception):
    """The ClientHello has more bytes than any real client needs. The message is one sentence."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """The server name (RFC 6066 3) and protocols (RFC 7301 3.1) that a client asks for; None without the extension."""

    name: str | None = None
    protocols: tuple[bytes, ...] | None = None


class ClientHelloReader:
    """
    Reads the ClientHello at the beginning of a connection, however it is split into records and reads.

    `received` has all bytes so far, for OpenSSL. A malformed ClientHello, or anything else, is read as an empty one:
    OpenSSL then rejects it.
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self._message = bytearray()
        self._start = 0

    def feed(self, data: bytes) -> ClientHello | None:
        """Returns the ClientHello, or None if it is not complete. Raises `HelloTooLong`. Each byte is read once."""
        if not self.received and (whole := _onlyMessage(data)):
            self.received += data
            return _read(whole)
        self.received += data
        received, message = self.received, self._message
        while len(received) > self._start:
            if received[self._start] != _HANDSHAKE:
                return ClientHello()
            body = self._start + _RECORD_HEAD
            if len(received) < body:
                break
            end = body + int.from_bytes(received[body - 2 : body], "big")
            if len(received) < end:
                break
            message += received[body:end]
            self._start = end
            if message and message[0] != _CLIENT_HELLO:
                return ClientHello()
            if len(message) >= _MESSAGE_HEAD:
                size = _MESSAGE_HEAD + int.from_bytes(message[1:_MESSAGE_HEAD], "big")
                if size > _MAX_HELLO:
                    return ClientHello()
                if len(message) >= size:
                    return _read(bytes(message[:size]))
        if len(received) > _MAX_RECEIVED:
            raise HelloTooLong(f"no complete ClientHello within {_MAX_RECEIVED // 1024} KiB")
        return None


def _onlyMessage(data: bytes) -> bytes | None:
    """The ClientHello if these bytes begin with all of it in one record, as nearly all do; None otherwise."""
    start = _RECORD_HEAD + _MESSAGE_HEAD
    if len(data) < start or data[0] != _HANDSHAKE or data[_RECORD_HEAD] != _CLIENT_HELLO:
        return None
    end = start + int.from_bytes(data[start - 3 : start], "big")
    record = _RECORD_HEAD + int.from_bytes(data[3:_RECORD_HEAD], "big")
    return data[_RECORD_HEAD:end] if end <= record <= len(data) else None


def _read(message: bytes) -> ClientHello:
    try:
        extensions = _extensions(message)
        return ClientHello(_nameIn(extensions.get(_SERVER_NAME)), _protocolsIn(extensions.get(_PROTOCOLS)))
    except (StructError, IndexError):
        return ClientHello()


def _extensions(message: bytes) -> dict[int, bytes]:
    """The two extensions; all follow version, random, session id, ciphers and compression (RFC 8446 4.1.2)."""
    at = _MESSAGE_HEAD + 2 + 32
    at += 1 + message[at]
    at += 2 + (message[at] << 8 | message[at + 1])
    at += 1 + message[at]
    at += 2
    found = {}
    size = len(message)
    while at < size:
        kind, length = _PAIR(message, at)
        at += 4
        if kind in _WANTED:
            found[kind] = message[at : at + length]
        at += length
    return found


def _nameIn(extension: bytes | None) -> str | None:
    """The host name, which is the only kind of name (RFC 6066 3)."""
    if extension is None:
        return None
    kind, length = _NAME(extension, 2)
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
