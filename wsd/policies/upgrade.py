"""What makes a request an opening handshake that can be answered (RFC 6455 4.2.1), and the proof that it was read."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1

from wsd.head import Head, Refused, shown

_KEY = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==\Z")
"""The base64 of 16 bytes, in the one way to write it: the last digit carries two bits only."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_ANOTHER_VERSION = (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket"))


def checkUpgrade(head: Head) -> str:
    """The Sec-WebSocket-Key of a sound opening handshake. Raises `Refused` (400, 405, or 426 with our version)."""
    if head.method != "GET":
        raise Refused(405, f"an opening handshake is a GET, not a {head.method}", [("Allow", "GET")])
    if head.version < (1, 1):
        raise Refused(400, "an opening handshake is HTTP/1.1, not HTTP/1.0")
    if head.hasBody:
        raise Refused(400, "an opening handshake has no body; leave out Content-Length and Transfer-Encoding")
    headers = head.headers
    version = headers.get("Sec-WebSocket-Version")
    if version != "13":
        said = "missing" if version is None else shown(version)
        raise Refused(426, f"Sec-WebSocket-Version is {said}; send 13", _ANOTHER_VERSION)
    if (count := headers.count("Sec-WebSocket-Key")) != 1:
        raise Refused(400, f"the handshake has {count or 'no'} Sec-WebSocket-Key header fields; send one")
    key = headers.get("Sec-WebSocket-Key", "")
    if not _KEY.match(key):
        raise Refused(400, f"Sec-WebSocket-Key {shown(key)} is not the base64 of 16 bytes")
    if (count := headers.count("Origin")) > 1:
        raise Refused(400, f"the handshake has {count} Origin header fields; send one")
    return key


def acceptKey(key: str) -> str:
    """The Sec-WebSocket-Accept for a key (RFC 6455 4.2.2)."""
    return b64encode(sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
