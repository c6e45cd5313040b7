"""One cell measured: its servers in turn, several rounds of them, so that whatever else this machine does meets all."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench import build
from tests.bench.cells import ALONE, ZLIB, Cell, Quantity
from tests.bench.servers import CORE, House, Started

GENERATOR_CORE = 1 - CORE
SETTLING = 20.0
"""Seconds that idle connections are left alone before memory is read."""
WARM = 200
"""Connections that a server has had before the memory of others is measured."""


@dataclass(frozen=True)
class Effort:
    """How long and how often."""

    rounds: int
    seconds: float
    warmUp: float


FULL = Effort(5, 1.0, 0.4)
QUICK = Effort(2, 0.5, 0.2)


@dataclass(frozen=True)
class Sample:
    """What one round told of one server. What a cell does not measure is 0."""

    cpu: float = 0.0
    rate: float = 0.0
    memory: float = 0.0
    wire: float = 0.0
    perSecond: float = 0.0
    """Messages or handshakes in a second of time."""
    p50: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    """Microseconds from sending to having the answer."""

    def of(self, quantity: Quantity) -> float:
        """The figure of this kind."""
        return float(getattr(self, quantity.name))


Samples = dict[str, list[Sample]]
"""Entrant -> its rounds."""


def measured(cell: Cell, names: list[str], house: House, effort: Effort) -> Samples:
    """The rounds of the subject and of those entrants of the cell that are named."""
    if cell.quantity is Quantity.memory:
        return {name: [_memory(cell, name, house) for _ in range(min(effort.rounds, 2))] for name in names}
    samples: Samples = {name: [] for name in names}
    with house.running([name for name in names if name != ALONE], cell.kind) as running:
        for number in range(effort.rounds):
            for name in _turned(names, number):
                server = running["wsd" if name == ALONE else name]
                result = _generate(cell, name, server, house, effort)
                samples[name].append(_sample(result))
                if result["zlib_bytes"]:
                    samples[ZLIB] = [Sample(wire=result["zlib_bytes"])]
    return samples


def _turned(names: list[str], number: int) -> list[str]:
    """Each round begins with another."""
    turn = number % len(names)
    return names[turn:] + names[:turn]


def _command(cell: Cell, name: str, server: Started, house: House) -> list[str]:
    kind: Mapping[str, Any] = asdict(cell.kind)
    switches = [f"--{switch}" for switch in ("tls", "deflate") if kind[switch]]
    if name != ALONE:
        switches += house.servers[name].options()
    return [
        *("taskset", "-c", str(GENERATOR_CORE), str(build.generator())),
        *(f"--port={server.port}", f"--path={server.path}", *cell.loadOf(name).options(), *switches),
    ]


def _generate(cell: Cell, name: str, server: Started, house: House, effort: Effort) -> dict[str, float]:
    pids = ",".join(str(pid) for pid in server.pids)
    times = [f"--pids={pids}", f"--seconds={effort.seconds}", f"--warm-up={effort.warmUp}"]
    done = subprocess.run([*_command(cell, name, server, house), *times], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: {cell.name}, {name}: {done.stderr or done.stdout}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _sample(result: Mapping[str, float]) -> Sample:
    count = result["count"]
    return Sample(
        cpu=result["server_cpu"] * 1e6 / count,
        rate=count / result["server_cpu"],
        wire=result["wire_bytes"] / count,
        perSecond=count / result["seconds"],
        p50=result["p50_us"],
        p99=result["p99_us"],
        p999=result["p999_us"],
    )


def _memory(cell: Cell, name: str, house: House) -> Sample:
    """A server that has just been started: what a connection adds to it."""
    load = cell.loadOf(name)
    with house.running([name], cell.kind) as running:
        server = running[name]
        for count in (WARM, load.connections):
            before = server.memory
            holding = subprocess.Popen(
                [*_command(cell, name, server, house), f"--connections={count}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert holding.stdin is not None
            assert holding.stdout is not None
            if holding.stdout.readline() != "open\n":
                raise SystemExit(f"bench: {cell.name}, {name}: its connections could not be opened and kept")
            time.sleep(SETTLING if count == load.connections else 0.5)
            grown = server.memory - before
            holding.stdin.close()
            if holding.wait():
                raise SystemExit(f"bench: {cell.name}, {name}: it ended connections, or changed what it sent back")
    return Sample(memory=grown / 1024 / load.connections)
