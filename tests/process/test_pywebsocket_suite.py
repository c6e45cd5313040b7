"""pywebsocket's own end-to-end tests, and its example handlers, against `wsd standalone`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT, environment
from tests.process.pywebsocketpackage import unpacked


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(tmp_path_factory.mktemp("pywebsocket"))


PRIVATE = {
    "test_normalize_path",
    "test_converter",
    "test_enumerate_handler_file_paths",
    "test_source_handler_file",
    "test_scan_dir",
    "test_scan_sub_dir",
    "test_scan_sub_dir_as_root",
    "test_resource_path_alias",
}
"""Tests of functions and attributes with an underscore, which are not there: docs/conformance.md has them, too."""


def outcomes(suite: str, package: Path) -> dict[str, str]:
    """What each test came to: "ok", or the traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.process.pywebsocketsuite", suite, str(package)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_all_of_its_end_to_end_tests_pass(package: Path) -> None:
    found = outcomes("endtoend", package)
    assert {name: outcome for name, outcome in found.items() if outcome != "ok"} == {}
    assert len(found) == 28


def test_its_tests_of_handlers_pass_but_for_those_of_its_own_inside(package: Path) -> None:
    found = outcomes("dispatch", package)
    assert {name: outcome for name, outcome in found.items() if outcome != "ok" and name not in PRIVATE} == {}
    assert len(found) == 16
    assert {name for name, outcome in found.items() if outcome != "ok"} == PRIVATE
    assert all(re.search(r"AttributeError: .* has no attribute '_", found[name]) for name in PRIVATE)
