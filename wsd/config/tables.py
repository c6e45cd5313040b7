"""Reads a table of a configuration file into the fields of a dataclass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, fields
from functools import lru_cache
from typing import Any, get_type_hints

from wsd.config.errors import ConfigError
from wsd.config.values import nearest, readValue, show


class Table:
    """
    A table, its full name for messages, and the folder to which its paths are relative.

    All methods raise ConfigError for a mistake in it.
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
        """The value of a key as it was written."""
        return self.values.get(key, default)

    def keyOf(self, key: str) -> str:
        """The full name of one of its keys."""
        return f"{self.name}.{key}" if self.name else key

    def error(self, key: str, sentence: str) -> ConfigError:
        """Returns the exception to raise for one of its keys."""
        return ConfigError(sentence, self.keyOf(key))

    def table(self, key: str) -> Table:
        """The table under a key; an empty one if there is none."""
        return Table(self.values.get(key, {}), self.keyOf(key), self.folder)

    def override(self, key: str, value: object) -> None:
        """
        Set a value by its dotted key, such as "tls.port". Missing tables are created.

        A mapping sets the keys of a table. Its own keys are taken as they are, such as the paths of routes.
        """
        first, dot, rest = key.partition(".")
        if dot:
            self.values.setdefault(first, {})
            self.table(first).override(rest, value)
        else:
            self._set(key, value)

    def _set(self, key: str, value: object) -> None:
        if not isinstance(value, Mapping):
            self.values[key] = value
            return
        self.values.setdefault(key, {})
        table = self.table(key)
        for name, each in value.items():
            table._set(name, each)

    def within(self, place: Iterable[str]) -> Table:
        """The table at a place below this one. Missing tables are created."""
        table = self
        for key in place:
            table.values.setdefault(key, {})
            table = table.table(key)
        return table

    def put(self, place: Iterable[str], key: str, value: object) -> None:
        """Set the value of a key in the table at a place below this one."""
        self.within(place).values[key] = value

    def without(self, *keys: str) -> Table:
        """The same table without some of its keys."""
        values = {key: value for key, value in self.values.items() if key not in keys}
        return Table(values, self.name, self.folder)

    def refuseUnknown(self, known: Iterable[str]) -> None:
        """Raises ConfigError for an unknown key, and suggests the nearest known one."""
        names = set(known)
        for key in self.values:
            if key not in names:
                raise self.error(key, f"there is no such key; {nearest(key, names)}")

    def read(self, key: str, kind: object, metadata: Mapping[str, Any], default: object = None) -> Any:
        """The value of one key, for a field of this annotation and metadata."""
        try:
            return readValue(kind, metadata, self.values.get(key, default), self.folder)
        except ValueError as error:
            raise self.error(key, str(error)) from None

    def readFields(self, dataclass: type) -> dict[str, Any]:
        """The values of a dataclass's fields, as far as the table has them. Other keys are ignored."""
        known = _fieldsOf(dataclass)
        return {key: self.read(key, known[key][1], known[key][0].metadata) for key in self.values if key in known}

    def readOnly(self, dataclass: type) -> dict[str, Any]:
        """Like `readFields`, but refuses keys without a field."""
        self.refuseUnknown(_fieldsOf(dataclass))
        return self.readFields(dataclass)


@lru_cache(64)
def _fieldsOf(dataclass: type) -> dict[str, tuple[Field[Any], Any]]:
    """A dataclass's fields by name, each with its annotation resolved."""
    hints = get_type_hints(dataclass)
    return {field.name: (field, hints[field.name]) for field in fields(dataclass)}
