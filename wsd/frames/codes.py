"""The opcodes of frames (RFC 6455 11.8) and the close codes (RFC 6455 7.4, 11.7)."""

from __future__ import annotations

from enum import IntEnum


class Opcode(IntEnum):
    """The type of a frame (RFC 6455 5.2, 11.8)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """Why a connection is closed (RFC 6455 7.4.1 and IANA's registry); logs and JSON show it as a number."""

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RECEIVED = 1005
    """Never in a frame: the peer's close frame had no code."""
    ABNORMAL_CLOSURE = 1006
    """Never in a frame: the connection ended without a close frame."""
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015
    """Never in a frame: the TLS handshake failed."""


UNAUTHORIZED = 4001
"""Close code of our own: the client's token is missing, or has expired."""

_RESERVED = (CloseCode.NO_STATUS_RECEIVED, CloseCode.ABNORMAL_CLOSURE, CloseCode.TLS_HANDSHAKE)
_SENT = frozenset(CloseCode) - frozenset(_RESERVED)


def maySend(code: int) -> bool:
    """Returns whether a close frame may have this code (RFC 6455 7.4.1, 7.4.2 and IANA's registry)."""
    return code in _SENT or 3000 <= code <= 4999


def checkCode(code: int) -> None:
    """Raises ValueError for a close code that may not be sent."""
    if not maySend(code):
        raise ValueError(f"{code} is not a close code that may be sent; use 1000 to 1003, 1007 to 1014 or 3000 to 4999")
