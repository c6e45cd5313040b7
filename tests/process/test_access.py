"""The access lines of a daemon that runs, in a file of their own, and what `wsd why` makes of them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.commands import until
from tests.daemon import ROOT, RunningDaemon, runningDaemon
from wsd.logs import ALIKE

CONFIG = """
[access]
file = "access.log"
format = "json"
[policies]
max_message = 100
[route."/small"]
protocol = "echo"
"""


def lines(path: Path, *events: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in found if not events or line["event"] in events]


def why(daemon: RunningDaemon, text: str) -> str:
    command = [sys.executable, "-m", "wsd", "why", text, "--config", str(daemon.folder / "wsd.toml")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout


def test_who_is_disconnected_learns_why_from_what_he_was_told() -> None:
    with runningDaemon(config=CONFIG) as daemon:
        access = daemon.folder / "access.log"
        with connect(f"ws://localhost:{daemon.port()}/small") as client:
            client.send("x" * 101)
            with pytest.raises(ConnectionClosed) as caught:
                client.recv(10)
        assert caught.value.rcvd is not None
        reason = caught.value.rcvd.reason
        until(lambda: lines(access, "connection.closed"), "there is a line connection.closed")
        story = why(daemon, reason)
        assert "opened a WebSocket at /small." in story
        assert "exceeds the limit, so the server closed the connection with 1009" in story
        assert "What to do: Send smaller messages, or raise max_message" in story
        (line,) = lines(access, "connection.closed")
        assert f"[{line['id']}]" in reason
        # They are in their own file, and not in the log.
        assert not [each for each in daemon.lines if "] closed: " in each or "] opened " in each]


def test_a_refused_request_is_found_by_its_header() -> None:
    with runningDaemon(config=CONFIG) as daemon:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{daemon.port()}/nowhere?token=hidden", timeout=10)
        name = caught.value.headers["X-Request-Id"]
        until(lambda: lines(daemon.folder / "access.log", "request.refused"), "there is a line")
        story = why(daemon, name)
        assert "with 404: there is nothing at /nowhere." in story
        assert "hidden" not in story
        # What was refused is in both.
        daemon.waitFor(rf"\[{name}\] refused GET /nowhere")


def test_the_file_is_opened_anew_when_it_was_rotated_and_the_story_goes_on_in_both() -> None:
    with runningDaemon(config=CONFIG) as daemon:
        access = daemon.folder / "access.log"
        with connect(f"ws://localhost:{daemon.port()}/small") as client:
            until(lambda: lines(access, "connection.opened"), "there is a line connection.opened")
            access.rename(daemon.folder / "access.log.1")
            daemon.process.send_signal(signal.SIGUSR1)
            until(access.exists, "there is a new file")
            client.close(1000)
            until(lambda: lines(access, "connection.closed"), "there is a line connection.closed")
        story = why(daemon, lines(access, "connection.closed")[0]["id"])
        assert re.search(r"opened a WebSocket.*\n.*The client closed the connection with 1000", story)


def test_a_flood_leaves_so_many_lines_and_at_the_end_their_number() -> None:
    with runningDaemon(config=CONFIG) as daemon:
        access = daemon.folder / "access.log"
        for _ in range(ALIKE + 11):
            with connect(f"ws://localhost:{daemon.port()}/small"):
                pass
        daemon.stop()
        closed = lines(access, "connection.closed")
        assert (len(closed), closed[-1]["repeats"]) == (ALIKE + 1, 10)
        assert closed[-1]["message"].endswith("; and 10 like it")
