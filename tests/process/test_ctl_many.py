"""`wsd ctl` beside 10,000 real connections: it answers soon, and nobody waits for it."""

from __future__ import annotations

import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import pytest

from tests.commands import Running, running
from wsd.client.ctl.link import ControlLink

MANY = 10_000
TEXT = """\
port = 0
host = "127.0.0.1"
built_in = false
[policies]
ping_interval = 0
[route."/echo"]
protocol = "echo"
"""
HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HELLO = b"\x81\x85\x00\x00\x00\x00hello"


@contextmanager
def crowd(daemon: Running) -> Iterator[list[socket.socket]]:
    """So many open WebSockets."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert before[1] >= MANY + 3000, f"this user may open only {before[1]} files; raise ulimit -n"
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    port = int(daemon.url().rpartition(":")[2])
    sockets: list[socket.socket] = []
    try:
        for number in range(MANY):
            sockets.append(socket.create_connection(("127.0.0.1", port)))
            sockets[-1].sendall(HANDSHAKE)
            if number % 100 == 99:
                for each in sockets[-100:]:
                    assert each.recv(1000).startswith(b"HTTP/1.1 101 ")
        yield sockets
    finally:
        for each in sockets:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


class Waiting(threading.Thread):
    """A client that talks all the time, and notes the longest wait for an answer."""

    def __init__(self, client: socket.socket) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._isOver = False
        self.waits: list[float] = []

    def run(self) -> None:
        while not self._isOver:
            began = perf_counter()
            self._client.sendall(HELLO)
            assert self._client.recv(100) == b"\x81\x05hello"
            self.waits.append(perf_counter() - began)

    def stop(self) -> float:
        self._isOver = True
        self.join()
        return max(self.waits)


@pytest.mark.soak
@pytest.mark.parametrize(
    "fields",
    [{}, {"sort": "bytes"}, {"sort": "bytes", "limit": 40}, {"address": "127.0.0.0/8", "sort": "age"}],
    ids=str,
)
def test_it_answers_within_200_milliseconds(tmp_path: Path, fields: dict[str, object]) -> None:
    (tmp_path / "wsd.toml").write_text(TEXT)
    with running(tmp_path, "wsd serve", "--config", "wsd.toml") as daemon, crowd(daemon) as sockets:
        link = ControlLink(tmp_path / "kept" / "control.sock")
        quiet = Waiting(sockets[0])
        quiet.start()
        threading.Event().wait(1)
        calm = quiet.stop()
        client = Waiting(sockets[1])
        client.start()
        times = []
        for _ in range(10):
            began = perf_counter()
            count = sum(1 for _ in link.lines("connections", **fields))
            times.append(perf_counter() - began)
            assert count == fields.get("limit", MANY)
        wait = client.stop()
        link.close()
        print(
            f"{fields}: best {min(times) * 1000:.0f} ms, worst {max(times) * 1000:.0f} ms; another client waited "
            f"at most {wait * 1000:.1f} ms, {calm * 1000:.1f} ms without"
        )
        assert min(times) < 0.2
