"""Where atheris comes from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.fuzz import install


def test_without_a_wheel_for_this_python_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], check: bool = False) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(command, 1 if "pip" in command else 0)

    monkeypatch.setattr(install, "_VENV", tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit, match="pip cannot install atheris; it has wheels for CPython"):
        install.python()
    assert not list(tmp_path.iterdir())
