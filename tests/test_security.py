"""docs/security.md: each threat names the tests that hold its defence."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROWS = [
    cells
    for line in (ROOT / "docs/security.md").read_text("utf-8").partition("## Threats")[2].splitlines()
    if len(cells := line.strip("| ").split(" | ")) == 3 and cells[0].startswith("**")
]


def _names(module: ast.Module) -> set[str]:
    """The tests and classes of a module, as pytest names them."""
    return {
        name
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef)
        for name in (node.name, *(f"{node.name}::{each.name}" for each in node.body if hasattr(each, "name")))
    } | {node.name for node in module.body if isinstance(node, ast.FunctionDef)}


def test_there_are_threats() -> None:
    assert len(ROWS) >= 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.sub(r"\W+", "-", row[0].partition(":")[0]).strip("-"))
def test_a_threat_is_held_by_tests_that_exist(row: list[str]) -> None:
    held = re.findall(r"`(tests/[^`]+)`", row[2])
    assert held
    for each in held:
        path, _, name = each.partition("::")
        module = ast.parse((ROOT / path).read_text("utf-8"))
        assert any(known.startswith(("Test", "test")) for known in _names(module)), path
        assert not name or name in _names(module), each
