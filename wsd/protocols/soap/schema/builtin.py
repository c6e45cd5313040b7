"""Built-in datatypes (XML Schema part 2, 3): reads texts as Python values, and writes them."""

from __future__ import annotations

import base64
import binascii
import math
import re
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any

from wsd.protocols.soap.schema.datatypes import SimpleType, collapsed, listOf, replaced, writeText


def _readBool(text: str) -> bool:
    text = text.strip()
    if text not in ("true", "false", "1", "0"):
        raise ValueError(f"{text!r} is not a boolean")
    return text in ("true", "1")


def _writeBool(value: Any) -> str:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is not a bool")
    return "true" if value else "false"


def _writeInt(value: Any) -> str:
    if type(value) is int:
        return str(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not an int")
    return str(int(value))


def _readDecimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a decimal") from None


def _writeDecimal(value: Any) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        text = str(value)
        return format(value, "f") if "E" in text else text
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a Decimal")
    return str(value)


def _writeFloat(value: Any) -> str:
    if not isinstance(value, (float, int)) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a float")
    if math.isnan(value):
        return "NaN"
    return repr(float(value)) if math.isfinite(value) else ("INF" if value > 0 else "-INF")


def _readBase64(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"))
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("this is not base64") from None


def _bytesOf(value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"{type(value).__name__} is not bytes")
    return bytes(value)


# -- dates, times and durations (3.2.6 to 3.2.9) ---------------------------------------------------------------------

_ZONE = re.compile(r"(Z|[+-]\d\d:\d\d)$")
_YEAR = re.compile(r"\s*(-|0000|\d{5})")
"""The beginning of a date whose year Python does not support."""
_MIDNIGHT = re.compile(r"(?<![\d.])24:00:00(?:\.0+)?(?=Z|[+-]|$)")
"""24:00:00, the end of a day (part 2, 3.2.7.1), which Python does not support."""
_UPPER_HALF = tuple("56789")
_DURATION = re.compile(
    r"(-)?P(?:0+Y)?(?:0+M)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d*)(?:\.(\d*))?S)?)?",
    re.ASCII,
)


def _checkYear(text: str) -> None:
    if _YEAR.match(text):
        raise ValueError(f"{text.strip()[:40]!r} has a year that is not one of 1 to 9999")


def _readDate(text: str) -> date:
    """Reads a date, and drops its zone. Raises ValueError for a year that Python does not support."""
    if len(text) == 10:
        return date.fromisoformat(text)
    _checkYear(text)
    return date.fromisoformat(_ZONE.sub("", text.strip()))


def _writeDate(value: Any) -> str:
    if type(value) is date:
        return value.isoformat()
    if not isinstance(value, date) or isinstance(value, datetime):
        raise TypeError(f"{value!r} is not a date")
    return value.isoformat()


def _readDateTime(text: str) -> datetime:
    """Reads a dateTime, rounded to the microsecond. Raises ValueError for a year that Python does not support."""
    text = text.strip()
    _checkYear(text)
    more = _roundedUp(text)
    if "24:00:00" in text and (ended := _MIDNIGHT.sub("00:00:00", text)) != text:
        text, more = ended, timedelta(days=1)
    found = datetime.fromisoformat(text)
    try:
        return found + more if more else found
    except OverflowError:
        raise ValueError(f"{text[:40]!r} has a year that is not one of 1 to 9999") from None


def _roundedUp(text: str) -> timedelta:
    """Returns what Python drops of a fraction of seconds, rounded to 0 or 1 microseconds: half of one is rounded up."""
    _, point, digits = text.partition(".")
    return timedelta(microseconds=1) if point and digits[6:7] in _UPPER_HALF else timedelta()


def _readTime(text: str) -> time:
    """Reads a time, rounded to the microsecond; the last one of a day is not rounded to the next day."""
    text = text.strip()
    found = time.fromisoformat(_MIDNIGHT.sub("00:00:00", text))
    if not _roundedUp(text) or found.replace(tzinfo=None) == time.max:
        return found
    return (datetime.combine(date.min, found) + timedelta(microseconds=1)).timetz()


def _writeDateTime(value: Any) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} is not a datetime")
    return value.isoformat().replace("+00:00", "Z")


def _writeTime(value: Any) -> str:
    if not isinstance(value, time):
        raise TypeError(f"{value!r} is not a time")
    return value.isoformat().replace("+00:00", "Z")


def _readDuration(text: str) -> timedelta:
    """Reads a duration. Raises ValueError if it has years or months, or is too long."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:40]!r} is a duration with years or months, whose length is not fixed; write days")
    sign, days, hours, minutes, seconds, fraction = (each or "" for each in match.groups())
    counts = {"days": days, "hours": hours, "minutes": minutes, "seconds": seconds, "microseconds": f"{fraction:0<6.6}"}
    try:
        length = timedelta(**{name: int(count or 0) for name, count in counts.items()}) + _roundedUp(f".{fraction}")
    except OverflowError:
        raise ValueError(f"{text[:40]!r} is too long") from None
    return -length if sign else length


def _writeDuration(value: Any) -> str:
    if not isinstance(value, timedelta):
        raise TypeError(f"{value!r} is not a timedelta")
    whole, micros = divmod(abs(value) // timedelta(microseconds=1), 1_000_000)
    return f"{'-' if value < timedelta() else ''}PT{whole}{f'.{micros:06}' if micros else ''}S"


# -- all of them ------------------------------------------------------------------------------------------------------

_STRING = SimpleType("string", str, writeText, str)
_NORMALIZED = SimpleType("normalizedString", replaced, writeText, str)
_TOKEN = SimpleType("token", collapsed, writeText, str)
_WHOLE = SimpleType("integer", int, _writeInt, int)
_FLOAT = SimpleType("double", lambda text: float(text.strip()), _writeFloat, float)

BUILT_IN: dict[str, SimpleType] = {
    "string": _STRING,
    "normalizedString": _NORMALIZED,
    "boolean": SimpleType("boolean", _readBool, _writeBool, bool),
    "decimal": SimpleType("decimal", _readDecimal, _writeDecimal, Decimal),
    "date": SimpleType("date", _readDate, _writeDate, date),
    "dateTime": SimpleType("dateTime", _readDateTime, _writeDateTime, datetime),
    "time": SimpleType("time", _readTime, _writeTime, time),
    "duration": SimpleType("duration", _readDuration, _writeDuration, timedelta),
    "base64Binary": SimpleType(
        "base64Binary", _readBase64, lambda value: base64.b64encode(_bytesOf(value)).decode(), bytes
    ),
    "hexBinary": SimpleType(
        "hexBinary", lambda text: bytes.fromhex(text), lambda value: _bytesOf(value).hex().upper(), bytes
    ),
}
"""The built-in datatypes by their local names."""
_ALIKE = {
    _WHOLE: (
        "integer nonPositiveInteger negativeInteger long int short byte nonNegativeInteger unsignedLong unsignedInt "
        "unsignedShort unsignedByte positiveInteger"
    ),
    # Python has no class for a gYear and the like: they are texts.
    _TOKEN: (
        "token language Name NCName NMTOKEN ID IDREF ENTITY anyURI QName NOTATION "
        "gYear gYearMonth gMonth gMonthDay gDay"
    ),
    _FLOAT: "float double",
}
for _alike, _names in _ALIKE.items():
    for _name in _names.split():
        BUILT_IN[_name] = replace(_alike, name=_name)


for _name in ("NMTOKENS", "IDREFS", "ENTITIES"):
    BUILT_IN[_name] = replace(listOf(_name, BUILT_IN["token"]), python=list[str])


_BY_CLASS = {kind: BUILT_IN[name] for kind, name in (
    (str, "string"), (bool, "boolean"), (float, "double"), (Decimal, "decimal"), (datetime, "dateTime"),
    (date, "date"), (time, "time"), (timedelta, "duration"), (bytes, "base64Binary"), (bytearray, "base64Binary"),
)}  # fmt: skip


def simpleTypeOf(value: Any) -> SimpleType:
    """Returns the built-in type for a Python value. Raises TypeError if there is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        name = "int" if -(1 << 31) <= value < 1 << 31 else "long" if -(1 << 63) <= value < 1 << 63 else "integer"
        return BUILT_IN[name]
    for kind in type(value).__mro__:
        if kind in _BY_CLASS:
            return _BY_CLASS[kind]
    if isinstance(value, Enum):
        return simpleTypeOf(value.value)
    raise TypeError(f"{type(value).__name__} has no type in XML Schema")


BUILT_IN["anySimpleType"] = SimpleType("anySimpleType", str, lambda value: simpleTypeOf(value).write(value), object)
