"""Which part of a file a request asks for (RFC 9110 14)."""

from __future__ import annotations

import re

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE | re.ASCII)


class Unsatisfiable(Exception):
    """The part lies behind the end (416)."""


def rangeOf(field: str | None, size: int) -> tuple[int, int] | None:
    """
    First byte and the one behind the last; None for the whole file.

    A field that is not understood counts as none, as the RFC wants it, and so does one with several ranges. Raises
    Unsatisfiable.
    """
    match = _RANGE.fullmatch(field or "")
    if match is None or match[1] == match[2] == "":
        return None
    if not match[1]:
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), size if not match[2] else min(size, int(match[2]) + 1)
        if match[2] and int(match[2]) < start:
            return None
    if start >= size or start >= end:
        raise Unsatisfiable
    return start, end


def isMet(condition: str | None, tag: str, modified: str) -> bool:
    """Whether If-Range lets the range count: the file is the one that the client has begun (RFC 9110 13.1.5)."""
    return condition is None or condition.strip() in (tag, modified)
