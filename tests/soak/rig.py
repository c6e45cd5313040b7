"""Runs an attack beside calm clients, and compares what was measured with the bounds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from tests.daemon import LONGEST_HOLD, ROOT, RunningDaemon, runningDaemon, slowness
from tests.soak.attacks import MIB, Attack
from tests.soak.calm import CalmClients, p99

MEMORY_MAX = 96 * MIB
KEPT_FREE = 64 * MIB
"""Freed memory that the allocator keeps while there is traffic (`wsd.policies.memory`)."""
BEING_ENLARGED = 32 * MIB
"""The largest message of /echo: while its buffer is made larger there are two, and only then the ledger is told."""
BESIDE = KEPT_FREE + BEING_ENLARGED
"""Bytes of memory beyond `memory_max`, which it does not count."""
PER_CONNECTION = 24 * 1024
"""Bytes that each connection takes, whatever it does."""
SLOWDOWN = 3
"""By how much the calm clients' p99 may grow."""
LEAST_P99 = 0.020
"""Seconds up to which it may grow in any case: on two cores the attack, the daemon and these clients share them."""

CONFIG = f"""
built_in = true
[policies]
memory_max = {MEMORY_MAX}
memory_per_connection = 0.5
[tls]
port = 0
self_signed = true
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured under one attack."""

    name: str
    about: str
    connections: int
    """The most connections that the attack had at a time."""
    calm: float
    """The p99 of the calm clients without the attack, in seconds."""
    attacked: float
    """The same with it."""
    memory: int
    """The most resident bytes, beyond those of the daemon after its start."""
    memoryBound: int
    held: float
    """The most CPU seconds for which one call held the reactor."""
    faults: tuple[str, ...]
    """What went wrong: a calm client that was closed, an exception in the log, a daemon that ended."""

    def broken(self, timed: bool) -> list[str]:
        """The bounds that do not hold, in words. `timed` says whether delays count: not on a machine that is busy."""
        found = list(self.faults)
        if self.memory > self.memoryBound:
            found.append(f"{self.memory / MIB:.0f} MiB of memory, more than {self.memoryBound / MIB:.0f}")
        if self.held > LONGEST_HOLD * slowness():
            found.append(f"one call took {self.held:.3f} s, more than {LONGEST_HOLD}")
        if timed and self.attacked > self.delayBound:
            found.append(f"p99 {self.attacked * 1000:.1f} ms, more than {self.delayBound * 1000:.1f}")
        return found

    @property
    def delayBound(self) -> float:
        """The bound of `attacked`."""
        return max(SLOWDOWN * self.calm, LEAST_P99)


class Rig:
    """A daemon that is attacked, and its calm clients."""

    def __init__(self, daemon: RunningDaemon, calmClients: int) -> None:
        self.daemon = daemon
        self.port = daemon.port()
        self.tlsPort = daemon.port("wss")
        self._calmClients = calmClients
        self._before = daemon.memory

    def run(self, attack: type[Attack], seconds: float, scale: float) -> Row:
        """Run one attack for so many seconds, with so much of its full size."""
        since = len(self.daemon.lines)
        clients = CalmClients(self.port, self._calmClients)
        clients.start()
        time.sleep(seconds / 3)
        calm = p99(clients.take())
        most, connections = self._attacked(attack, seconds, scale)
        attacked = p99(clients.take())
        clients.stop()
        faults = self._faults(since)
        if clients.failure is not None:
            faults.append(f"a calm client failed: {clients.failure}")
        bound = MEMORY_MAX + BESIDE + PER_CONNECTION * (connections + self._calmClients)
        about = (attack.__doc__ or "").strip().rstrip(".")
        return Row(
            attack.__name__,
            about,
            connections,
            calm,
            attacked,
            most - self._before,
            bound,
            self._longestHold(since),
            tuple(faults),
        )

    def _attacked(self, attack: type[Attack], seconds: float, scale: float) -> tuple[int, int]:
        """Run the attack in a process of its own. Returns the daemon's most resident bytes, and its connections."""
        command = ["nice", sys.executable, "-m", "tests.soak.attacks", attack.__name__]
        arguments = [str(each) for each in (self.port, self.tlsPort, seconds, scale)]
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        most = 0
        while process.poll() is None:
            most = max(most, self.daemon.memory)
            time.sleep(0.02)
        output, errors = process.communicate()
        steps, connections = map(int, output.split()) if not process.returncode else (0, 0)
        if not steps:
            raise AssertionError(f"the attack itself did nothing: {errors.decode()}")
        return most, connections

    def _faults(self, since: int) -> list[str]:
        """What is wrong with the daemon after an attack."""
        if self.daemon.process.poll() is not None:
            return [f"the daemon ended with {self.daemon.process.returncode}"]
        found = [line for line in self.daemon.lines[since:] if re.search(r"Traceback|internal_error", line)]
        with urlopen(f"http://localhost:{self.port}/healthz", timeout=30) as answer:
            if answer.status != 200:
                found.append(f"/healthz answers {answer.status}")
        return found[:3]

    def _longestHold(self, since: int) -> float:
        holds = [
            re.search(r"nobody was served for \S+ s \((\S+) s of CPU\)", line) for line in self.daemon.lines[since:]
        ]
        return max((float(match[1]) for match in holds if match is not None), default=0.0)


@contextmanager
def attackedDaemon(calmClients: int) -> Iterator[Rig]:
    """Start a daemon to be attacked."""
    limited = ["prlimit", "--nofile=8192:8192"] if Path("/usr/bin/prlimit").exists() else []
    with runningDaemon("-p", "0", config=CONFIG, prefix=limited, mayHold=True) as daemon:
        yield Rig(daemon, calmClients)
