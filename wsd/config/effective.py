"""Prints the configuration that is in force: TOML, with where each value came from in a comment."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from wsd.config.environment import TABLES
from wsd.config.schema import Certificate, Config, Route
from wsd.config.sources import ValueSource

HIDDEN = "(hidden)"
"""Stands for a value that may be a secret."""

_PASSWORD = re.compile(r"(://[^/@\s:]*:)[^/@\s]+@")
"""The password in a URL."""

_COLUMN = 40
"""Where comments begin."""

_ROUTE_KEYS = ("subprotocols", "prefer", "require_subprotocol", "origins", "clients")

Describe = Callable[[str, ValueSource | None], str]
"""Returns where the value of a key came from, in words."""


def effective(config: Config, sources: Mapping[str, ValueSource], describe: Describe) -> Iterator[str]:
    """The lines of a file with the configuration. Keys without a value are left out, and so are secrets."""
    printer = _Printer(sources, describe)
    for each in fields(config):
        if each.name not in (*TABLES, "routes"):
            value = getattr(config, each.name)
            yield from printer.line(each.name, "", False if each.name == "port" and value is None else value)
    for name in TABLES:
        yield from ("", f"[{name}]")
        table = getattr(config, name)
        for each in fields(table):
            yield from printer.line(each.name, f"{name}.", getattr(table, each.name))
    for key, route in config.routes.items():
        yield from ("", f"[route.{_toml(key)}]")
        yield from printer.route(f'route."{key}".', route, config)


class _Printer:
    """Prints keys with their sources."""

    def __init__(self, sources: Mapping[str, ValueSource], describe: Describe) -> None:
        self._sources = sources
        self._describe = describe

    def line(self, key: str, table: str, value: object, isSecret: bool = False) -> Iterator[str]:
        """The line of one key; none if it has no value."""
        if value is None:
            return
        full = f"{table}{key}"
        source = self._sources.get(full)
        isSecret = isSecret or (source is not None and source.isHidden)
        text = f"{key} = {_toml(HIDDEN if isSecret else value)}"
        yield f"{text:{_COLUMN}} # {self._describe(full, source)}"

    def route(self, table: str, route: Route, config: Config) -> Iterator[str]:
        """The lines of a route: its protocols, its own keys, the policies that it overrides, and its options."""
        yield from self.line("protocol", table, route.single or dict(route.protocol))
        for key in _ROUTE_KEYS:
            yield from self.line(key, table, getattr(route, key))
        for each in fields(route.policies):
            value = getattr(route.policies, each.name)
            if value != getattr(config.policies, each.name):
                yield from self.line(each.name, table, value)
        for each in fields(route.auth):
            value = getattr(route.auth, each.name)
            if value != getattr(config.auth, each.name):
                yield from self.line(f"auth.{each.name}", table, value)
        for key, values in _optionsOf(route).items():
            first, isSecret = next(iter(values.values()))
            if all(value == first for value, _ in values.values()):
                yield from self.line(key, table, first, isSecret)
            else:
                # Protocols share the name of a key, and have other defaults.
                texts = [f"{_toml(value)} for {name}" for name, (value, _) in values.items()]
                yield f"# {key} = {', '.join(texts)}"


def _optionsOf(route: Route) -> dict[str, dict[str, tuple[object, bool]]]:
    """The options of a route's protocols by key: the value for each protocol, and whether it is a secret."""
    found: dict[str, dict[str, tuple[object, bool]]] = {}
    for protocol, options in route.options.items():
        own: Any = options
        for each in fields(own):
            value = getattr(own, each.name), bool(each.metadata.get("secret"))
            found.setdefault(each.name, {})[protocol] = value
    return found


def _toml(value: object) -> str:
    """A value as TOML writes it, without the passwords in URLs."""
    if isinstance(value, Certificate):
        value = {"cert": value.cert, "key": value.key}
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(name)} = {_toml(each)}" for name, each in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, (bool, int, float)):
        return str(value).lower()
    return json.dumps(_PASSWORD.sub(r"\1***@", str(value)), ensure_ascii=False).replace("\x7f", "\\u007f")
