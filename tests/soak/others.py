"""The same attacks on the echoes of other servers, where they apply: what speaks of WebSockets and HTTP alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.servers import SERVERS, Kind
from tests.daemon import PATIENCE, RunningDaemon
from tests.soak import attacks
from tests.soak.attacks import MIB, Attack
from tests.soak.peers import RawClient, RefusedOpening
from tests.soak.rig import Rig, attackedDaemon

SERVED = ("wsd", "autobahn", "websockets", "node")
COMPARED = (
    attacks.Slowloris,
    attacks.HandshakeFlood,
    attacks.PingFlood,
    attacks.TinyFrames,
    attacks.EmptyFragments,
    attacks.MillionFragments,
    attacks.Flood,
    attacks.DeflateBombs,
    attacks.HalfDeflateBombs,
    attacks.HugeLengths,
    attacks.HalfMessages,
    attacks.NeverReaders,
    attacks.LargeNeverReaders,
    attacks.HeaderBombs,
)
_DEFLATING = (attacks.DeflateBombs, attacks.HalfDeflateBombs)
TOO_MUCH = 3072 * MIB
"""Bytes at which a server is ended: the machine must live."""


class Other(RunningDaemon):
    """Another server's process: it tells its port only."""

    def port(self, scheme: str = "ws") -> int:
        return int(self.waitFor(r"listening (\d+)")[1]) if scheme == "ws" else 0

    @property
    def memory(self) -> int:
        """Resident bytes; 0 after its end. Ends it when they are too many."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        size = int(found[1]) * 1024 if found else 0
        if size > TOO_MUCH and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        return size


class OtherRig(Rig):
    """The attack on such a server. What it logs is its own affair."""

    def _faults(self, since: int) -> list[str]:
        time.sleep(0.2)
        if self.daemon.process.poll() == -signal.SIGKILL:
            return [f"it took more than {TOO_MUCH / MIB:.0f} MiB, and was ended"]
        if self.daemon.process.poll() is not None:
            return [f"it ended with {self.daemon.process.returncode}"]
        try:
            RawClient(self.port, timeout=30.0).close()
        except (OSError, RefusedOpening) as error:
            return [f"nobody can connect any more: {error}"]
        return []


@contextmanager
def otherAttacked(name: str, attack: type[Attack], calmClients: int) -> Iterator[Rig]:
    """Start a server to be attacked."""
    if name == "wsd":
        with attackedDaemon(calmClients) as rig:
            yield rig
        return
    server, kind = SERVERS[name], Kind(deflate=attack in _DEFLATING)
    with TemporaryDirectory(prefix="wsd-soak-") as folder:
        process = subprocess.Popen(
            ["prlimit", "--nofile=8192:8192", *server.command(kind, Path(folder), Path())],
            cwd=folder,
            env={**os.environ, **server.environ()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        other = Other(process, Path(folder))
        try:
            other.waitFor(r"listening \d+", patience=PATIENCE)
            yield OtherRig(other, calmClients)
        finally:
            process.kill()
            other.stop()
