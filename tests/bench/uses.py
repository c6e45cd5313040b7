"""
What the pages of uses cost the daemon with many users: `python -m tests.bench.uses`; docs/uses.md has its table.

A user is a connection that asks for what the page asks for, and reads all that comes without looking at it, so that the
load is small beside the daemon. The CPU is that of the daemon's process over SECONDS; the memory is what it grew by.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

from websockets.frames import Frame, Opcode

from tests.daemon import RunningDaemon, runningDaemon

SECONDS = 10.0
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: topics.wsd.v1\r\n\r\n"
)
EVENTS = "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Load:
    """What each user of a page asks for, and what is done a number of times a second meanwhile."""

    asks: Sequence[tuple[str, str, dict[str, object] | None]]
    """For each of its connections the request head, the path, and the message that follows the opening."""
    act: Callable[[str], None] = lambda base: None
    rate: float = 1.0


def _score(base: str) -> None:
    body = json.dumps({"home": 1, "away": 0, "at": round(time.time() * 1000)}).encode()
    headers = {"Content-Type": "application/json"}
    urlopen(Request(f"{base}/uses/topics/scores/match?key=score", body, headers)).close()


LOADS = {
    "quotes": Load([(UPGRADE, "/uses/quotes/topics/", {"topic": "market", "last": True})]),
    "scores": Load(
        [
            (UPGRADE, "/uses/topics/", {"topic": "scores/match", "last": True, "history": 20}),
            (EVENTS, "/uses/topics/scores/match?last&history=20&envelope", None),
        ],
        _score,
    ),
}
"""By page. Scores: one message a second."""


def _open(port: int, head: str, path: str, subscribe: dict[str, object] | None) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(head.format(path=path).encode())
    answer = connection.recv(65536)
    assert answer.startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 200 ")), answer
    if subscribe is not None:
        message = json.dumps({"subscribe": subscribe}).encode()
        connection.sendall(Frame(Opcode.TEXT, message).serialize(mask=True))
    return connection


@contextmanager
def _users(port: int, load: Load, count: int) -> Iterator[selectors.BaseSelector]:
    selector = selectors.DefaultSelector()
    connections = [_open(port, *ask) for _ in range(count) for ask in load.asks]
    for connection in connections:
        selector.register(connection, selectors.EVENT_READ)
    yield selector
    for connection in connections:
        connection.close()


def _read(selector: selectors.BaseSelector, base: str, load: Load, seconds: float) -> int:
    """The bytes that come in that time."""
    buffer, size, end, next_ = bytearray(1 << 18), 0, time.monotonic() + seconds, time.monotonic()
    while (now := time.monotonic()) < end:
        if now >= next_:
            load.act(base)
            next_ += 1 / load.rate
        for key, _ in selector.select(min(next_, end) - now if next_ > now else 0):
            connection: socket.socket = key.fileobj  # type: ignore[assignment]
            size += connection.recv_into(buffer)
    return size


def _cpu(daemon: RunningDaemon) -> float:
    """Seconds of CPU that the daemon has used."""
    with open(f"/proc/{daemon.process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(name: str, count: int) -> str:
    """A row of the table."""
    load = LOADS[name]
    with TemporaryDirectory() as folder, runningDaemon("-p", "0", environ={"STATE_DIRECTORY": folder}) as daemon:
        port = daemon.port()
        memory = daemon.memory
        with _users(port, load, count) as selector:
            _read(selector, f"http://127.0.0.1:{port}", load, 3.0)
            before = _cpu(daemon)
            size = _read(selector, f"http://127.0.0.1:{port}", load, SECONDS)
            cpu = (_cpu(daemon) - before) / SECONDS
            grown = (daemon.memory - memory) / 2**20
    return f"| {name} | {count} | {cpu:.0%} | {grown:.0f} MiB | {size / SECONDS / 1e6:.2f} MB |"


def main(words: Sequence[str]) -> None:
    """Measure the pages that are named, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("page", nargs="*", choices=[*LOADS, []], help="the pages; all without one")
    parser.add_argument("--users", type=int, nargs="+", default=[100])
    given = parser.parse_args(words)
    print("| page | users | CPU of one core | memory | sent a second |\n|---|--:|--:|--:|--:|")
    for name in given.page or LOADS:
        for count in given.users:
            print(measure(name, count), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
