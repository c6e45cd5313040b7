"""
What 100 users of a page of uses cost the daemon: CPU time and memory.

    python -m tests.bench.uses_load game
    python -m tests.bench.uses_load class

The clients send what a page does, read everything, and look at nothing, so that one process can be 100 users.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from urllib.request import Request, urlopen

from tests.daemon import RunningDaemon, runningDaemon

USERS = 100
CONFIG = "[policies]\nping_interval = 0\n"
"""Clients that look at nothing answer no pings."""
SETTLING = 3.0
"""Seconds before anything is measured."""


class Client:
    """A WebSocket that sends, and reads without looking."""

    received = 0
    """Bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, port: int, path: str, protocols: str = "") -> Client:
        """A client whose opening handshake is done."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        offered = f"Sec-WebSocket-Protocol: {protocols}\r\n" if protocols else ""
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n{offered}"
            "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n".encode()
        )
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(answer.decode())
        return cls(reader, writer)

    def send(self, payload: object) -> None:
        """Send JSON as text, or bytes, in a frame whose mask is 0."""
        isBinary = isinstance(payload, bytes)
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        length = bytes([128 + len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        self._writer.write((b"\x82" if isBinary else b"\x81") + length + bytes(4) + data)

    async def _read(self) -> None:
        while data := await self._reader.read(1 << 20):
            self.received += len(data)


async def every(seconds: float, act: Callable[[], None]) -> None:
    """Do something again and again, from a moment of its own on."""
    due = time.monotonic() + seconds * secrets.randbelow(1000) / 1000
    while True:
        await asyncio.sleep(due - time.monotonic())
        act()
        due = max(due + seconds, time.monotonic())


async def game(port: int, number: int) -> tuple[list[Client], list[Awaitable[None]]]:
    """The first 16 play, and the others watch."""
    client = await Client.open(port, "/uses/game/play")
    client.send({"join": {"name": f"P{number}", "key": str(number)}})
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        client.send({"step": [steps, (steps // 40 % 3) - 1, (steps // 25 % 3) - 1, steps % 90 == 0]})

    acts: list[Awaitable[None]] = [every(1, lambda: client.send({"ping": [1, 20]}))]
    return [client], [*acts, every(1 / 30, step)] if number < 16 else acts


ROOM_SECRET = "the secret of the teacher"


def _token(port: int, number: int) -> dict[str, str]:
    secret = ROOM_SECRET if number == 0 else f"the secret of pupil {number}"
    query = "" if number == 0 else f"?class={_token(port, 0)['class']}"
    request = Request(f"http://localhost:{port}/uses/class/token{query}", headers={"Authorization": f"Bearer {secret}"})
    with urlopen(request) as answer:
        found: dict[str, str] = json.load(answer)
        return found


async def class_(port: int, number: int) -> tuple[list[Client], list[Awaitable[None]]]:
    """A teacher who paints and turns slides, and pupils of whom each says something every ten seconds."""
    told = await asyncio.to_thread(_token, port, number)
    room, user, bearer = told["class"], told["user"], f"bearer.{told['token']}"
    topics = await Client.open(port, "/uses/class/topics/", f"topics.wsd.v1, {bearer}")
    role = "viewer" if number else "painter"
    board = await Client.open(
        port, f"/uses/class/board/{room}?width=800&height=450&role={role}&meta", f"canvas, {bearer}"
    )
    for topic in ("lesson", "by/+/chat", "by/+/hand", "by/+/vote"):
        topics.send({"subscribe": {"topic": f"{room}/{topic}", "last": True}})
    topics.send({"subscribe": {"topic": f"{room}/people", "presence": True}})
    topics.send({"enter": {"topic": f"{room}/people", "state": {"name": f"P{number}"}}})

    def publish(topic: str, key: str, data: object) -> None:
        topics.send({"publish": {"id": 1, "topic": f"{room}/{topic}", "key": key, "data": data, "echo": True}})

    def paint() -> None:
        board.send({"x": secrets.randbelow(760), "y": secrets.randbelow(410), "width": 40, "height": 40})
        board.send(b"\x1b\x1f\x24\xff" * 1600)

    chat = every(10, lambda: publish(f"by/{user}/chat", "0", {"text": "hello everyone", "name": "", "at": 0}))
    if number:
        return [topics, board], [chat]
    slides = every(2, lambda: publish("lesson", "slide", {"at": secrets.randbelow(4)}))
    return [topics, board], [chat, slides, every(1 / 10, paint)]


def _cpu(daemon: RunningDaemon) -> float:
    """Seconds of CPU that the daemon has had."""
    with open(f"/proc/{daemon.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(daemon: RunningDaemon, page: str, seconds: float) -> None:
    """Print what the users of a page cost."""
    port, memory = daemon.port(), daemon.memory
    clients: list[Client] = []
    tasks = []
    for number in range(USERS):
        opened, acts = await {"game": game, "class": class_}[page](port, number)
        clients += opened
        tasks += [asyncio.ensure_future(act) for act in acts]
    await asyncio.sleep(SETTLING)
    began, cpu, bytesBefore = time.monotonic(), _cpu(daemon), sum(each.received for each in clients)
    await asyncio.sleep(seconds)
    passed = time.monotonic() - began
    used, received = _cpu(daemon) - cpu, sum(each.received for each in clients) - bytesBefore
    print(
        f"{page}: {USERS} users on {len(clients)} connections; CPU {used / passed:.1%} of a core, memory "
        f"{memory / 2**20:.0f} MiB before and {daemon.memory / 2**20:.0f} MiB with them, "
        f"{received / passed / 1e6:.2f} MB/s sent to them; load {os.getloadavg()[0]:.1f}"
    )
    for task in tasks:
        task.cancel()


def main() -> None:
    """Measure one page."""
    parser = argparse.ArgumentParser(description="Measure what 100 users of a page of uses cost the daemon.")
    parser.add_argument("page", choices=("game", "class"))
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    with runningDaemon(config=CONFIG) as daemon:
        asyncio.run(measure(daemon, given.page, given.seconds))


if __name__ == "__main__":
    main()
