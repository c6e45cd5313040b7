"""Fixtures of the tests of the encodings."""

from __future__ import annotations

import pytest

from wsd.protocols.soap.encodings import nbfx


@pytest.fixture(params=["compiled", "python"])
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each codec of the binary encoding in turn."""
    monkeypatch.setattr(nbfx, "codec", nbfx.CODECS[request.param])
