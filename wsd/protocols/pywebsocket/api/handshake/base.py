"""The exceptions of opening handshakes, and functions to read header fields."""

from __future__ import annotations

from typing import Any

from wsd.protocols.pywebsocket.api import common
from wsd.protocols.pywebsocket.api import http_header_util as _header


class AbortedByUserException(Exception):
    """Raised by a handler to end the connection at once, without an answer or a closing handshake."""


class HandshakeException(Exception):
    """Raised to refuse the opening handshake with `status`, or with 403 if that is None."""

    def __init__(self, name: object, status: int | None = None) -> None:
        super().__init__(name)
        self.status = status


class VersionException(Exception):
    """Raised to refuse a version of the protocol with 400 and Sec-WebSocket-Version (RFC 6455 4.4)."""

    def __init__(self, name: object, supported_versions: str = "") -> None:
        super().__init__(name)
        self.supported_versions = supported_versions


def get_default_port(is_secure: bool) -> int:
    """Returns the default port of ws or wss."""
    return common.DEFAULT_WEB_SOCKET_SECURE_PORT if is_secure else common.DEFAULT_WEB_SOCKET_PORT


def validate_subprotocol(subprotocol: str) -> None:
    """Raises HandshakeException if a subprotocol is not a token (RFC 6455 4.1)."""
    state = _header.ParsingState(subprotocol or "")
    if _header.consume_token(state) is None or _header.peek(state) is not None:
        raise HandshakeException(f"{subprotocol!r} is not the name of a subprotocol")


def parse_host_header(request: Any) -> tuple[str, int]:
    """Returns the name and the port in Host. Raises HandshakeException."""
    name, colon, port = request.headers_in[common.HOST_HEADER].partition(":")
    if not colon:
        return name, get_default_port(request.is_https())
    try:
        return name, int(port)
    except ValueError:
        raise HandshakeException(f"the port {port!r} in Host is not a number") from None


def get_mandatory_header(request: Any, key: str) -> str:
    """Returns the value of a header field. Raises HandshakeException if it is missing."""
    value = request.headers_in.get(key)
    if value is None:
        raise HandshakeException(f"the header field {key} is missing")
    return str(value)


def validate_mandatory_header(request: Any, key: str, expected_value: str, fail_status: int | None = None) -> None:
    """Raises HandshakeException unless a header field has this value, in any case."""
    value = get_mandatory_header(request, key)
    if value.lower() != expected_value.lower():
        raise HandshakeException(f"the header field {key} is {value!r}, not {expected_value!r}", fail_status)


def parse_token_list(data: str) -> list[str]:
    """Returns the tokens of a comma-separated list. Raises HandshakeException."""
    state = _header.ParsingState(data)
    tokens = []
    while True:
        _header.consume_lwses(state)
        token = _header.consume_token(state)
        if token is not None:
            tokens.append(token)
        _header.consume_lwses(state)
        if _header.peek(state) is None:
            break
        if not _header.consume_string(state, ","):
            raise HandshakeException(f"expected a comma but found {_header.peek(state)!r}")
    if not tokens:
        raise HandshakeException("the list is empty")
    return tokens
