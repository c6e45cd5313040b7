"""Subjects of certificates in the form of RFC 4514, and rules for them: `O=Doors`, `CN=me,O=Doors`."""

from __future__ import annotations

import re
from functools import lru_cache

from wsd.config.values import show

ANY = "*"
"""The rule that matches any certificate."""

_TYPE = r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+"
_PART = re.compile(rf'[ ]*({_TYPE})=((?:\\[0-9A-Fa-f]{{2}}|\\.|[^\\",+;<>\0])*+)([,+]|\Z)', re.DOTALL)
_ESCAPED = re.compile(rb"\\([0-9A-Fa-f]{2})|\\(.)", re.DOTALL)
_SPECIAL = re.compile(r'^[# ]|[\\",+;<>]| \Z')


@lru_cache(1024)
def attributesOf(subject: str) -> frozenset[tuple[str, str]]:
    """
    The attributes of a subject: pairs of a type in upper case and a value.

    Raises ValueError with a sentence.
    """
    attributes, at = set(), 0
    while True:
        part = _PART.match(subject, at)
        if part is None:
            raise ValueError(
                f'{show(subject)} is not a certificate subject; write it as /describe shows it, "CN=me,O=Doors", or a '
                'part of it, or "*" for any'
            )
        attributes.add((part[1].upper(), _plain(part[2])))
        at = part.end()
        if not part[3]:
            return frozenset(attributes)


def _plain(value: str) -> str:
    """A value without its escapes (RFC 4514 2.4)."""
    unescaped = _ESCAPED.sub(
        lambda match: bytes([int(match[1], 16)]) if match[1] else match[2], value.encode("utf-8", "surrogatepass")
    )
    return unescaped.decode("utf-8", "replace")


def commonName(value: str) -> str:
    """The subject of which only the common name is known, with the escapes of RFC 4514 2.4."""
    return "CN=" + _SPECIAL.sub(r"\\\g<0>", value)


def subject(text: str) -> str:
    """Check a rule of a route's `clients`, and return it. Raises ValueError with a sentence."""
    if text != ANY:
        attributesOf(text)
    return text
