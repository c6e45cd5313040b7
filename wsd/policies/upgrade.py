"""The requirements of an opening handshake (RFC 6455 4.2.1), and the key that answers it (RFC 6455 4.2.2)."""

from __future__ import annotations

import re
from binascii import b2a_base64
from hashlib import sha1

from wsd.head import Head, Headers, Refused, shown

_KEY = re.compile(r"[A-Za-z0-9+/]{22}==\Z")
"""The base64 of 16 bytes (RFC 6455 4.1). The last digit has only two bits; its padding bits may have any value."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_ANOTHER_VERSION = (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket"))


def isKey(text: str) -> bool:
    """Whether this is a valid Sec-WebSocket-Key."""
    return _KEY.match(text) is not None


def checkUpgrade(head: Head) -> str:
    """Returns the Sec-WebSocket-Key. Raises `Refused` (400; 405; or 426 with our version, RFC 6455 4.4)."""
    if head.method != "GET":
        raise Refused(405, f"an opening handshake must be a GET, not a {head.method}", [("Allow", "GET")])
    if head.version < (1, 1):
        raise Refused(400, "an opening handshake must use HTTP/1.1, not HTTP/1.0")
    if head.hasBody:
        raise Refused(400, "an opening handshake must not have a body; remove Content-Length and Transfer-Encoding")
    values = head.headers.byName
    version = values.get("sec-websocket-version")
    if version != "13":
        said = "missing" if version is None else shown(version)
        raise Refused(426, f"Sec-WebSocket-Version is {said}; send 13", _ANOTHER_VERSION)
    key = values.get("sec-websocket-key")
    if key is None or not isKey(key):
        raise _keyless(head.headers)
    if head.headers.isRepeated("origin"):
        raise Refused(400, f"the handshake has {head.headers.count('Origin')} Origin header fields; send one")
    return key


def _keyless(headers: Headers) -> Refused:
    """Returns what is wrong with the key. Two keys, joined to a list, are not base64."""
    keys = headers.all("Sec-WebSocket-Key")
    if len(keys) != 1:
        return Refused(400, f"the handshake has {len(keys) or 'no'} Sec-WebSocket-Key header fields; send one")
    return Refused(400, f"Sec-WebSocket-Key {shown(keys[0])} is not the base64 of 16 bytes")


def acceptKey(key: str) -> str:
    """Returns the Sec-WebSocket-Accept for a key (RFC 6455 4.2.2)."""
    return b2a_base64(sha1(key.encode() + _GUID, usedforsecurity=False).digest(), newline=False).decode()
