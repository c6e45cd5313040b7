"""`wsd ctl top` at a terminal."""

from __future__ import annotations

import signal
from pathlib import Path

from websockets.sync.client import connect

from tests.commands import running
from tests.terminal import COLUMNS, atTerminal

TEXT = """\
port = 0
host = "127.0.0.1"
built_in = false
[route."/echo"]
protocol = "echo"
[route."/other"]
protocol = "echo"
"""


def test_it_shows_what_happens_until_a_key_ends_it(tmp_path: Path) -> None:
    (tmp_path / "wsd.toml").write_text(TEXT)
    kept = tmp_path / "kept"
    with (
        running(tmp_path, "wsd serve", "--config", "wsd.toml") as daemon,
        connect(f"{daemon.url()}/echo") as first,
        connect(f"{daemon.url()}/other") as second,
        atTerminal(kept, "ctl", "top", "--interval", "0.2") as top,
    ):
        top.waitFor(lambda lines: len(lines) > 6 and lines[4].startswith("ID  "))
        first.send("x" * 5000)
        first.recv()
        top.waitFor(lambda lines: "/echo" in lines[5] and "4.9K" in lines[5])
        assert "sorted by bytes" in top.lines[-1]
        assert all(len(line) <= COLUMNS for line in top.lines)
        for _ in range(3):
            second.send("y")
            second.recv()
        top.type("m")
        top.waitFor(lambda lines: "/other" in lines[5] and "sorted by messages" in lines[-1])
        daemon.stop(signal.SIGKILL)
        top.waitFor(lambda lines: any("no daemon listens" in line or "hung up" in line for line in lines))
        top.type("q")
        assert top.waitForEnd() == 0
