"""Reads the fields of a request. Each error is a sentence that says what would be right."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from wsd.config.values import nearest, show
from wsd.control.interface import CommandError


class Fields:
    """The fields of one request. All methods raise `CommandError` for a mistake in it."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def refuseUnknown(self, known: Iterable[str]) -> None:
        """Refuse a field that the command does not have."""
        names = {*known, "command"}
        for name in self._values:
            if name not in names:
                raise CommandError(f'there is no field "{name}" in this command; {nearest(name, names)}')

    def text(self, name: str, default: str | None = None) -> str | None:
        """A string."""
        value = self._values.get(name, default)
        if value is not None and not isinstance(value, str):
            raise CommandError(f"{name}: {_shown(value)} is not a string")
        return value

    def texts(self, name: str) -> list[str]:
        """A string, or a list of strings."""
        value = self._values.get(name)
        values = [] if value is None else value if isinstance(value, list) else [value]
        for each in values:
            if not isinstance(each, str):
                raise CommandError(f"{name}: {_shown(each)} is not a string")
        return values

    def number(self, name: str, default: float | None = None) -> float | None:
        """A number that is not negative."""
        value = self._values.get(name, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
            raise CommandError(f"{name}: {_shown(value)} is not a number from 0 on")
        return value

    def whole(self, name: str, default: int | None = None) -> int | None:
        """A whole number that is not negative."""
        value = self.number(name, default)
        if value is not None and value != int(value):
            raise CommandError(f"{name}: {_shown(value)} is not a whole number")
        return None if value is None else int(value)

    def flag(self, name: str) -> bool:
        """True or false, which is the default."""
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise CommandError(f"{name}: {_shown(value)} is not true or false")
        return value

    def choice(self, name: str, choices: Iterable[str], default: str | None = None) -> str | None:
        """One of these strings."""
        value = self.text(name, default)
        known = list(choices)
        if value is not None and value not in known:
            raise CommandError(f"{name}: {show(value)} is not one of " + ", ".join(f'"{each}"' for each in known))
        return value


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
