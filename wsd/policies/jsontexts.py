"""
JSON of strangers, parsed if that takes less than some 30 ms.

A mebibyte can hold half a million values, or 350,000 empty lists, which take up to 0.1 seconds.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

MOST_VALUES = 100_000
"""The most values and keys of a text."""

_SIGNS = ",:[{"
"""Each value and each key but the first has one of these before it."""


class TooManyValues(ValueError):
    """The text has more than `MOST_VALUES`."""

    def __init__(self) -> None:
        super().__init__(f"this JSON has more than {MOST_VALUES:,} values and keys")


def readJson(text: str) -> Any:
    """Returns the value of a JSON text (RFC 8259). Raises ValueError, which is `TooManyValues` if it has too many."""
    checkValues(text)
    try:
        return json.loads(text, parse_constant=_noConstant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def checkValues(text: str) -> None:
    """Raise `TooManyValues` if a text has too many. It may consist of several JSON texts that are parsed together."""
    if _countOf(text) <= MOST_VALUES:
        return
    # Count again, without what is in strings: a string may be a large table with commas.
    if "\\" in text:
        text = text.replace("\\\\", "").replace('\\"', "")
    # Each string is a value or a key, so there cannot be more of them.
    if text.count('"') > 2 * MOST_VALUES + 2 or _countOf("".join(text.split('"')[::2])) > MOST_VALUES:
        raise TooManyValues


def _countOf(text: str) -> int:
    return sum(map(text.count, _SIGNS))


def _noConstant(name: str) -> NoReturn:
    raise ValueError(name)
