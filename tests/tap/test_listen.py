"""`wsd listen`: an echo server for a quick test, or one that prints what it receives."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.commands import PATIENCE, environment, wsd


@contextmanager
def listening(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`wsd listen` in a folder, and the URL that it prints first."""
    process = subprocess.Popen(
        [sys.executable, "-m", "wsd", "listen", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert re.fullmatch(r"ws://localhost:\d+/\n", line), line
        yield process, line.strip()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()


class TestEcho:
    def test_answers_at_every_path_and_to_every_page(self, tmp_path: Path) -> None:
        origin: Any = "https://example.com"
        with listening(tmp_path) as (_, url), connect(f"{url}any/path", origin=origin) as client:
            client.send("text")
            assert client.recv() == "text"
            client.send(b"\xff")
            assert client.recv() == b"\xff"
        assert not list(tmp_path.iterdir())

    def test_has_the_switches_of_echo(self, tmp_path: Path) -> None:
        with listening(tmp_path) as (_, url), connect(f"{url}?close=4000&reason=enough") as client:
            with pytest.raises(ConnectionClosed, match="enough"):
                client.recv()
            assert client.close_code == 4000

    def test_speaks_wsd_connect(self, tmp_path: Path) -> None:
        with listening(tmp_path, "--port", "0") as (_, url):
            done = subprocess.run(
                [sys.executable, "-m", "wsd", "connect", url, "--messages", "1"],
                env=environment(),
                input=b"hello\n",
                capture_output=True,
                timeout=PATIENCE,
            )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"hello\n", b"")


class TestLog:
    def test_prints_connections_and_messages_and_answers_nothing(self, tmp_path: Path) -> None:
        offered: Any = ["chat", "other"]
        with listening(tmp_path, "--log") as (process, url):
            with connect(f"{url}room?x=1", subprotocols=offered) as client:
                assert client.subprotocol == "chat"
                client.send("hello\n世界\x1b[31m")
                client.send(b"\x00\xff")
                client.close(4000, "done")
            with connect(url):
                pass
            assert process.stdout is not None
            lines = [process.stdout.readline().rstrip("\n") for _ in range(6)]
        assert lines == [
            "1 opened /room?x=1 from 127.0.0.1, subprotocol chat",
            "1 < hello\\n世界\\x1b[31m",
            "1 < binary, 2 bytes: 00 ff",
            "1 closed 4000: done",
            "2 opened / from 127.0.0.1",
            "2 closed 1000",
        ]

    def test_ends_when_nobody_reads_it(self, tmp_path: Path) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "wsd", "listen", "--log"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            process.stdout.close()
            with connect(url):
                assert process.wait(PATIENCE) == 0
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()
            process.wait(PATIENCE)


class TestMistakes:
    @pytest.mark.parametrize("port", ["70000", "-1", "x"])
    def test_what_is_no_port_is_told(self, tmp_path: Path, port: str) -> None:
        done = wsd(tmp_path, "listen", f"--port={port}")
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].endswith(f'"{port}" is not a port; write a number from 0 to 65535')

    def test_a_port_that_is_taken_is_told(self, tmp_path: Path) -> None:
        with listening(tmp_path) as (_, url):
            port = url.rpartition(":")[2].strip("/")
            done = wsd(tmp_path, "listen", "--port", port)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(f"wsd: port {port} on 127.0.0.1 is in use by another program")
