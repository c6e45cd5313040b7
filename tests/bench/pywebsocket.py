"""
What a message costs handlers, on threads and as coroutines, beside pywebsocket's own server; and many of them at once.

    python -m tests.bench.pywebsocket

In one run, in turns: 100 connections that echo 1 KiB with a blocking handler, by wsd and by the old server, and with a
coroutine. Then 2,000 connections of the blocking handler and 10,000 of the coroutine that all echo.

`make bench-handlers` runs this; its status is 1 when the blocking handler costs more than 1/2.5 of what it costs the
old server, or when not all of many connections are answered.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import build
from tests.daemon import RunningDaemon, runningDaemon
from tests.process.pywebsocketpackage import unpacked

HANDLERS = Path(__file__).parent / "handlers"
LEAST_RATIO = 2.5
"""How many times as much a message costs the old server, at the least."""
MANY = {"/blocking": 2000, "/coroutine": 10000}


def main() -> int:
    """Measure, and say whether all is as it should be."""
    parser = argparse.ArgumentParser(description="What a message costs handlers.")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _oldServer(Path(folder)) as old, _daemon() as daemon:
        servers = {
            "old server": ("/blocking", *old),
            "wsd, thread": ("/blocking", daemon.port(), daemon.process.pid),
            "wsd, coroutine": ("/coroutine", daemon.port(), daemon.process.pid),
        }
        costs: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(given.rounds):
            for name, (path, port, pid) in servers.items():
                costs[name].append(_cost(path, port, pid, 100, 1024)[0])
    medians = {name: statistics.median(cost) for name, cost in costs.items()}
    for name, cost in medians.items():
        print(f"{name}: {cost:.1f} us of CPU a message (x{medians['old server'] / cost:.2f} of the old server)")
    answered = [_many(path, number) for path, number in MANY.items()]
    return not (all(answered) and medians["old server"] / medians["wsd, thread"] >= LEAST_RATIO)


def _cost(path: str, port: int, pid: int, connections: int, size: int) -> tuple[float, dict[str, float]]:
    """Microseconds of the server's CPU a message, and all that the generator says."""
    words = ["--path", path, "--port", port, "--pids", pid, "--connections", connections, "--size", size]
    done = subprocess.run(
        ["taskset", "-c", "1", build.generator(), *map(str, words), "--seconds", "1", "--in-flight", "64"],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found["server_cpu"] / max(1, found["count"]) * 1e6, found


def _many(path: str, connections: int) -> bool:
    """Whether so many connections at once all echo."""
    with _daemon() as daemon:
        before = daemon.memory
        cost, found = _cost(path, daemon.port(), daemon.process.pid, connections, 32)
        each = (daemon.memory - before) / connections / 1024
    isWell = not found["lost"] and not found["wrong"] and found["count"] >= connections
    print(
        f"{path}, {connections} connections: {found['count']:.0f} messages in {found['seconds']:.1f} s, "
        f"{found['lost']:.0f} connections lost, {cost:.1f} us of CPU a message, {each:.0f} KiB a connection at the end"
    )
    return isWell


@contextmanager
def _daemon() -> Iterator[RunningDaemon]:
    with runningDaemon("-w", str(HANDLERS), prefix=("taskset", "-c", "0")) as daemon:
        yield daemon


@contextmanager
def _oldServer(folder: Path) -> Iterator[tuple[int, int]]:
    """The released server with the same handlers: its port and its process."""
    package = unpacked(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        package / "pywebsocket3" / "standalone.py",
        "-H",
        "127.0.0.1",
        "-p",
        port,
        "-d",
        HANDLERS,
    ]
    process = subprocess.Popen(
        ["taskset", "-c", "0", *map(str, command)],
        env={**os.environ, "PYTHONPATH": str(package)},
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            time.sleep(0.05)
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
        yield port, process.pid
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
