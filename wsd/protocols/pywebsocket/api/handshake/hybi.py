"""What of the opening handshake of RFC 6455 handlers compute themselves."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1

from wsd.protocols.pywebsocket.api import common
from wsd.protocols.pywebsocket.api.handshake.base import HandshakeException, get_mandatory_header, parse_token_list

__all__ = [
    "HandshakeException",
    "compute_accept",
    "compute_accept_from_unicode",
    "format_header",
    "get_mandatory_header",
    "parse_token_list",
]


def compute_accept(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept for a key."""
    return b64encode(sha1(key + common.WEBSOCKET_ACCEPT_UUID, usedforsecurity=False).digest())


def compute_accept_from_unicode(unicode_key: str) -> bytes:
    """The same for a key that is a text."""
    return compute_accept(unicode_key.encode())


def format_header(name: str, value: str) -> str:
    """A header field's line."""
    return f"{name}: {value}\r\n"
