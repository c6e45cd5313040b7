"""Stores whose files are damaged: their routes answer 503, the log says why in one line, and all others work."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from websockets.sync.client import connect

from tests.commands import environment
from tests.daemon import RunningDaemon, runningDaemon

CONFIG = """
[uses]
enabled = false
[route."/topics/*"]
protocol = "topics"
backend = "file"
"""
STORES = {
    "topics.sqlite": "/topics",
    "yjs.sqlite": "/yjs",
    "xmpp.sqlite": "/xmpp",
    "blob/index.sqlite": "/blob",
}


@contextmanager
def daemonOn(state: Path) -> Iterator[RunningDaemon]:
    with runningDaemon("-p", "0", config=CONFIG, environ={"STATE_DIRECTORY": str(state)}) as daemon:
        yield daemon


def readiness(daemon: RunningDaemon) -> list[str]:
    try:
        with urlopen(f"http://localhost:{daemon.port()}/readyz", timeout=30) as answer:
            body = answer.read()
    except HTTPError as error:
        body = error.read()
    reasons: list[str] = json.loads(body).get("reasons", [])
    return reasons


def publish(daemon: RunningDaemon) -> int:
    request = Request(f"http://localhost:{daemon.port()}/topics/a", data=b"kept", method="POST")
    with urlopen(request, timeout=30) as answer:
        return int(answer.status)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder in which every store has been used."""
    state = tmp_path_factory.mktemp("good")
    with daemonOn(state) as daemon:
        assert publish(daemon) == 202
        with connect(f"ws://localhost:{daemon.port()}/blob", compression=None, proxy=None) as blob:
            blob.send(bytes(1000))
            assert '"sha256"' in str(blob.recv(30))
        with connect(f"ws://localhost:{daemon.port()}/yjs/a", proxy=None) as document:
            document.recv(30)
        add = [sys.executable, "-m", "wsd", "xmpp", "adduser", "alice@localhost"]
        subprocess.run(add, input=b"secret", env=environment(STATE_DIRECTORY=str(state)), check=True)
    return state


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def cleared(data: bytes) -> bytes:
    return bytes(len(data))


def garbledHead(data: bytes) -> bytes:
    return os.urandom(200) + data[200:]


@pytest.mark.parametrize("damage", [cut, cleared, garbledHead])
def test_their_routes_are_closed_and_all_others_work(
    damage: Callable[[bytes], bytes], good: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    shutil.copytree(good, state)
    for name in STORES:
        path = state / name
        path.write_bytes(damage(path.read_bytes()))
    with daemonOn(state) as daemon:
        with connect(f"ws://localhost:{daemon.port()}/echo", proxy=None) as echo:
            echo.send("works")
            assert echo.recv(30) == "works"
        closed = readiness(daemon)
        for name, route in STORES.items():
            assert any(reason.startswith(route) for reason in closed), closed
            told = rf"error .*{route}.* could not be started .*: {state / name.partition('/')[0]}: "
            assert any(re.search(told, line) for line in daemon.lines)
        assert not any("Traceback" in line for line in daemon.lines)
        assert daemon.stop(signal.SIGTERM) in (0, -signal.SIGTERM)
    for name in STORES:
        shutil.copy2(good / name, state / name)
    with daemonOn(state) as daemon:
        assert readiness(daemon) == []
        assert publish(daemon) == 202
