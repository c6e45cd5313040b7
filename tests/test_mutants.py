"""The tool of `make mutants`: what it changes, and that its list is of the source as it is."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def load() -> Any:
    """The tool as a module."""
    spec = spec_from_file_location("mutants", ROOT / "tools/mutants.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["mutants"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load()
DATA = tomllib.loads(tool.DATA.read_text(encoding="utf-8"))


def mutants(source: str) -> list[str]:
    """What the mutants of a source make of it."""
    data = source.encode()
    return [mutant.apply(data).decode() for mutant in tool.Mutator("a.py", data).found]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a = b < c", ["a = (b <= c)", "a = (b > c)"]),
        ("a = b and c", ["a = (b or c)"]),
        ("a = not b", ["a = (b)"]),
        ("a = b + c", ["a = (b - c)"]),
        ("a = 5", ["a = 6", "a = 4"]),
        ("a = True", ["a = False"]),
        ("if a:\n    b = c", ["if (not a):\n    b = c"]),
        ("self.a = b", ["pass"]),
        ("a(b)", ["pass"]),
        ("a += b", ["pass"]),
        ("raise a", ["pass"]),
        ("def a():\n    return b", ["def a():\n    return None"]),
        ("'a docstring'", []),
        ("__slots__ = ('a', 'b')", []),
        ("self.log.info('a', b=1)", []),
        ("def a(b: 'C') -> 'D':\n    pass", []),
        ("if TYPE_CHECKING:\n    a = 1", []),
        ("ä = 'ü' if b < 1 else c", ["ä = 'ü' if (b <= 1) else c", "ä = 'ü' if (b > 1) else c"]),
    ],
)
def test_one_thing_is_changed(source: str, expected: list[str]) -> None:
    assert mutants(source)[: len(expected) or None] == expected


@pytest.mark.parametrize("group", [tool.Group(each) for each in DATA["group"]], ids=lambda group: group.name)
class TestEachGroup:
    def test_a_mutant_is_a_source(self, group: Any) -> None:
        for mutant in list(group.mutants())[::10]:
            compile(mutant.apply((ROOT / mutant.path).read_bytes()), str(mutant), "exec")

    def test_it_is_drawn_by_what_it_is_and_not_by_where(self, group: Any) -> None:
        mutant = next(group.mutants())
        assert mutant.rank(1) == replace(mutant, path="elsewhere.py", row=1, start=0, end=1).rank(1)
        assert mutant.rank(1) != mutant.rank(2)


def test_each_harmless_one_can_still_occur() -> None:
    found = [mutant for each in DATA["group"] for mutant in tool.Group(each).mutants()]
    assert not tool.Harmless(DATA).stale(found), "remove it from tools/mutants.toml"
