"""
A canvas of 400 x 320 at 30 frames a second, with 50 viewers who read and one who does not.

    python -m tests.bench.canvas

The client is canvas.c. Those who read see the numbers of the frames rise, 99 of 100 frames within 100 ms, and the
daemon stays as large as it is. `make bench-canvas` runs this; its status is 1 when something of that is not so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

from tests.bench import build
from tests.daemon import RunningDaemon, runningDaemon

VIEWERS, RATE, WARM_UP = 50, 30, 3.0
MOST_DELAY = 100.0
"""Milliseconds that 99 of 100 frames may take to a viewer."""
MOST_GROWTH = 16 << 20
"""Bytes by which the daemon may grow while it is measured: what waits for each is a part of a frame of 512,000."""

_PLAIN = '[route."/canvas/*"]\nstall_timeout = 3600\n'


def main() -> int:
    """Measure, and say whether all is as it should be."""
    parser = argparse.ArgumentParser(description="Paint for 50 viewers, of whom one does not read.")
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    program = build.canvas()
    with runningDaemon(config=_PLAIN) as daemon:
        words = [daemon.port(), "/canvas/bench", VIEWERS, RATE, WARM_UP, given.seconds]
        with subprocess.Popen([program, *map(str, words)], stdout=subprocess.PIPE, text=True) as client:
            found = _measured(daemon, client)
    if found is None:
        return 1
    wrong = _wrong(found)
    _tell(found)
    print(*wrong or ["all is as it should be"], sep="\n")
    return bool(wrong)


def _measured(daemon: RunningDaemon, client: subprocess.Popen[str]) -> dict[str, Any] | None:
    """What the client says, and the daemon's memory and CPU meanwhile; None where the client failed."""
    assert client.stdout is not None
    began, memory, cpu = 0.0, [0], 0.0
    for line in client.stdout:
        if line == "warm\n":
            began, memory, cpu = time.monotonic(), [daemon.memory], _cpu(daemon)
        elif line == "measured\n":
            memory.append(daemon.memory)
            cpu = (_cpu(daemon) - cpu) / (time.monotonic() - began)
        else:
            return {**json.loads(line), "memory": memory, "daemonCpu": cpu, "load": os.getloadavg()[0]}
    return None


def _cpu(daemon: RunningDaemon) -> float:
    """Seconds of CPU that the daemon has had."""
    with open(f"/proc/{daemon.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wrong(found: dict[str, Any]) -> list[str]:
    """A sentence for each thing that is not as it should be."""
    before, after = found["memory"]
    checks = {
        f"{found['faults']} frames were torn, or had a number that did not rise": not found["faults"],
        f"{found['behind']} viewers were not sent the last frame": not found["behind"],
        f"one frame in a hundred took more than {MOST_DELAY:.0f} ms": 0 < found["p99"] <= MOST_DELAY,
        f"the daemon grew by {(after - before) >> 20} MiB": after - before <= MOST_GROWTH,
        "who began to read at last was not sent the newest frame": found["asleep"]["isNewest"],
    }
    return [sentence for sentence, isRight in checks.items() if not isRight]


def _tell(found: dict[str, Any]) -> None:
    before, after = found["memory"]
    print(
        f"{found['painted']} frames painted ({found['late']} left out by a painter that was late), "
        f"{found['rate']:.0f} MB/s to {VIEWERS} viewers\n"
        f"{found['seen']} frames seen, {found['skipped']} skipped; delay in ms: median {found['p50']}, "
        f"p99 {found['p99']}, worst {found['worst']}\n"
        f"who did not read was sent {found['asleep']['frames']} frames, the last one the newest\n"
        f"the daemon: {found['daemonCpu']:.2f} of a core, {before / 1e6:.1f} MB and then {after / 1e6:.1f} MB; "
        f"the client: {found['cpu']:.2f} of a core; load of the machine: {found['load']:.1f} on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    sys.exit(main())
