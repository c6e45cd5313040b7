"""Datatypes: simple types (XML Schema part 2), which read a text as a Python value and write a value as text."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True)
class SimpleType:
    """A simple type. `read` and `write` raise ValueError or TypeError for what is not of the type."""

    name: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    python: Any
    """The Python class of its values."""
    choices: tuple[str, ...] = ()
    """The texts of an enumeration."""
    least: str = ""
    """The text of the least value, if the schema has one (minInclusive)."""


# -- texts ------------------------------------------------------------------------------------------------------------

_BLANKS = re.compile(r"[\t\n\r ]+")
_TO_SPACES = str.maketrans("\t\n\r", "   ")


def writeText(value: Any) -> str:
    """Returns a str, or the str value of a member of an Enum. Raises TypeError for anything else."""
    if type(value) is str:
        return value
    if isinstance(value, Enum):
        value = value.value
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a str")
    return str(value)


def words(text: str) -> list[str]:
    """Splits a text at white space of XML, which does not include the no-break space."""
    return _BLANKS.sub(" ", text).strip(" ").split(" ") if text.strip("\t\n\r ") else []


def collapsed(text: str) -> str:
    """Collapses white space: whiteSpace="collapse" (part 2, 4.3.6)."""
    return " ".join(words(text))


def replaced(text: str) -> str:
    """Replaces white space by spaces: whiteSpace="replace" (part 2, 4.3.6)."""
    return text.translate(_TO_SPACES)


# -- lists, unions, enumerations -----------------------------------------------------------------------------------


def listOf(name: str, item: SimpleType) -> SimpleType:
    """Returns a list type (part 2, 2.5.1.2): items separated by white space."""
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


def unionOf(name: str, members: list[tuple[SimpleType, Callable[[str], bool]]]) -> SimpleType:
    """Returns a union type (part 2, 2.5.1.3): a value has the first member type that it is valid for."""

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
    """Returns an enumeration of texts. Its values are members of the Enum `known`, or of a generated one."""
    texts = tuple(dict.fromkeys(map(base.read, texts)))
    members: Any = known or Enum(name, _memberNames(texts), type=str)
    byText = {str(member.value): member for member in members}

    def read(text: str) -> Any:
        found = byText.get(base.read(text))
        if found is None:
            raise ValueError(f"{text[:40]!r} is not one of {', '.join(byText)}")
        return found

    def write(value: Any) -> str:
        text = str(value.value) if isinstance(value, Enum) else writeText(value)
        if text not in byText:
            raise ValueError(f"{text!r} is not one of {', '.join(byText)}")
        return text

    return SimpleType(name, read, write, members, texts)


_RESERVED = re.compile(r"(__?)[^_](.*[^_])?\1")


def _memberNames(texts: tuple[str, ...]) -> dict[str, str]:
    """Returns the texts by unique names that an Enum accepts: "a-b" is a_b, and "a.b" beside it a_b_."""
    found: dict[str, str] = {}
    for text in texts:
        name = identifierOf(text)
        # `mro`, and names like _this_ and __this__, are reserved in an Enum.
        name = f"{name}_" if name == "mro" else f"x{name}" if _RESERVED.fullmatch(name) else name
        while name in found:
            name += "_"
        found[name] = text
    return found


def identifierOf(text: str) -> str:
    """Returns a text as a Python identifier, which may be a keyword."""
    name = re.sub(r"\W", "_", text) or "empty"
    return f"_{name}" if name[0].isdigit() else name
