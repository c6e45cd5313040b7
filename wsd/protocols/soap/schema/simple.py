"""The simple types of XML Schema (part 2): from the text in a document to a value of Python, and back."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any

from wsd.protocols.soap.schema.builtin import (
    readDate,
    readDateTime,
    readDuration,
    readTime,
    writeDate,
    writeDateTime,
    writeDuration,
    writeTime,
)


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
    if isinstance(value, Enum):
        value = value.value
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a str")
    return str(value)


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


def words(text: str) -> list[str]:
    """The items between XML's white space, to which a no-break space does not belong."""
    return _BLANKS.sub(" ", text).strip(" ").split(" ") if text.strip("\t\n\r ") else []


def collapsed(text: str) -> str:
    """A text as `whiteSpace="collapse"` leaves it (part 2, 4.3.6)."""
    return " ".join(words(text))


def replaced(text: str) -> str:
    """A text as `whiteSpace="replace"` leaves it."""
    return text.translate(_TO_SPACES)


_BLANKS = re.compile(r"[\t\n\r ]+")
_TO_SPACES = str.maketrans("\t\n\r", "   ")


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
_NORMALIZED = SimpleType("normalizedString", replaced, _textOf, str)
_TOKEN = SimpleType("token", collapsed, _textOf, str)
_WHOLE = SimpleType("integer", int, _writeInt, int)
_FLOAT = SimpleType("double", lambda text: float(text.strip()), _writeFloat, float)

BUILT_IN: dict[str, SimpleType] = {
    "string": _STRING,
    "normalizedString": _NORMALIZED,
    "boolean": SimpleType("boolean", _readBool, _writeBool, bool),
    "decimal": SimpleType("decimal", _readDecimal, _writeDecimal, Decimal),
    "date": SimpleType("date", readDate, writeDate, date),
    "dateTime": SimpleType("dateTime", readDateTime, writeDateTime, datetime),
    "time": SimpleType("time", readTime, writeTime, time),
    "duration": SimpleType("duration", readDuration, writeDuration, timedelta),
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
        "token language Name NCName NMTOKEN ID IDREF ENTITY anyURI QName NOTATION "
        "gYear gYearMonth gMonth gMonthDay gDay"
    ),
    _FLOAT: "float double",
}
for _alike, _names in _ALIKE.items():
    for _name in _names.split():
        BUILT_IN[_name] = replace(_alike, name=_name)


def listOf(name: str, item: SimpleType) -> SimpleType:
    """A list (part 2, 2.5.1.2): texts between blanks."""
    return SimpleType(
        name,
        lambda text: [item.read(each) for each in words(text)],
        lambda value: " ".join(_item(item.write(each)) for each in _items(value)),
        list[item.python],  # type: ignore[name-defined]
    )


def _items(value: Any) -> Any:
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{value!r} is not a list")
    return value


def _item(text: str) -> str:
    if not text or _BLANKS.search(text):
        raise ValueError(f"{text!r} cannot be an item of a list, whose items are separated by white space")
    return text


for _name in ("NMTOKENS", "IDREFS", "ENTITIES"):
    BUILT_IN[_name] = replace(listOf(_name, BUILT_IN["token"]), python=list[str])


_BY_KIND = {kind: BUILT_IN[name] for kind, name in (
    (str, "string"), (bool, "boolean"), (float, "double"), (Decimal, "decimal"), (datetime, "dateTime"),
    (date, "date"), (time, "time"), (timedelta, "duration"), (bytes, "base64Binary"), (bytearray, "base64Binary"),
)}  # fmt: skip


def simpleTypeOf(value: Any) -> SimpleType:
    """The built-in type of a Python value. Raises TypeError if it has none."""
    if isinstance(value, int) and not isinstance(value, bool):
        name = "int" if -(1 << 31) <= value < 1 << 31 else "long" if -(1 << 63) <= value < 1 << 63 else "integer"
        return BUILT_IN[name]
    for kind in type(value).__mro__:
        if kind in _BY_KIND:
            return _BY_KIND[kind]
    if isinstance(value, Enum):
        return simpleTypeOf(value.value)
    raise TypeError(f"{type(value).__name__} has no type in XML Schema")


BUILT_IN["anySimpleType"] = SimpleType("anySimpleType", str, lambda value: simpleTypeOf(value).write(value), object)


def unionOf(name: str, members: list[tuple[SimpleType, Callable[[str], bool]]]) -> SimpleType:
    """A union (2.5.1.3): the first member type for which a value is valid."""

    def read(text: str) -> Any:
        for member, fits in members:
            with suppress(ValueError, TypeError):
                value = member.read(text)
                if fits(text):
                    return value
        raise ValueError(f"{text[:40]!r} does not fit any type of {name}")

    def write(value: Any) -> str:
        for member, fits in members:
            with suppress(ValueError, TypeError):
                text = member.write(value)
                if fits(text):
                    return text
        raise ValueError(f"{value!r} does not fit any type of {name}")

    return SimpleType(name, read, write, object)


def enumOf(name: str, base: SimpleType, texts: tuple[str, ...], known: type[Enum] | None) -> SimpleType:
    """An enumeration of texts: the members of an Enum, generated unless one is `known`; texts are taken as well."""
    texts = tuple(dict.fromkeys(map(base.read, texts)))
    members: Any = known or Enum(name, _memberNames(texts), type=str)
    byText = {str(member.value): member for member in members}

    def read(text: str) -> Any:
        found = byText.get(base.read(text))
        if found is None:
            raise ValueError(f"{text[:40]!r} is not one of {', '.join(byText)}")
        return found

    def write(value: Any) -> str:
        text = str(value.value) if isinstance(value, Enum) else _textOf(value)
        if text not in byText:
            raise ValueError(f"{text!r} is none of {', '.join(byText)}")
        return text

    return SimpleType(name, read, write, members, texts)


_RESERVED = re.compile(r"(__?)[^_](.*[^_])?\1")


def _memberNames(texts: tuple[str, ...]) -> dict[str, str]:
    """Texts by unique names that an Enum accepts: "a-b" is a_b, and "a.b" beside it a_b_."""
    found: dict[str, str] = {}
    for text in texts:
        name = memberName(text)
        # `mro`, and names like _this_ and __this__, are reserved in an Enum.
        name = f"{name}_" if name == "mro" else f"x{name}" if _RESERVED.fullmatch(name) else name
        while name in found:
            name += "_"
        found[name] = text
    return found


def memberName(text: str) -> str:
    """A text as a name of Python's."""
    name = re.sub(r"\W", "_", text) or "empty"
    return f"_{name}" if name[0].isdigit() else name
