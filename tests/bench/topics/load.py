"""The load generator's fan-out, against a daemon with topics."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.bench import build
from tests.bench.measure import GENERATOR_CORE
from tests.bench.servers import Started


@dataclass(frozen=True)
class FanOut:
    """What was found."""

    deliveries: int
    missed: int
    """Deliveries that did not come."""
    seconds: float
    cpu: float
    """Of a core, of the server's."""
    ownCpu: float
    """Of a core, of the generator's."""
    p50: float
    p99: float
    """Milliseconds."""


def cpuOf(pids: Iterable[int]) -> float:
    """Seconds of CPU that all threads of these processes have had."""
    tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(task.read_text("ascii").split()[0]) for task in tasks) / 1e9


def fanOut(server: Started, seconds: float, *options: str) -> FanOut:
    """Have the generator publish, and hear everything."""
    command = ["taskset", "-c", str(GENERATOR_CORE), str(build.generator()), "--mode=fanout"]
    pids = ",".join(map(str, server.pids))
    times = [f"--port={server.port}", f"--path={server.path}", f"--pids={pids}", f"--seconds={seconds}"]
    done = subprocess.run([*command, *times, *options], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: {options}: {done.stderr or done.stdout}")
    found = json.loads(done.stdout)
    return FanOut(
        found["count"],
        found["missed"],
        found["seconds"],
        found["server_cpu"] / found["seconds"],
        found["own_cpu"] / found["seconds"],
        found["p50_us"] / 1000,
        found["p99_us"] / 1000,
    )
