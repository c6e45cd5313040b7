"""
Many connections that stay open and echo for minutes: no error, and no memory more in the end than in the beginning.

The clients are a process of their own: `python -m tests.soak.crowd PORT CONNECTIONS SECONDS`.
"""

from __future__ import annotations

import json
import math
import os
import re
import resource
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.daemon import ROOT, RunningDaemon, runningDaemon
from tests.soak.calm import p99
from tests.soak.peers import FIN, PING, TEXT, RawClient, frame
from tests.soak.table import Line

CONNECTIONS = 10_000
SECONDS = 600.0
PERIOD = 5.0
"""Seconds between two echoes of a connection."""
WARM_UP = 0.2
"""The part of the time after which memory is looked at."""
BLOCKS = 16
"""Parts of the time whose means are compared: one sample depends on the one before."""
ERRORS = 3.0
"""How many standard errors the slope may be above zero."""
_PONG, _CLOSE = 10, 8
CONFIG = "[policies]\nmax_connections_per_address = 20000\n"


@dataclass(slots=True)
class Told:
    """What the clients have seen."""

    connections: int = 0
    sent: int = 0
    answered: int = 0
    faults: list[str] = field(default_factory=list)
    p99: float = 0.0
    longest: float = 0.0


class _Caller:
    """One connection: at most one echo is on its way."""

    def __init__(self, port: int, number: int) -> None:
        self.client = RawClient(port, timeout=60.0)
        self.number = number
        self.expected: bytes | None = None
        self.due = 0.0
        self._buffer = b""

    def say(self, count: int, due: float) -> None:
        self.expected, self.due = b"%08d of %08d, and some more" % (count, self.number), due
        self.client.socket.sendall(frame(self.expected, FIN | TEXT))

    def hear(self) -> list[bytes]:
        """The messages that have come. Answers pings. Raises ConnectionError at the end."""
        data = self.client.socket.recv(4096)
        if not data:
            raise ConnectionError("closed without a close frame")
        self._buffer += data
        found = []
        while len(self._buffer) >= 2 and len(self._buffer) >= 2 + self._buffer[1]:
            opcode, payload = self._buffer[0] & 15, self._buffer[2 : 2 + self._buffer[1]]
            self._buffer = self._buffer[2 + len(payload) :]
            if opcode == PING:
                self.client.socket.sendall(frame(payload, FIN | _PONG))
            elif opcode == _CLOSE:
                raise ConnectionError(f"closed with {int.from_bytes(payload[:2], 'big')}")
            else:
                found.append(payload)
        return found


class Crowd:
    """All of them, in one thread: each echoes every PERIOD seconds, one after the other."""

    def __init__(self, port: int, count: int) -> None:
        self.told = Told()
        self._delays: list[float] = []
        self._set = select.epoll()
        self._callers: list[_Caller] = []
        self._byDescriptor: dict[int, _Caller] = {}
        for number in range(count):
            caller = _Caller(port, number)
            self._callers.append(caller)
            self._byDescriptor[caller.client.socket.fileno()] = caller
            self._set.register(caller.client.socket, select.EPOLLIN)
        self.told.connections = len(self._callers)

    def run(self, seconds: float) -> Told:
        """Echo for so long, and wait for the last echoes."""
        pause = PERIOD / len(self._callers)
        due = began = time.monotonic()
        end = began + seconds
        while due < end:
            self._hear(max(0.0, due - time.monotonic()))
            while due <= time.monotonic() and due < end:
                self._say(self._callers[self.told.sent % len(self._callers)], due)
                due += pause
        patience = time.monotonic() + 30
        while any(each.expected for each in self._byDescriptor.values()) and time.monotonic() < patience:
            self._hear(0.1)
        self.told.p99, self.told.longest = p99(self._delays), max(self._delays, default=0.0)
        for caller in self._callers:
            caller.client.close()
        return self.told

    def _say(self, caller: _Caller, due: float) -> None:
        self.told.sent += 1
        if caller.client.socket.fileno() not in self._byDescriptor:
            return
        if caller.expected is not None:
            self.told.faults.append(f"an echo took more than {PERIOD:g} s")
            self._remove(caller)
            return
        try:
            caller.say(self.told.sent, due)
        except OSError as error:
            self._lost(caller, error)

    def _hear(self, seconds: float) -> None:
        for descriptor, _ in self._set.poll(seconds):
            caller = self._byDescriptor[descriptor]
            try:
                messages = caller.hear()
            except OSError as error:
                self._lost(caller, error)
                continue
            for message in messages:
                if message == caller.expected:
                    self.told.answered += 1
                    self._delays.append(time.monotonic() - caller.due)
                else:
                    self.told.faults.append(f"{message!r} has come instead of {caller.expected!r}")
                caller.expected = None

    def _lost(self, caller: _Caller, error: OSError) -> None:
        self.told.faults.append(f"a connection was lost: {error}")
        self._remove(caller)

    def _remove(self, caller: _Caller) -> None:
        self._set.unregister(caller.client.socket)
        del self._byDescriptor[caller.client.socket.fileno()]


