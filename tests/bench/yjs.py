"""
What documents cost: 1,000 updates a second from 20 clients of one document, and the memory of 100 documents.

    python -m tests.bench.yjs

The clients of the first part are yjs.mjs. `make bench-yjs` runs this; its status is 1 if an update was not acknowledged.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pycrdt import Doc, Text
from websockets.sync.client import ClientConnection, connect

from tests.daemon import RunningDaemon, runningDaemon
from wsd.protocols.yjs.messages import SyncStep, syncMessage

CLIENTS, RATE = 20, 1000
DOCUMENTS, CHARACTERS = 100, 10_000
CLOSED_AFTER = 25.0
"""Seconds after which a document that everyone has left is closed."""


def main() -> int:
    """Measure and print. Returns 1 if something was lost."""
    parser = argparse.ArgumentParser(description="Edit one document with 20 clients, and keep 100 documents open.")
    parser.add_argument("--seconds", type=int, default=20)
    given = parser.parse_args()
    with runningDaemon() as daemon:
        found = _edited(daemon, given.seconds)
    print(
        f"{CLIENTS} clients, {found['sent'] / found['took']:.0f} updates/s: {found['received'] / found['took']:.0f} "
        f"messages/s sent, acknowledged in {found['half']:.1f} ms (median), {found['most']:.1f} ms (99 of 100), "
        f"{found['cpu']:.0%} of a core"
    )
    with runningDaemon() as daemon:
        _remembered(daemon)
    return int(found["acknowledged"] != found["sent"])


def _edited(daemon: RunningDaemon, seconds: int) -> dict[str, Any]:
    """What the clients say, with the CPU that the daemon took."""
    script = Path(__file__).with_suffix(".mjs")
    words = [_url(daemon, "busy"), CLIENTS, RATE, seconds]
    with subprocess.Popen(["node", script, *map(str, words)], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "warm\n"
        before = _cpu(daemon)
        found: dict[str, Any] = json.loads(client.stdout.readline())
    return {**found, "cpu": (_cpu(daemon) - before) / found["took"]}


def _remembered(daemon: RunningDaemon) -> None:
    """Open documents of 10,000 characters and leave them idle, and then close them."""
    _write(daemon, "warm").close()
    time.sleep(1)
    memory = [daemon.memory]
    editors = [_write(daemon, f"document-{number}") for number in range(DOCUMENTS)]
    time.sleep(1)
    before = _cpu(daemon)
    time.sleep(5)
    cpu = (_cpu(daemon) - before) / 5
    memory.append(daemon.memory)
    for editor in editors:
        editor.close()
    time.sleep(CLOSED_AFTER)
    memory.append(daemon.memory)
    began, opened, closed = (each / 1024 for each in memory)
    print(
        f"{DOCUMENTS} idle documents of {CHARACTERS} characters, a connection each: {(opened - began) / DOCUMENTS:.0f} KiB "
        f"each, {cpu:.1%} of a core; closed: {(closed - began) / DOCUMENTS:.0f} KiB each"
    )


def _write(daemon: RunningDaemon, name: str) -> ClientConnection:
    """A connection to a document that it has written."""
    doc: Doc[Any] = Doc()
    doc["text"] = Text("wsd keeps documents. " * (CHARACTERS // 21))
    editor = connect(_url(daemon, name))
    editor.send(syncMessage(SyncStep.UPDATE, doc.get_update()))
    while editor.recv()[:2] != b"\x00\x02":
        pass
    return editor


def _url(daemon: RunningDaemon, name: str) -> str:
    return f"ws://localhost:{daemon.port()}/yjs/{name}"


def _cpu(daemon: RunningDaemon) -> float:
    """The CPU time of the daemon, in seconds."""
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
