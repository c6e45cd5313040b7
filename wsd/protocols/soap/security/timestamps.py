"""Timestamps: when a message was made and when it expires (WSS: SOAP Message Security 1.1, 10), read and written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lxml import etree

from wsd.protocols.soap.names import WSSE, WSU, namespaceOf
from wsd.protocols.soap.parsers import parseAny
from wsd.protocols.soap.schema.builtin import BUILT_IN
from wsd.protocols.soap.security.faults import SecurityFault

SECURITY = f"{{{WSSE}}}Security"
CREATED = f"{{{WSU}}}Created"
_EXPIRES = f"{{{WSU}}}Expires"

SKEW = 300.0
"""Seconds by which the clocks of a client and of the server may differ."""
_VALID = 300.0
"""Seconds after which a message expires that does not say when it does, and after which our answers do."""


def checkTimestamp(element: Any, now: float) -> None:
    """Raises `SecurityFault` for a Timestamp that is malformed, expired, or too far in the future."""
    created, expires = _timeIn(element, CREATED), _timeIn(element, _EXPIRES)
    if created is not None:
        checkNotEarly(created, now)
        if expires is None:
            expires = created + _VALID
        elif expires <= created:
            raise SecurityFault("InvalidSecurity", "the wsu:Timestamp has an Expires that is not after its Created")
    if expires is not None and expires < now - SKEW:
        raise SecurityFault("MessageExpired", f"the message expired {now - expires:.0f} seconds ago; check the clock")


def checkFresh(created: float, now: float) -> None:
    """Raises `SecurityFault` for a time that differs from now by more than the clocks may."""
    checkNotEarly(created, now)
    if created < now - SKEW:
        raise SecurityFault(
            "MessageExpired", f"the wsse:UsernameToken was created {now - created:.0f} seconds ago; check the clock"
        )


def checkNotEarly(created: float, now: float) -> None:
    """Raises `SecurityFault` for a time that is too far in the future."""
    if created > now + SKEW:
        raise SecurityFault(
            "MessageExpired", f"wsu:Created is {created - now:.0f} seconds in the future; check the clock"
        )


def timeOf(element: Any) -> float:
    """Returns the time in an element in seconds since 1970. Raises `SecurityFault`."""
    text = (element.text or "").strip()
    try:
        found: datetime = BUILT_IN["dateTime"].read(text)
        if found.tzinfo is not None:
            return found.timestamp()
    except (ValueError, OverflowError):
        pass
    raise SecurityFault("InvalidSecurity", f"{text[:40]!r} is not a time such as 2026-01-31T12:00:00Z")


def _timeIn(element: Any, tag: str) -> float | None:
    found = element.findall(tag)
    if len(found) > 1:
        raise SecurityFault("InvalidSecurity", "the wsu:Timestamp has two elements of the same name")
    return timeOf(found[0]) if found else None


def withTimestamp(text: str, now: float) -> str:
    """Returns an envelope with a Security header that has only a Timestamp. It replaces any other Security header."""
    root = parseAny(text)
    tag = f"{{{namespaceOf(root.tag)}}}Header"
    header = root.find(tag)
    if header is None:
        header = etree.Element(tag)
        root.insert(0, header)
    for other in header.findall(SECURITY):
        header.remove(other)
    header.insert(0, _securityAt(now))
    return str(etree.tostring(root, encoding="unicode"))


def _securityAt(now: float) -> Any:
    security = etree.Element(SECURITY, nsmap={"o": WSSE, "u": WSU})
    timestamp = etree.SubElement(security, f"{{{WSU}}}Timestamp")
    etree.SubElement(timestamp, CREATED).text = _written(now)
    etree.SubElement(timestamp, _EXPIRES).text = _written(now + _VALID)
    return security


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
