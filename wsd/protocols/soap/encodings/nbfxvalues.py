"""
[MC-NBFX] 2.2.3: the text of each typed value, as WCF's own reader writes it.

| record | bytes | text |
|---|---|---|
| Int8, Int16, Int32, Int64, UInt64 | 1, 2, 4, 8, 8 | decimal digits |
| Float, Double | 4, 8 (IEEE 754) | the shortest digits that give the number; INF, -INF, NaN, -0 |
| Decimal | 16: 2 unused, scale, sign, 4 high, 8 low | all digits of its scale |
| DateTime | 8: 62 bits of ticks since the year 1, 2 bits of kind | xs:dateTime; Z for UTC, an offset for local time |
| TimeSpan | 8: ticks | xs:duration in days, hours, minutes and seconds |
| Uuid, UniqueId | 16, the first three groups little-endian | 8-4-4-4-12; UniqueId with urn:uuid: before it |
| Bool | 1 | true or false |

A tick is 100 ns. All numbers are little-endian. Local time is written with the offset of UTC: the record does not say
in which zone it was.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_UP, Context
from math import frexp
from typing import Any
from uuid import UUID

_TICKS = 10_000_000
"""Ticks of a second."""
_MOST_TICKS = 3_155_378_975_999_999_999
"""The ticks of the last moment of the year 9999."""
_DAY = 86_400 * _TICKS
_YEAR_1 = datetime(1, 1, 1, tzinfo=UTC)
_MOST_SCALE = 28
_DOUBLE_DIGITS = 17
_FLOAT_DIGITS = 9
_LEAST_NORMAL = 2.0**-126


def _integer(form: str) -> Callable[[bytes], str]:
    unpack = struct.Struct(f"<{form}").unpack

    def read(data: bytes) -> str:
        return str(unpack(data)[0])

    return read


def _float(data: bytes) -> str:
    (value,) = struct.unpack("<f", data)
    if value != value or value in (float("inf"), float("-inf")):
        return _number(repr(value), _FLOAT_DIGITS)
    # Every number of six digits survives as a float, so a shorter text that fits is this one without its zeros. Below
    # the normal numbers it need not.
    for digits in range(6 if abs(value) >= _LEAST_NORMAL else 1, 9):
        for text in (f"{value:.{digits - 1}e}", _roundedUp(value, digits)):
            if _isSame(text, data):
                return _number(text, _FLOAT_DIGITS)
    return _number(f"{value:.8e}", _FLOAT_DIGITS)


def _isSame(text: str, data: bytes) -> bool:
    try:
        return bool(text) and struct.pack("<f", float(text)) == data
    except OverflowError:
        return False


def _roundedUp(value: float, digits: int) -> str:
    """Returns a power of two rounded up, "" for others: it has more room above than below, so this may fit as well."""
    if frexp(value)[0] not in (0.5, -0.5):
        return ""
    return f"{Context(digits, ROUND_UP).create_decimal_from_float(value):e}"


def _double(data: bytes) -> str:
    return _number(repr(struct.unpack("<d", data)[0]), _DOUBLE_DIGITS)


def _number(text: str, precision: int) -> str:
    """Returns a number as .NET writes it: with an exponent below 0.0001, and above its precision."""
    if text in ("inf", "-inf", "nan"):
        return {"inf": "INF", "-inf": "-INF", "nan": "NaN"}[text]
    sign = "-" if text.startswith("-") else ""
    mantissa, _, power = text.lstrip("-").partition("e")
    whole, _, part = mantissa.partition(".")
    point = len(whole) + int(power or 0)
    digits = whole + part
    point -= len(digits) - len(digits.lstrip("0"))
    digits = digits.strip("0")
    if not digits:
        return f"{sign}0"
    if point > max(len(digits), precision) or point < -3:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}E{point - 1:+03}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[point:]}" if len(digits) > point else ""
    return f"{sign}{digits[:point].ljust(point, '0')}{fraction}"


def _decimal(data: bytes) -> str:
    scale, sign, high, low = struct.unpack("<xxBBIQ", data)
    if scale > _MOST_SCALE or sign not in (0, 0x80):
        raise ValueError("a Decimal has a scale of at most 28 and the sign 0 or 128")
    digits = str(high << 64 | low).rjust(scale + 1, "0")
    text = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
    return f"-{text}" if sign and (high or low) else text


def _dateTime(data: bytes) -> str:
    (value,) = struct.unpack("<Q", data)
    ticks, kind = value & (1 << 62) - 1, value >> 62
    if kind >= 2 and ticks > (1 << 62) - _DAY:
        # Such a time is before the year 1 in UTC. .NET adds a day to it.
        ticks += _DAY - (1 << 62)
    if ticks > _MOST_TICKS:
        raise ValueError("a DateTime is before the year 10000")
    seconds, part = divmod(ticks, _TICKS)
    moment = (_YEAR_1 + timedelta(seconds=seconds)).isoformat()[:19]
    return f"{moment}{_fraction(part)}{('', 'Z', '+00:00', '+00:00')[kind]}"


def _timeSpan(data: bytes) -> str:
    (value,) = struct.unpack("<q", data)
    seconds, part = divmod(abs(value), _TICKS)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    time = f"{hours}H" * bool(hours) + f"{minutes}M" * bool(minutes)
    if seconds or part:
        time += f"{seconds}{_fraction(part)}S"
    date = f"{days}D" * bool(days)
    if not date and not time:
        return "PT0S"
    return f"{'-' if value < 0 else ''}P{date}{'T' if time else ''}{time}"


def _fraction(ticks: int) -> str:
    return f".{ticks:07}".rstrip("0") if ticks else ""


def _uuid(data: bytes) -> str:
    return str(UUID(bytes_le=data))


def _uniqueId(data: bytes) -> str:
    return f"urn:uuid:{UUID(bytes_le=data)}"


def _bool(data: bytes) -> str:
    if data[0] > 1:
        raise ValueError("a Bool is 0 or 1")
    return "true" if data[0] else "false"


Values = dict[int, tuple[int, Callable[[bytes], Any]]]

VALUES: Values = {
    0x88: (1, _integer("b")),
    0x8A: (2, _integer("h")),
    0x8C: (4, _integer("i")),
    0x8E: (8, _integer("q")),
    0x90: (4, _float),
    0x92: (8, _double),
    0x94: (16, _decimal),
    0x96: (8, _dateTime),
    0xAC: (16, _uniqueId),
    0xAE: (8, _timeSpan),
    0xB0: (16, _uuid),
    0xB2: (8, _integer("Q")),
    0xB4: (1, _bool),
}
"""The size in bytes, and the reader of each record whose size is fixed. A reader raises ValueError."""

IN_ARRAYS = frozenset((0x8A, 0x8C, 0x8E, 0x90, 0x92, 0x94, 0x96, 0xAE, 0xB0, 0xB4))
"""The records that an array may consist of (2.2.2.2)."""
