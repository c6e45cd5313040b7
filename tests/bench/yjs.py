"""
What documents cost: 1,000 updates a second from 20 clients of one document, and the memory of 100 documents.

    python -m tests.bench.yjs

The clients of the first part are yjs.mjs. `make bench-yjs` runs this; its status is 1 if an update was not
acknowledged.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pycrdt import Doc, Text
from websockets.sync.client import connect

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
    """Open documents of 10,000 characters and leave them idle, close them, and open others."""
    began = daemon.memory
    with _editors(daemon, "first"):
        opened = daemon.memory
        before = _cpu(daemon)
        time.sleep(5)
        cpu = (_cpu(daemon) - before) / 5
    time.sleep(CLOSED_AFTER)
    # What was freed is not given back to the system, but used for others.
    with _editors(daemon, "second"):
        again = daemon.memory
    each, more = (opened - began) / DOCUMENTS / 1024, (again - opened) / DOCUMENTS / 1024
    print(
        f"{DOCUMENTS} idle documents of {CHARACTERS} characters, a connection each: {each:.0f} KiB each, "
        f"{cpu:.1%} of a core; {DOCUMENTS} others when these are closed: {more:.0f} KiB more each"
    )


@contextmanager
def _editors(daemon: RunningDaemon, name: str) -> Iterator[None]:
    """Connections to as many documents, which they have written."""
    doc: Doc[Any] = Doc()
    doc["text"] = Text("wsd keeps documents. " * (CHARACTERS // 21))
    with ExitStack() as stack:
        for number in range(DOCUMENTS):
            editor = stack.enter_context(connect(_url(daemon, f"{name}-{number}")))
            editor.send(syncMessage(SyncStep.UPDATE, doc.get_update()))
            while editor.recv()[:2] != b"\x00\x02":
                pass
        time.sleep(1)
        yield


def _url(daemon: RunningDaemon, name: str) -> str:
    return f"ws://localhost:{daemon.port()}/yjs/{name}"


def _cpu(daemon: RunningDaemon) -> float:
    """The CPU time of the daemon, in seconds."""
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
