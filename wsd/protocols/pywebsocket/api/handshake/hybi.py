"""Functions for handlers that answer the opening handshake of RFC 6455 themselves."""

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
    """Returns the Sec-WebSocket-Accept for a key (RFC 6455 4.2.2)."""
    return b64encode(sha1(key + common.WEBSOCKET_ACCEPT_UUID, usedforsecurity=False).digest())


def compute_accept_from_unicode(unicode_key: str) -> bytes:
    """As `compute_accept`, for a key that is a str."""
    return compute_accept(unicode_key.encode())


def format_header(name: str, value: str) -> str:
    """Returns the line of a header field."""
    return f"{name}: {value}\r\n"
