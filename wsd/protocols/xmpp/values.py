"""Numbers, times and booleans in a client's stanza. Malformed ones are answered with bad-request."""

from __future__ import annotations

import re
from datetime import datetime

from wsd.protocols.xmpp.errors import StanzaError

_NUMBER = re.compile(r"[+-]?0*([0-9]{1,18})")
_SPACE = " \t\r\n"
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,40})?(Z|[+-][0-9]{2}:[0-9]{2})"
)

INT = 2**31 - 1
"""The largest xs:int."""


def number(text: str, name: str, least: int = 0, most: int = INT) -> int:
    """Parses a whole number. Raises StanzaError."""
    trimmed = text.strip(_SPACE)
    value = int(trimmed) if _NUMBER.fullmatch(trimmed) and len(trimmed) <= 100 else None
    if value is None or not least <= value <= most:
        raise StanzaError("bad-request", f"{name} is a whole number from {least} to {most}")
    return value


def boolean(text: str, name: str) -> bool:
    """Parses an xs:boolean. Raises StanzaError."""
    trimmed = text.strip(_SPACE)
    if trimmed not in ("0", "1", "false", "true"):
        raise StanzaError("bad-request", f"{name} is true, false, 1 or 0")
    return trimmed in ("1", "true")


def dateTime(text: str, name: str) -> float:
    """Parses a time of XEP-0082. Returns seconds since 1970. Raises StanzaError."""
    try:
        if _DATE_TIME.fullmatch(text):
            return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        pass
    raise StanzaError("bad-request", f"{name} is a time such as 2026-01-31T12:00:00Z")
