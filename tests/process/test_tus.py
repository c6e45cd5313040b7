"""The clients of tus that there are, unmodified, against a daemon that is killed while they upload."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from tests.daemon import RunningDaemon, runningDaemon
from tests.ports import freePort

MIB = 1 << 20
CONTENT = os.urandom(40 * MIB)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(CONTENT)
    return tmp_path / "file"


def daemon(folder: Path, port: int) -> Any:
    """A daemon with this folder for its state."""
    config = '[route."/blob"]\nsync_bytes = "4 MiB"\n'
    return runningDaemon("-p", str(port), config=config, environ={"STATE_DIRECTORY": str(folder)})


def fetched(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        content: bytes = answer.read()
    return content


def killedAt(running: RunningDaemon, folder: Path, least: int) -> None:
    """Kill it when it counts on so much of the file."""
    while durable(folder) < least:
        assert running.process.poll() is None
    running.stop(signal.SIGKILL)


def durable(folder: Path) -> int:
    """Bytes of an upload that the index has as kept; a file may have more."""
    try:
        with closing(sqlite3.connect(f"file:{folder}/blob/index.sqlite?mode=ro", uri=True)) as index:
            found: int = index.execute("SELECT COALESCE(MAX(durable), 0) FROM parts").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
    return found


class Node:
    """tus-js-client in a process of its own."""

    def __init__(self, url: str, file: Path) -> None:
        script = Path(__file__).parents[1] / "process" / "tus.mjs"
        self.process = subprocess.Popen(
            ["node", str(script), url, str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def said(self) -> Iterator[Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield json.loads(line)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def test_tus_js_client_goes_on_after_the_daemon_was_killed_inside_its_one_patch(file: Path, tmp_path: Path) -> None:
    port = freePort()
    with daemon(tmp_path, port) as first:
        node = Node(f"http://127.0.0.1:{port}/blob/tus", file)
        try:
            killedAt(first, tmp_path, 4 * MIB)
            with daemon(tmp_path, port):
                *_, last = node.said()
                assert last["resumed"] > 0
                assert sha256(fetched(port, last["url"])).digest() == sha256(CONTENT).digest()
        finally:
            node.end()


def test_tuspy_goes_on_after_the_daemon_was_killed(file: Path, tmp_path: Path) -> None:
    port = freePort()
    with daemon(tmp_path, port) as first:
        uploader = TusClient(f"http://127.0.0.1:{port}/blob/tus").uploader(
            str(file), chunk_size=4 * MIB, metadata={"filename": "a.bin"}, upload_checksum=True
        )
        killer = threading.Thread(target=killedAt, args=(first, tmp_path, 4 * MIB))
        killer.start()
        with pytest.raises(TusCommunicationError):
            uploader.upload()
        killer.join()
    with daemon(tmp_path, port):
        uploader.offset = uploader.get_offset()
        assert uploader.offset >= 4 * MIB
        uploader.upload()
        assert uploader.offset == len(CONTENT)
        request = urllib.request.Request(str(uploader.url), method="HEAD", headers={"Tus-Resumable": "1.0.0"})
        with urllib.request.urlopen(request) as answer:
            path = answer.headers["Content-Location"]
        assert sha256(fetched(port, path)).digest() == sha256(CONTENT).digest()
