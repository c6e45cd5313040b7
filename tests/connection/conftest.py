"""Every test of connections runs on every plane."""

from __future__ import annotations

import pytest

from tests import wire
from wsd.connection import engine
from wsd.frames import PLANES, fast


@pytest.fixture(autouse=True, params=PLANES)
def plane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the plane that the daemons of this test have."""
    name = str(request.param)
    monkeypatch.setattr(wire, "PLANE", PLANES[name])
    return name


@pytest.fixture(autouse=True)
def turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """No turn ends because this machine is busy."""
    monkeypatch.setattr(engine, "TURN_SECONDS", 60.0)
    monkeypatch.setattr(fast, "TURN_SECONDS", 60.0)
