"""The keys in which two configurations differ, and the keys whose change needs a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

from wsd.config.schema import Config, Route

FIXED = ("frames", "workers")
"""The keys that are fixed from the daemon's start to its end: a reload that changes one is refused."""

_TABLES = ("policies", "auth", "tls", "log", "access", "traces", "control", "uses")


def fixedIn(before: Config, after: Config) -> list[str]:
    """The keys in `FIXED` in which two configurations differ."""
    return [key for key in FIXED if getattr(before, key) != getattr(after, key)]


def changes(before: Config, after: Config) -> list[str]:
    """The keys in which two configurations differ, by full name: `hosts`, `policies.deflate`, `route."/echo"`."""
    old, new = dict(_plain(before)), dict(_plain(after))
    changed = [key for key in old if old[key] != new[key]]
    for key in {**before.routes, **after.routes}:
        route, other = before.routes.get(key), after.routes.get(key)
        if route is None or other is None or _differ(route, other, before, after):
            changed.append(f'route."{key}"')
    return changed


def _differ(route: Route, other: Route, before: Config, after: Config) -> bool:
    """Whether two routes differ in more than the policies and the authentication that they inherit from the daemon."""

    def own(each: Route, config: Config) -> Iterator[object]:
        for values, inherited in ((each.policies, config.policies), (each.auth, config.auth)):
            for key in fields(values):
                value = getattr(values, key.name)
                yield None if value == getattr(inherited, key.name) else value

    alike = replace(route, policies=other.policies, auth=other.auth) == other
    return not alike or list(own(route, before)) != list(own(other, after))


def _plain(config: Config) -> Iterator[tuple[str, Any]]:
    for each in fields(config):
        value = getattr(config, each.name)
        if each.name in _TABLES:
            yield from ((f"{each.name}.{key.name}", getattr(value, key.name)) for key in fields(value))
        elif each.name != "routes":
            yield each.name, value
