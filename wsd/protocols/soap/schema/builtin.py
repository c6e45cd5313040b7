"""Dates, times and durations of XML Schema (part 2, 3.2.6 to 3.2.9): texts to Python values and back."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any

_ZONE = re.compile(r"(Z|[+-]\d\d:\d\d)$")


_YEAR = re.compile(r"\s*(-|0000|\d{5})")
"""The beginning of a date whose year Python does not support."""


def _checkYear(text: str) -> None:
    if _YEAR.match(text):
        raise ValueError(f"{text.strip()[:40]!r} has a year that is not one of 1 to 9999")


def readDate(text: str) -> date:
    """A date without its zone. Raises ValueError for a year that Python does not support."""
    if len(text) == 10:
        return date.fromisoformat(text)
    _checkYear(text)
    return date.fromisoformat(_ZONE.sub("", text.strip()))


def writeDate(value: Any) -> str:
    """The text of a date. Raises TypeError for anything else."""
    if type(value) is date:
        return value.isoformat()
    if not isinstance(value, date) or isinstance(value, datetime):
        raise TypeError(f"{value!r} is not a date")
    return value.isoformat()


_MIDNIGHT = re.compile(r"(?<![\d.])24:00:00(?:\.0+)?(?=Z|[+-]|$)")
"""24:00:00, the end of a day (part 2, 3.2.7.1), which Python does not support."""


def readDateTime(text: str) -> datetime:
    """A moment, to the microsecond. Raises ValueError for a year that Python does not support."""
    text = text.strip()
    _checkYear(text)
    if "24:00:00" in text and (ended := _MIDNIGHT.sub("00:00:00", text)) != text:
        try:
            return datetime.fromisoformat(ended) + timedelta(days=1)
        except OverflowError:
            raise ValueError(f"{text[:40]!r} has a year that is not one of 1 to 9999") from None
    return datetime.fromisoformat(text)


def readTime(text: str) -> time:
    """A time of day."""
    return time.fromisoformat(_MIDNIGHT.sub("00:00:00", text.strip()))


def writeDateTime(value: Any) -> str:
    """The text of a datetime. Raises TypeError for anything else."""
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} is not a datetime")
    return value.isoformat().replace("+00:00", "Z")


def writeTime(value: Any) -> str:
    """The text of a time. Raises TypeError for anything else."""
    if not isinstance(value, time):
        raise TypeError(f"{value!r} is not a time")
    return value.isoformat().replace("+00:00", "Z")


_DURATION = re.compile(
    r"(-)?P(?:0+Y)?(?:0+M)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d*)(?:\.(\d*))?S)?)?",
    re.ASCII,
)


def readDuration(text: str) -> timedelta:
    """A duration. Raises ValueError for one with years or months, or one that is too long."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:40]!r} is a duration with years or months, whose length is not fixed; write days")
    sign, days, hours, minutes, seconds, fraction = (each or "" for each in match.groups())
    counts = {"days": days, "hours": hours, "minutes": minutes, "seconds": seconds, "microseconds": f"{fraction:0<6.6}"}
    try:
        length = timedelta(**{name: int(count or 0) for name, count in counts.items()})
    except OverflowError:
        raise ValueError(f"{text[:40]!r} is too long") from None
    return -length if sign else length


def writeDuration(value: Any) -> str:
    """The text of a timedelta. Raises TypeError for anything else."""
    if not isinstance(value, timedelta):
        raise TypeError(f"{value!r} is not a timedelta")
    whole, micros = divmod(abs(value) // timedelta(microseconds=1), 1_000_000)
    return f"{'-' if value < timedelta() else ''}PT{whole}{f'.{micros:06}' if micros else ''}S"
