"""A route of blobs: what it does by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.protocols.blob.stores import ask, daemonOf
from tests.protocols.blob.test_download import put


def test_a_sweep_that_fails_is_not_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.time", lambda: now)
    daemon = daemonOf(tmp_path, keep=60.0)
    url = put(daemon)["url"]
    now += 61
    with monkeypatch.context() as patch:
        patch.setattr(os.path, "exists", lambda _: 1 / 0)
        daemon.pass_(61)
    assert ask(daemon, f"GET {url}").status == 200
    daemon.pass_(61)
    assert ask(daemon, f"GET {url}").status == 404
