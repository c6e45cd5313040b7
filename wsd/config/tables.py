"""Reads the tables of a configuration file: which keys they may have, and what these are in a dataclass's fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, fields
from functools import lru_cache
from typing import Any, get_type_hints

from wsd.config.errors import ConfigError
from wsd.config.values import nearest, readValue, show


class Table:
    """
    A table with its name, by which messages call it, and the folder that its paths are relative to.

    All methods raise ConfigError for what is wrong in it.
    """

    def __init__(self, values: object, name: str = "", folder: str = "") -> None:
        if not isinstance(values, dict):
            raise ConfigError(f"{show(values)} is not a table; write [{name}] and its keys below", name)
        self.values: dict[str, Any] = values
        self.name = name
        self.folder = folder

    def __contains__(self, key: object) -> bool:
        return key in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def get(self, key: str, default: object = None) -> Any:
        """A value as it was written."""
        return self.values.get(key, default)

    def keyOf(self, key: str) -> str:
        """The full name of one of its keys."""
        return f"{self.name}.{key}" if self.name else key

    def error(self, key: str, sentence: str) -> ConfigError:
        """What to raise for one of its keys."""
        return ConfigError(sentence, self.keyOf(key))

    def table(self, key: str) -> Table:
        """A table in this one; an empty one if there is none."""
        return Table(self.values.get(key, {}), self.keyOf(key), self.folder)

    def override(self, key: str, value: object) -> None:
        """Set a value by its dotted key, such as "tls.port"; tables on the way to it are made."""
        first, dot, rest = key.partition(".")
        if dot:
            self.values.setdefault(first, {})
            self.table(first).override(rest, value)
        else:
            self.values[key] = value

    def without(self, *keys: str) -> Table:
        """The same table without some of its keys."""
        values = {key: value for key, value in self.values.items() if key not in keys}
        return Table(values, self.name, self.folder)

    def refuseUnknown(self, known: Iterable[str]) -> None:
        """Raises ConfigError for a key that is not known, with the nearest that is."""
        names = set(known)
        for key in self.values:
            if key not in names:
                raise self.error(key, f"there is no such key here; {nearest(key, names)}")

    def read(self, key: str, kind: object, metadata: Mapping[str, Any], default: object = None) -> Any:
        """The value of one key, for a field of this annotation and metadata."""
        try:
            return readValue(kind, metadata, self.values.get(key, default), self.folder)
        except ValueError as error:
            raise self.error(key, str(error)) from None

    def readFields(self, shape: type) -> dict[str, Any]:
        """The values of those of a dataclass's fields that the table has. A key without a field is not looked at."""
        known = _fieldsOf(shape)
        return {key: self.read(key, known[key][1], known[key][0].metadata) for key in self.values if key in known}

    def readOnly(self, shape: type) -> dict[str, Any]:
        """As `readFields`; a key without a field is refused."""
        self.refuseUnknown(_fieldsOf(shape))
        return self.readFields(shape)


@lru_cache(64)
def _fieldsOf(shape: type) -> dict[str, tuple[Field[Any], Any]]:
    """A dataclass's fields by name, each with its annotation resolved."""
    hints = get_type_hints(shape)
    return {field.name: (field, hints[field.name]) for field in fields(shape)}