@dataclass(frozen=True, slots=True)
class Slope:
    """The line through the samples of the memory, by least squares."""

    rate: float
    """Bytes a minute."""
    error: float
    """Its standard error."""

    @property
    def isZero(self) -> bool:
        """Whether it is not above zero by more than the noise."""
        return self.rate <= ERRORS * self.error

    def __str__(self) -> str:
        return f"{self.rate / 1024:+.1f} ± {self.error / 1024:.1f} KiB a minute"


def slope(samples: Sequence[tuple[float, float]], blocks: int = BLOCKS) -> Slope:
    """The slope of (seconds, bytes), through the means of so many blocks."""
    size = max(1, len(samples) // blocks)
    parts = [samples[at : at + size] for at in range(0, len(samples) - size + 1, size)]
    times = [statistics.fmean(at for at, _ in part) / 60 for part in parts]
    sizes = [statistics.fmean(size for _, size in part) for part in parts]
    if len(parts) < 3:
        raise ValueError("three blocks at least")
    rate, base = statistics.linear_regression(times, sizes)
    rest = sum((size - rate * at - base) ** 2 for at, size in zip(times, sizes, strict=True))
    middle = statistics.fmean(times)
    spread = sum((at - middle) ** 2 for at in times)
    return Slope(rate, math.sqrt(rest / (len(parts) - 2) / spread))


def run(connections: int = CONNECTIONS, seconds: float = SECONDS) -> Line:
    """The row."""
    with runningDaemon("-p", "0", config=CONFIG, mayHold=True) as daemon:
        told, samples = _measured(daemon, connections, seconds)
        faults = told.faults + troubles(daemon)
    return judged(told, samples, seconds, faults)


def judged(told: Told, samples: Sequence[tuple[float, float]], seconds: float, faults: Sequence[str]) -> Line:
    """A row from what the clients and the samples of the memory tell."""
    settled = [(at, size) for at, size in samples if at >= WARM_UP * seconds]
    found = slope(settled)
    broken = list(dict.fromkeys(faults))[:3]
    if told.answered != told.sent:
        broken.append(f"{told.sent - told.answered} echoes have not come")
    if not found.isZero:
        broken.append(f"memory grows: {found}")
    size = statistics.fmean(size for _, size in settled) / (1 << 20)
    return Line(
        "crowd",
        f"{told.connections:,} connections echo every {PERIOD:g} s for {seconds / 60:g} min",
        f"{told.answered:,} of {told.sent:,} echoes, {len(faults)} errors; p99 {told.p99 * 1000:.1f} ms; "
        f"{size:.0f} MiB, {found}",
        f"no error; a slope of zero within {ERRORS:g} standard errors",
        tuple(broken),
    )


def troubles(daemon: RunningDaemon, since: int = 0) -> list[str]:
    """Lines of its log at the level error or critical, from this number on, and whether it has ended."""
    found = [line for line in daemon.lines[since:] if re.match(r"\S+ (error|critical) |.*Traceback", line)]
    if daemon.process.poll() is not None:
        found.append(f"the daemon ended with {daemon.process.returncode}")
    return found


def _measured(daemon: RunningDaemon, connections: int, seconds: float) -> tuple[Told, list[tuple[float, float]]]:
    clients = subprocess.Popen(
        [sys.executable, "-m", "tests.soak.crowd", str(daemon.port()), str(connections), str(seconds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert clients.stdout is not None
    try:
        if not clients.stdout.readline():
            raise AssertionError("the clients could not connect")
        samples = []
        began = time.monotonic()
        while clients.poll() is None and (past := time.monotonic() - began) < seconds:
            samples.append((past, float(daemon.memory)))
            time.sleep(min(1.0, seconds / 100))
        answer: dict[str, Any] = json.loads(clients.stdout.read())
    finally:
        clients.kill()
        clients.wait()
    return Told(**answer), samples


if __name__ == "__main__":
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    port, count, lasting = sys.argv[1:]
    crowd = Crowd(int(port), int(count))
    print("open", flush=True)
    print(json.dumps(asdict(crowd.run(float(lasting)))))
