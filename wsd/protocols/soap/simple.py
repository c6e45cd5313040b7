"""The simple types of XML Schema (part 2): from the text in a document to a value of Python, and back."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True)
class SimpleType:
    """`read` and `write` raise ValueError or TypeError for what they cannot take; `python` is for a person."""

    name: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    python: Any
    choices: tuple[str, ...] = ()
    """The texts of an enumeration."""
    least: str = ""
    """The text of the least value, where the contract names one."""


def _textOf(value: Any) -> str:
    if type(value) is str:
        return value
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a str")
    return str(value.value) if isinstance(value, Enum) else value


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


_ZONE = re.compile(r"(Z|[+-]\d\d:\d\d)$")


def _readDate(text: str) -> date:
    if len(text) == 10:
        return date.fromisoformat(text)
    return date.fromisoformat(_ZONE.sub("", text.strip()))


def _writeDate(value: Any) -> str:
    if type(value) is date:
        return value.isoformat()
    if not isinstance(value, date) or isinstance(value, datetime):
        raise TypeError(f"{value!r} is not a date")
    return value.isoformat()


def _writeDateTime(value: Any) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} is not a datetime")
    return value.isoformat().replace("+00:00", "Z")


def _writeTime(value: Any) -> str:
    if not isinstance(value, time):
        raise TypeError(f"{value!r} is not a time")
    return value.isoformat().replace("+00:00", "Z")


_DURATION = re.compile(r"(-)?P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.ASCII)


def _readDuration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is a duration of months, whose days are not known; write days")
    sign, days, hours, minutes, seconds = match.groups("0")
    try:
        length = timedelta(int(days), float(seconds), hours=int(hours), minutes=int(minutes))
    except OverflowError:
        raise ValueError(f"{text[:40]!r} is too long") from None
    return -length if sign == "-" else length


def _writeDuration(value: Any) -> str:
    if not isinstance(value, timedelta):
        raise TypeError(f"{value!r} is not a timedelta")
    whole, micros = divmod(abs(value) // timedelta(microseconds=1), 1_000_000)
    return f"{'-' if value < timedelta() else ''}PT{whole}{f'.{micros:06}' if micros else ''}S"


def _readBase64(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"))
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("this is not base64") from None


def _bytesOf(value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"{type(value).__name__} is not bytes")
    return bytes(value)


_STRING = SimpleType("string", str, _textOf, str)
_TOKEN = SimpleType("token", lambda text: " ".join(text.split()), _textOf, str)
_WHOLE = SimpleType("integer", int, _writeInt, int)
_FLOAT = SimpleType("double", lambda text: float(text.strip()), _writeFloat, float)

BUILT_IN: dict[str, SimpleType] = {
    "string": _STRING,
    "anySimpleType": _STRING,
    "boolean": SimpleType("boolean", _readBool, _writeBool, bool),
    "decimal": SimpleType("decimal", _readDecimal, _writeDecimal, Decimal),
    "date": SimpleType("date", _readDate, _writeDate, date),
    "dateTime": SimpleType("dateTime", lambda text: datetime.fromisoformat(text.strip()), _writeDateTime, datetime),
    "time": SimpleType("time", lambda text: time.fromisoformat(text.strip()), _writeTime, time),
    "duration": SimpleType("duration", _readDuration, _writeDuration, timedelta),
    "base64Binary": SimpleType(
        "base64Binary", _readBase64, lambda value: base64.b64encode(_bytesOf(value)).decode(), bytes
    ),
    "hexBinary": SimpleType(
        "hexBinary", lambda text: bytes.fromhex(text), lambda value: _bytesOf(value).hex().upper(), bytes
    ),
}
"""By their local names."""
_ALIKE = {
    _WHOLE: (
        "integer nonPositiveInteger negativeInteger long int short byte nonNegativeInteger unsignedLong unsignedInt "
        "unsignedShort unsignedByte positiveInteger"
    ),
    # Those of years, months and days alone are texts.
    _TOKEN: (
        "normalizedString token language Name NCName NMTOKEN ID IDREF ENTITY anyURI QName NOTATION "
        "gYear gYearMonth gMonth gMonthDay gDay"
    ),
    _FLOAT: "float double",
}
for _alike, _names in _ALIKE.items():
    for _name in _names.split():
        BUILT_IN[_name] = replace(_alike, name=_name)
for _name in ("NMTOKENS", "IDREFS", "ENTITIES"):
    BUILT_IN[_name] = SimpleType(_name, str.split, lambda value: " ".join(map(_textOf, value)), list[str])


def listOf(name: str, item: SimpleType) -> SimpleType:
    """A list (part 2, 2.5.1.2): texts between blanks."""
    return SimpleType(
        name,
        lambda text: [item.read(each) for each in text.split()],
        lambda value: " ".join(item.write(each) for each in _items(value)),
        list[item.python],  # type: ignore[name-defined]
    )


def _items(value: Any) -> Any:
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{value!r} is not a list")
    return value


def unionOf(name: str, members: list[SimpleType]) -> SimpleType:
    """A union (2.5.1.3): the first member that takes it."""

    def first(of: Callable[[SimpleType], Callable[[Any], Any]], value: Any) -> Any:
        for member in members:
            try:
                return of(member)(value)
            except (ValueError, TypeError):
                continue
        raise ValueError(f"{value!r} is of no type of {name}")

    return SimpleType(
        name,
        lambda text: first(lambda member: member.read, text),
        lambda value: str(first(lambda member: member.write, value)),
        object,
    )


def enumOf(name: str, base: SimpleType, texts: tuple[str, ...], known: type[Enum] | None) -> SimpleType:
    """An enumeration of texts: the members of an Enum, generated unless one is `known`; texts are taken as well."""
    members: Any = known or Enum(name, {memberName(text): text for text in texts}, type=str)
    byText = {str(member.value): member for member in members}

    def write(value: Any) -> str:
        text = str(value.value) if isinstance(value, Enum) else _textOf(value)
        if text not in byText:
            raise ValueError(f"{text!r} is none of {', '.join(byText)}")
        return text

    return SimpleType(name, lambda text: byText[base.read(text)], write, members, texts)


def memberName(text: str) -> str:
    """A text as a name of Python's."""
    name = re.sub(r"\W", "_", text) or "empty"
    return f"_{name}" if name[0].isdigit() else name
