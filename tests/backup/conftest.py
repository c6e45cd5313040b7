"""The folders of a backup."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder of a daemon."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the copy is made."""
    return tmp_path / "copy"
