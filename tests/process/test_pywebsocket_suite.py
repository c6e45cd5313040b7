"""pywebsocket's own end-to-end tests, and its example handlers, against `wsd standalone`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT, environment
from tests.process.pywebsocketpackage import unpacked


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(tmp_path_factory.mktemp("pywebsocket"))


def test_all_of_its_end_to_end_tests_pass(package: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.process.pywebsocketsuite", str(package)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    outcomes = json.loads(done.stdout.splitlines()[-1])
    assert {name: outcome for name, outcome in outcomes.items() if outcome != "ok"} == {}
    assert len(outcomes) == 28
