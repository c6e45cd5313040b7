"""What makes a request an opening handshake that can be answered (RFC 6455 4.2.1), and the proof that it was read."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1

from wsd.head import Head, Refused

_KEY = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==\Z")
"""The base64 of 16 bytes: the last digit carries two bits only."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def checkUpgrade(head: Head) -> str:
    """The Sec-WebSocket-Key of a sound opening handshake. Raises `Refused`."""
    if head.method != "GET":
        raise Refused(405, f"an opening handshake is a GET, not a {head.method[:20]}", [("Allow", "GET")])
    if head.version < (1, 1):
        raise Refused(400, "an opening handshake is HTTP/1.1, not HTTP/1.0")
    if head.hasBody:
        raise Refused(400, "an opening handshake has no body; leave out Content-Length and Transfer-Encoding")
    headers = head.headers
    if headers.all("Sec-WebSocket-Version") != ["13"]:
        raise Refused(426, "this server speaks Sec-WebSocket-Version 13", [("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")])
    keys = headers.all("Sec-WebSocket-Key")
    if len(keys) != 1 or not _KEY.match(keys[0]):
        raise Refused(400, "Sec-WebSocket-Key must be there once, as the base64 of 16 bytes")
    if headers.count("Origin") > 1:
        raise Refused(400, "Origin is there more than once; send it once")
    return keys[0]


def acceptKey(key: str) -> str:
    """The Sec-WebSocket-Accept for a key."""
    return b64encode(sha1(key.encode() + _GUID).digest()).decode()
