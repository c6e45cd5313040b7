"""Every test of connections runs on every plane."""

from __future__ import annotations

import pytest

from tests import wire
from wsd.frames import PLANES


@pytest.fixture(autouse=True, params=PLANES)
def plane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the plane that the daemons of this test have."""
    name = str(request.param)
    monkeypatch.setattr(wire, "PLANE", PLANES[name])
    return name
