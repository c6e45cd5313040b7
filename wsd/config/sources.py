"""Where the values of a configuration came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wsd.config.tables import Table
from wsd.config.variables import Setting


@dataclass(frozen=True, slots=True)
class ValueSource:
    """Where a value came from."""

    kind: str
    """One of "file", "built-in", "variable" and "option". What has no source has its default."""
    name: str = ""
    """The variable, or the credential."""
    isHidden: bool = False
    """Whether the value may be a secret."""


def sourcesOf(
    table: Table,
    settings: Iterable[Setting],
    overrides: Mapping[str, Any],
    builtIn: Mapping[str, Mapping[str, object]],
) -> dict[str, ValueSource]:
    """The sources of all values by key, from the table of the file, before anything is put into it."""
    found: dict[str, ValueSource] = {}
    for path, values in builtIn.items():
        found.update((f'route."{path}".{key}', ValueSource("built-in")) for key in values)
    found.update((name, ValueSource("file")) for name in _leaves(table.values))
    for setting in settings:
        place = setting.key.path
        name = "tls.certificate" if place[:2] == ("tls", "certificate") else setting.key.name
        found[name] = ValueSource("variable", setting.source, setting.isHidden)
    found.update((name, ValueSource("option")) for name in _leaves(overrides))
    return found


def _leaves(values: Mapping[str, Any], name: str = "", depth: int = 0) -> Iterator[str]:
    """The names of all keys, those of tables with the name of the table before them. A protocol is no table."""
    for key, value in values.items():
        full = f'{name}."{key}"' if name == "route" else f"{name}.{key}" if name else key
        if isinstance(value, Mapping) and (depth == 0 or name == "route" or (depth == 2 and key == "auth")):
            yield from _leaves(value, full, depth + 1)
        else:
            yield full
