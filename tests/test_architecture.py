"""Which module may import which, read from every import: those inside functions and under TYPE_CHECKING included."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.glob("wsd/**/*.py"))

FLOORS = (
    ("wsd._head",),
    ("wsd", "wsd.head", "wsd.commands", "wsd.config", "wsd.errors"),
    ("wsd.metrics", "wsd.logs", "wsd.resources", "wsd.completion"),
    ("wsd.frames",),
    ("wsd.policies",),
    ("wsd.traces",),
    ("wsd.auth",),
    ("wsd.connection",),
    ("wsd.protocols",),
    ("wsd.web", "wsd.listen", "wsd.uses", "wsd.control"),
    ("wsd.service",),
    ("wsd.processes",),
    ("wsd.tap", "wsd.client", "wsd.why", "wsd.backup"),
    ("wsd.standalone",),
    ("wsd.__main__",),
)
"""Rooms from the lowest floor up. A room knows the floors below its own, and of its own floor itself alone."""

AUTOBAHN = ("wsd.connection", "wsd.client")
"""Where Autobahn is extended, and so imported."""

REACTOR = ("wsd.tap",)
"""Where the daemon is started, and the global reactor imported."""

CIRCLES: Mapping[frozenset[str], str] = {}
"""The circles of imports that are meant, each with its reason. One that is gone is removed from this list."""

SAME_NAMES: Mapping[str, str] = {}
"""Class names that two modules define, each with its reason. One that is unique again is removed from this list."""


def nameOf(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@cache
def treeOf(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


@cache
def importsOf(path: Path) -> tuple[str, ...]:
    """Every module it imports; `from a import b` counts as a.b, which is right whether b is a module or a name."""
    found: list[str] = []
    for node in ast.walk(treeOf(path)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(found)


@cache
def compiledImportsOf(path: Path) -> tuple[str, ...]:
    """The same for Cython: one import a line, `cimport` included."""
    found: list[str] = []
    for line in (ROOT / path).read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\s*from (\S+) c?import (.+)", line):
            found += [f"{match[1]}.{name.split()[0]}" for name in match[2].strip("()").split(",")]
        elif match := re.match(r"\s*c?import (\S+)", line):
            found.append(match[1])
    return tuple(found)


def within(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def roomOf(name: str) -> tuple[int, str]:
    """The floor and the room of a module, or of a name in one; what no other room has belongs to `wsd` itself."""
    found = [(floor, room) for floor, rooms in enumerate(FLOORS) for room in rooms if within(name, (room,))]
    return max(found, key=lambda item: len(item[1]))


@pytest.mark.parametrize("path", MODULES, ids=nameOf)
class TestEachModule:
    def test_it_stands_on_a_floor(self, path: Path) -> None:
        assert nameOf(path) == "wsd" or roomOf(nameOf(path))[1] != "wsd"

    def test_it_knows_only_the_floors_below(self, path: Path) -> None:
        floor, room = roomOf(nameOf(path))
        for name in importsOf(path):
            if within(name, ("wsd",)):
                assert roomOf(name)[0] < floor or roomOf(name) == (floor, room), f"{path} imports {name}"

    def test_it_imports_autobahn_only_where_autobahn_is_extended(self, path: Path) -> None:
        if not within(nameOf(path), AUTOBAHN):
            assert not [name for name in importsOf(path) if within(name, ("autobahn",))]

    def test_it_is_given_its_reactor_unless_it_starts_the_daemon(self, path: Path) -> None:
        if not within(nameOf(path), REACTOR):
            assert not [name for name in importsOf(path) if within(name, ("twisted.internet.reactor",))]

    def test_it_knows_no_protocol_by_name(self, path: Path) -> None:
        protocols = {nameOf(module) for module in MODULES if module.parent == Path("wsd/protocols")} - {"wsd.protocols"}
        protocols |= {nameOf(module) for module in MODULES if module.match("wsd/protocols/*/__init__.py")}
        for protocol in protocols:
            if not within(nameOf(path), (protocol,)):
                assert not [name for name in importsOf(path) if within(name, (protocol,))]


def test_the_configuration_needs_the_standard_library_alone() -> None:
    allowed = {"wsd", *sys.stdlib_module_names}
    for path in MODULES:
        if within(nameOf(path), ("wsd.config",)):
            assert {name.split(".")[0] for name in importsOf(path)} <= allowed


def test_the_plugin_imports_nothing_of_wsd() -> None:
    assert not [name for name in importsOf(Path("twisted/plugins/wsd_plugin.py")) if within(name, ("wsd",))]


def test_no_exemption_is_stale() -> None:
    for room in AUTOBAHN:
        inRoom = [path for path in MODULES if within(nameOf(path), (room,))]
        assert any(within(name, ("autobahn",)) for path in inRoom for name in importsOf(path)), f"{room}: no Autobahn"
    for module in REACTOR:
        inModule = [path for path in MODULES if nameOf(path) == module]
        assert any(within(name, ("twisted.internet.reactor",)) for path in inModule for name in importsOf(path)), module


class Graph:
    """Which module of wsd imports which; a name that a package re-exports counts for the module that defines it."""

    def __init__(self) -> None:
        compiled = {path.relative_to(ROOT) for kind in ("pyx", "pxd") for path in ROOT.glob(f"wsd/**/*.{kind}")}
        self._imports: dict[str, list[str]] = defaultdict(list)
        for path in MODULES:
            self._imports[nameOf(path)] += importsOf(path)
        for path in compiled:
            self._imports[nameOf(path)] += compiledImportsOf(path)
        self._exports = {nameOf(path): dict(exportsOf(path)) for path in MODULES if path.name == "__init__.py"}
        self.edges = {
            module: {found for name in names if (found := self._definer(name)) not in (None, module)}
            for module, names in self._imports.items()
        }

    def _definer(self, name: str) -> str | None:
        """The module that defines what is imported by this dotted name; None if it is not of wsd."""
        module, rest = name, ""
        while module not in self._imports:
            module, _, last = module.rpartition(".")
            rest = last
            if not module:
                return None
        exported = self._exports.get(module, {}).get(rest)
        return module if exported is None else self._definer(exported)

    def circles(self) -> Iterator[frozenset[str]]:
        """The strongly connected components of more than one module."""
        reached = {module: self._reachable(module) for module in self.edges}
        left = set(self.edges)
        while left:
            module = left.pop()
            circle = frozenset({module} | {other for other in reached[module] if module in reached[other]})
            left -= circle
            if len(circle) > 1:
                yield circle

    def _reachable(self, module: str) -> set[str]:
        seen: set[str] = set()
        ahead = [module]
        while ahead:
            new = self.edges[ahead.pop()] - seen
            seen |= new
            ahead += new
        return seen

    def path(self, circle: frozenset[str]) -> str:
        """The shortest way round from one of its modules: `a -> b -> a`."""
        shortest = min((self._round(start, circle) for start in sorted(circle)), key=len)
        return " -> ".join(shortest)

    def _round(self, start: str, circle: frozenset[str]) -> list[str]:
        ways, seen = [[start]], {start}
        for way in ways:
            for other in sorted(self.edges[way[-1]] & circle):
                if other == start:
                    return [*way, start]
                if other not in seen:
                    seen.add(other)
                    ways.append([*way, other])
        raise AssertionError(f"{start} is in no circle")


def exportsOf(path: Path) -> Iterator[tuple[str, str]]:
    """The names that a package takes from elsewhere, each with where it is from."""
    for node in treeOf(path).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = Graph()
    circles = set(graph.circles())
    new = [graph.path(circle) + f"   ({len(circle)} modules)" for circle in circles - CIRCLES.keys()]
    assert not new, "circles of imports:\n" + "\n".join(sorted(new))
    gone = [", ".join(sorted(circle)) for circle in CIRCLES.keys() - circles]
    assert not gone, "circles that are no more; remove them from CIRCLES:\n" + "\n".join(sorted(gone))


def test_a_circle_is_seen_through_a_package_and_shown_as_a_path() -> None:
    graph = Graph()
    assert "wsd.connection.connection" in graph.edges["wsd.protocols.echo"], "`from wsd.connection import Connection`"
    graph.edges = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}
    assert [graph.path(circle) for circle in graph.circles()] == ["a -> b -> c -> a"]


def test_no_class_name_is_defined_twice() -> None:
    homes: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        for node in ast.walk(treeOf(path)):
            if isinstance(node, ast.ClassDef):
                homes[node.name].add(nameOf(path))
    twice = {name: sorted(modules) for name, modules in homes.items() if len(modules) > 1}
    assert not {name: modules for name, modules in twice.items() if name not in SAME_NAMES}
    assert not SAME_NAMES.keys() - twice.keys(), "unique again; remove them from SAME_NAMES"
