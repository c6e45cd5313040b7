"""The libraries from npm: pinned, and listed with their licences."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
USES = ROOT / "wsd" / "uses"
PINNED: dict[str, str] = json.loads((USES / "package.json").read_text("utf-8"))["dependencies"]


def test_each_is_pinned_to_one_version() -> None:
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in PINNED.values())


def test_the_lock_holds_them_and_names_no_host() -> None:
    text = (USES / "package-lock.json").read_text("utf-8")
    locked = json.loads(text)["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in PINNED} == PINNED
    assert '"resolved"' not in text
    assert all(each.get("integrity", "").startswith("sha512-") for name, each in locked.items() if name)


def test_the_page_lists_each_with_its_version_and_licence() -> None:
    text = (ROOT / "docs" / "uses.md").read_text("utf-8")
    listed = re.findall(r"^\| \[(\S+)\]\(\S+\) \| (\S+) \| (\w+) \|", text, re.MULTILINE)
    locked = json.loads((USES / "package-lock.json").read_text("utf-8"))["packages"]
    assert {(name, version, locked[f"node_modules/{name}"]["license"]) for name, version in PINNED.items()} == set(
        listed
    )


class TestTheBundles:
    def test_the_licences_of_all_are_with_them(self) -> None:
        text = (USES / "lib" / "LICENSES.txt").read_text("utf-8")
        named = dict(re.findall(r"^(\S+) (\d+\.\d+\.\d+) \(\w+\)$", text, re.MULTILINE))
        assert PINNED.items() <= named.items()
        assert len(re.findall(r"^Licence: ", text, re.MULTILINE)) == 0, "each has its text, not the name alone"

    @pytest.mark.parametrize("entry", ["yjs", "codemirror", "world"])
    def test_each_entry_is_there_and_asks_for_files_beside_it_alone(self, entry: str) -> None:
        text = (USES / "lib" / f"{entry}.js").read_text("utf-8")
        for path in re.findall(r'(?:from|import)"([^"]+)"', text):
            assert re.fullmatch(r"\./[\w-]+\.js", path)
            assert (USES / "lib" / path).is_file()
