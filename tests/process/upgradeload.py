"""
Upgrades under load: many idle connections and some that talk, with deflate on half, and messages in fragments.

Each message is numbered, and the client checks that every one is answered once, unchanged and in order.
`python -m tests.process.upgradeload` is the whole measurement, which `make soak` runs; `make test` has a short one.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import time
import zlib
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from tests.upgrades import upgradable

IDLE, TALKING = 5000, 500
"""Connections of the whole measurement."""
_PACE = 0.25
"""Seconds between two messages of a connection."""
_HANDSHAKES = 200
"""Connections that are opened at a time."""
POLICIES = "[policies]\nping_interval = 0\n"
"""Without pings: a client that stops within a frame could not answer them."""
CONFIG = f'workers = {{workers}}\nbuilt_in = false\n{POLICIES}[route."/echo"]\nprotocol = "echo"\n'
_TAIL = b"\x00\x00\xff\xff"
_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


@dataclass
class Load:
    """What all clients have seen."""

    sent: int = 0
    answered: int = 0
    wrong: int = 0
    """Answers that were not the next one expected."""
    closed: int = 0
    """Connections that ended before they should."""
    waits: list[tuple[float, float]] = field(default_factory=list)
    """For each answer when it came, and the seconds since its message was sent."""
    reasons: list[str] = field(default_factory=list)
    """What close frames have said."""
    isOver: bool = False


class Caller(asyncio.Protocol):
    """One client of /echo, which expects its messages back in order."""

    def __init__(self, load: Load, number: int, isDeflated: bool) -> None:
        self._load = load
        self._number = number
        self._buffer = b""
        self._parts = b""
        self._expected: list[tuple[bytes, float]] = []
        self._count = 0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._isOpen = False
        self._isDeflated = isDeflated
        # A small window, since there are thousands.
        self._deflater = zlib.compressobj(6, zlib.DEFLATED, -9, 1) if isDeflated else None
        self._inflater = zlib.decompressobj(-15) if isDeflated else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        offer = (
            b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9\r\n" if self._isDeflated else b""
        )
        transport.write(
            b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n%b\r\n" % (_KEY, offer)
        )

    def connection_lost(self, error: Exception | None) -> None:
        if not self._load.isOver:
            self._load.closed += 1

    # -- sending --------------------------------------------------------------------------------------------------

    def frames(self, pieces: int) -> list[bytes]:
        """The frames of the next message, which is expected back from now on."""
        text = b"%d:%d:" % (self._number, self._count) + b"all work and no play " * (1 + self._count % 12)
        self._count += 1
        self._load.sent += 1
        self._expected.append((text, time.monotonic()))
        data, first = text, 0x01
        if self._deflater is not None:
            data, first = (self._deflater.compress(text) + self._deflater.flush(zlib.Z_SYNC_FLUSH))[:-4], 0x41
        size = -(-len(data) // pieces)
        cut = [data[start : start + size] for start in range(0, len(data), size)]
        return [
            _frame((first if not at else 0) | (0x80 if at == len(cut) - 1 else 0), piece)
            for at, piece in enumerate(cut)
        ]

    def say(self) -> None:
        """Send a message at once."""
        self.transport.write(b"".join(self.frames(1)))

    async def talk(self, pieces: int, halves: bool) -> None:
        """Send messages until it is over: in so many fragments, and with `halves` each frame in two parts."""
        while not self._load.isOver and not self.transport.is_closing():
            frames = self.frames(pieces)
            parts = [part for frame in frames for part in ((frame[:9], frame[9:]) if halves else (frame,)) if part]
            for part in parts:
                self.transport.write(part)
                await asyncio.sleep(_PACE / len(parts))

    # -- receiving ------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._isOpen:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._isOpen, self._buffer = True, rest
            self.opened.set_result(None)
        while (taken := self._take()) > 0:
            self._buffer = self._buffer[taken:]

    def _take(self) -> int:
        """Handle the first frame. Returns its length, 0 if it is not complete."""
        data = self._buffer
        if len(data) < 2:
            return 0
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        if len(data) < start + length:
            return 0
        payload = data[start : start + length]
        opcode = data[0] & 15
        if opcode == 8:
            self._load.reasons.append(repr(payload))
            self.transport.close()
        elif opcode == 1:
            if data[0] & 0x40:
                assert self._inflater is not None
                payload = self._inflater.decompress(payload + _TAIL)
            self._answered(payload)
        return start + length

    def _answered(self, payload: bytes) -> None:
        now = time.monotonic()
        self._load.answered += 1
        if not self._expected or self._expected[0][0] != payload:
            self._load.wrong += 1
            return
        _, sentAt = self._expected.pop(0)
        self._load.waits.append((now, now - sentAt))


def _frame(first: int, payload: bytes) -> bytes:
    """A client's frame, masked with zeros."""
    size = len(payload)
    length = bytes((size | 0x80,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((first,)) + length + bytes(4) + payload


@dataclass(frozen=True)
class Report:
    """What came of it."""

    connections: int
    load: Load
    calm: float
    """The longest wait for an answer in seconds while no upgrade was under way."""
    upgrading: float
    """The same during the upgrades."""
    said: list[str]

    def __str__(self) -> str:
        load = self.load
        return (
            f"{self.connections} connections: {load.closed} closed, {load.sent} messages sent, {load.answered} "
            f"answered, {load.wrong} wrong; longest wait for an answer {self.upgrading * 1000:.0f} ms during upgrades, "
            f"{self.calm * 1000:.0f} ms otherwise{'; ' if load.reasons else ''}{', '.join(load.reasons[:5])}"
        )

    def check(self) -> None:
        """Raises AssertionError if anything was lost."""
        assert self.load.closed == 0, str(self)
        assert self.load.wrong == 0, str(self)
        assert self.load.sent == self.load.answered, str(self)


class Steerable(Protocol):
    """A daemon with which something is done under load."""

    @property
    def port(self) -> int:
        """Where it listens."""

    def upgrade(self) -> str:
        """Do it, and return what was said."""


async def measureLoad(daemon: Steerable, idle: int, talking: int, times: int, pause: float = 2) -> Report:
    """Upgrade a daemon so many times under load, with a pause in seconds after each."""
    loop = asyncio.get_running_loop()
    load = Load()
    callers: list[Caller] = []
    for start in range(0, idle + talking, _HANDSHAKES):
        numbers = range(start, min(start + _HANDSHAKES, idle + talking))
        builders = [partial(Caller, load, number, number % 2 == 0) for number in numbers]
        made = await asyncio.gather(*(loop.create_connection(build, "127.0.0.1", daemon.port) for build in builders))
        callers += [caller for _, caller in made]
        await asyncio.gather(*(caller.opened for _, caller in made))
    talkers, idlers = callers[:talking], callers[talking:]
    for caller in idlers:
        caller.say()
    # Some idle connections stop within a message, until the upgrades are over.
    begun = [(caller, b"".join(caller.frames(3))) for caller in idlers[::10]]
    for caller, data in begun:
        caller.transport.write(data[: len(data) // 2])
    tasks = [asyncio.create_task(each.talk(1 + at % 3, at % 5 == 0)) for at, each in enumerate(talkers)]
    await asyncio.sleep(2)
    spans: list[tuple[float, float]] = []
    said: list[str] = []
    for _ in range(times):
        began = time.monotonic()
        said.append(await asyncio.to_thread(daemon.upgrade))
        spans.append((began, time.monotonic() + 0.5))
        await asyncio.sleep(pause)
    began = time.monotonic()
    for caller, data in begun:
        caller.transport.write(data[len(data) // 2 :])
    for caller in idlers:
        caller.say()
    for _ in range(200):
        await asyncio.sleep(0.05)
        if load.sent - load.answered < talking:
            break
    load.isOver = True
    await asyncio.gather(*tasks)
    for _ in range(200):
        if load.sent == load.answered:
            break
        await asyncio.sleep(0.05)
    waits = [(at, wait) for at, wait in load.waits if wait < 60]
    inside = [wait for at, wait in waits if any(start <= at <= end for start, end in spans)]
    outside = [w for at, w in waits if at < began and not any(start <= at <= end for start, end in spans)]
    load.closed = sum(caller.transport.is_closing() for caller in callers)
    for caller in callers:
        caller.transport.abort()
    return Report(idle + talking, load, max(outside, default=0.0), max(inside, default=0.0), said)


def measure(idle: int, talking: int, times: int = 2, workers: int = 1) -> Report:
    """Upgrade a daemon with so many workers so many times under this load."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with upgradable(config=CONFIG.format(workers=workers)) as daemon:
        return asyncio.run(measureLoad(daemon, idle, talking, times))


def main() -> None:
    """Measure, print, and fail if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=IDLE)
    parser.add_argument("--talking", type=int, default=TALKING)
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    report = measure(arguments.idle, arguments.talking, arguments.times, arguments.workers)
    print(report)
    for each in report.said:
        print(each)
    report.check()


if __name__ == "__main__":
    main()
