"""Who may know whom in wsd, read from every import, those inside functions included."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.glob("wsd/**/*.py"))

FLOORS = (
    ("wsd", "wsd.head", "wsd.config", "wsd.errors"),
    ("wsd.metrics", "wsd.logs", "wsd.resources"),
    ("wsd.frames",),
    ("wsd.policies",),
    ("wsd.connection",),
    ("wsd.protocols",),
    ("wsd.web", "wsd.listen"),
    ("wsd.service",),
    ("wsd.tap", "wsd.client"),
    ("wsd.standalone",),
    ("wsd.__main__",),
)
"""Rooms from the lowest floor up. A room knows the floors below its own, and of its own floor itself alone."""

AUTOBAHN = ("wsd.connection", "wsd.web.door", "wsd.client")
REACTOR = ("wsd.tap", "wsd.standalone.serving")


def nameOf(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def importsOf(path: Path) -> Iterator[str]:
    """Every module it imports; `from a import b` counts as a.b, which is right whether b is a module or a name."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


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
