"""
`make bench-workers`: two workers compared with one, in turn; shared routes through another worker; kinds of sockets.

It takes about five minutes, and prints the table of docs/processes.md; ARGS="--rounds 3" for a faster one. Each figure
is a ratio of two measurements, taken one after the other; the median of several rounds counts. `on two cores` has the
load generator on the same two cores. `without the load` takes it out: the generator has one core, all processes of the
daemon share the other and keep it busy, and their CPU for one message is compared. So it says what two cores would
carry if the load came from elsewhere. If all shared both cores, a worker would sleep after each message until the
generator has sent the next one, and CPU spent on falling asleep and waking would count as CPU of the message.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.bench import build
from tests.daemon import ROOT

CONFIG = """
workers = {workers}
built_in = false
[policies]
max_connections = 15000
[log]
file = "{folder}/wsd.log"
[tls]
port = 0
self_signed = true
[route."/echo"]
protocol = "echo"
[route."/shared"]
protocol = "{folder}/shared.py:SharedEcho"
"""

SHARED = """
from wsd.protocols.echo import Echo, EchoFactory


class SharedEcho(EchoFactory):
    connection = Echo
"""


@dataclass(frozen=True)
class Load:
    """What the generator does."""

    name: str
    options: tuple[str, ...]
    target: float | None
    """The least ratio on two cores; None if that is not measured."""
    targetWithout: float | None = None
    """The least ratio without the load."""


HANDSHAKES = Load("handshakes", ("--mode=handshakes", "--connections=64"), 1.6, 1.8)
LOADS = (
    Load("messages, 32 B x100", ("--connections=100", "--size=32"), 1.3, 1.8),
    Load("messages, 1 KiB x1,000", ("--connections=1000", "--size=1024"), 1.3, 1.8),
    HANDSHAKES,
)


@dataclass(frozen=True)
class Result:
    """What one run told."""

    perSecond: float
    cpu: float
    """Seconds of CPU of all processes of the daemon for one message or handshake."""


class LoggedDaemon:
    """A daemon that logs to a file: a reader of its lines would take part in what is measured."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def lines(self) -> list[str]:
        """Its log."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    @property
    def pids(self) -> list[int]:
        """The daemon's process and its workers."""
        pid = self._process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def sockets(self) -> dict[int, int]:
        """The open sockets of each process. The log leaves out lines about many connections of one address."""
        found = {}
        for pid in self.pids:
            links = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir() if os.path.lexists(each)]
            found[pid] = sum(link.startswith("socket:") for link in links)
        return found

    def settledSockets(self) -> dict[int, int]:
        """Its sockets when the connections of the run before have ended: when they are the same for half a second."""
        before, now = {0: 0}, self.sockets()
        while before != now:
            time.sleep(0.5)
            before, now = now, self.sockets()
        return now

    def port(self, scheme: str = "ws") -> int:
        """The port of the first listener of this scheme, waited for."""
        for _ in range(1200):
            for line in self.lines:
                if match := re.search(rf"listening {scheme}://[^ ]*:(\d+)/", line):
                    return int(match[1])
            time.sleep(0.1)
        raise SystemExit("bench: the daemon does not listen")


PASS = """
import os, sys
descriptor = int(sys.argv[1])
os.dup2(descriptor, 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Starts a command with a descriptor as systemd passes it, so that all workers share this one socket."""


@contextmanager
def daemonWith(workers: int, isShared: bool = False) -> Iterator[LoggedDaemon]:
    """A daemon with so many workers and the two routes. They have one socket each or, if it `isShared`, one in all."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        log, config = Path(folder) / "wsd.log", Path(folder) / "wsd.toml"
        (Path(folder) / "shared.py").write_text(SHARED)
        config.write_text(CONFIG.format(workers=workers, folder=folder))
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": folder}
        command = [sys.executable, "-m", "wsd", "serve", "-p", "0", "-c", str(config)]
        passed: tuple[int, ...] = ()
        if isShared:
            bound = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096))
            passed = (bound.fileno(),)
            command = [sys.executable, "-c", PASS, str(bound.fileno()), *command]
        with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, pass_fds=passed) as process:
            try:
                daemon = LoggedDaemon(process, log)
                daemon.port()
                yield daemon
            finally:
                process.terminate()


def run(daemon: LoggedDaemon, seconds: float, path: str, *options: str, tls: bool = False) -> Result:
    """Let the generator work. Raises SystemExit if it fails."""
    port = daemon.port("wss" if tls else "ws")
    pids = ",".join(map(str, daemon.pids))
    command = [str(build.generator()), f"--port={port}", f"--path={path}", f"--pids={pids}", f"--seconds={seconds}"]
    done = subprocess.run([*command, *options, *(["--tls"] if tls else [])], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: {done.stderr or done.stdout}")
    told = json.loads(done.stdout)
    return Result(told["count"] / told["seconds"], told["server_cpu"] / told["count"])


@contextmanager
def apart(*daemons: LoggedDaemon) -> Iterator[None]:
    """Give the generator a core for itself, and the daemons the other."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    own = os.sched_getaffinity(0)
    tasks = [int(task.name) for each in daemons for pid in each.pids for task in Path(f"/proc/{pid}/task").iterdir()]
    for task in tasks:
        os.sched_setaffinity(task, {first})
    os.sched_setaffinity(0, {second})
    try:
        yield
    finally:
        for task in (0, *tasks):
            os.sched_setaffinity(task, own)


def compare(one: LoggedDaemon, two: LoggedDaemon, load: Load, rounds: int, seconds: float) -> tuple[float, float]:
    """The ratios of two workers to one: on two cores, and without the load."""

    def measure() -> list[list[Result]]:
        return [[run(daemon, seconds, "/echo", *load.options) for daemon in (one, two)] for _ in range(rounds)]

    rate = median(both.perSecond / single.perSecond for single, both in measure())
    with apart(one, two):
        return rate, median(2 * single.cpu / both.cpu for single, both in measure())


def strangers(one: LoggedDaemon, other: LoggedDaemon, rounds: int, seconds: float) -> float:
    """
    What two daemons of one process each, which know nothing of each other, would reach in handshakes on two cores.

    They share the core of the daemons as two workers do, so this is what workers could reach if they cost nothing.
    """
    half = ("--mode=handshakes", "--connections=32")
    ratios = []
    with apart(one, other), ThreadPoolExecutor(2) as threads:
        for _ in range(rounds):
            single = run(one, seconds, "/echo", *HANDSHAKES.options).cpu
            both = [threads.submit(run, each, seconds, "/echo", *half) for each in (one, other)]
            results = [each.result() for each in both]
            cpu = sum(each.cpu * each.perSecond for each in results) / sum(each.perSecond for each in results)
            ratios.append(2 * single / cpu)
    return median(ratios)


def sharedCosts(two: LoggedDaemon, rounds: int, seconds: float) -> Mapping[str, float]:
    """
    The CPU of a message through another worker, in relation to one on a connection that the owner accepted.

    About half of the connections come through the other worker. With TLS, these are relayed, so their cost is twice the
    average less that of the rest. A free route serves as the rest: there, nothing is passed on.
    """
    options = ("--connections=100", "--size=1024")
    plain, relayed = [], []
    with apart(two):
        for _ in range(rounds):
            free, shared = (run(two, seconds, path, *options).cpu for path in ("/echo", "/shared"))
            plain.append(shared / free)
            free, shared = (run(two, seconds, path, *options, tls=True).cpu for path in ("/echo", "/shared"))
            relayed.append(2 * shared / free - 1)
    return {"by descriptor": median(plain), "by relay": median(relayed)}


def evenness(two: LoggedDaemon, number: int = 1000) -> float:
    """By how much the worker with the most connections has more than the one with the fewest; 0.1 is ten percent."""
    before = two.settledSockets()
    with ExitStack() as stack:
        command = [
            str(build.generator()),
            f"--port={two.port()}",
            "--path=/echo",
            "--mode=hold",
            f"--connections={number}",
        ]
        holding = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))
        shares: list[int] = []
        while sum(shares) < number:
            time.sleep(0.1)
            shares = [count - before.get(pid, 0) for pid, count in two.sockets().items()]
        assert holding.stdin is not None
        holding.stdin.close()
    serving = [share for share in shares if share > number / 100]
    return max(serving) / min(serving) - 1


def sharing(two: LoggedDaemon, one: LoggedDaemon, rounds: int, seconds: float) -> Iterator[tuple[str, float]]:
    """What a socket for each worker gives, in relation to one socket for all: of short and of long connections."""
    for name, options in (("handshakes", HANDSHAKES.options), ("messages, 32 B x100", LOADS[0].options)):
        pairs = [[run(each, seconds, "/echo", *options).perSecond for each in (two, one)] for _ in range(rounds)]
        yield (
            f"{name}, a socket for each worker in relation to one for all",
            median(each / all_ for each, all_ in pairs),
        )


def main() -> int:
    """Measure, print the ratios with their targets as a table, and return 1 if one is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    missed = 0

    def tell(name: str, value: float, least: float | None = None, most: float | None = None) -> None:
        nonlocal missed
        isMissed = (least is not None and value < least) or (most is not None and value > most)
        missed += isMissed
        target = f"at least {least}" if least is not None else f"at most {most}" if most is not None else ""
        print(f"| {name} | {value:.2f} | {target}{', MISSED' if isMissed else ''} |", flush=True)

    print("| | ratio | target |\n|---|--:|---|", flush=True)
    with daemonWith(2) as two:
        with daemonWith(1) as one:
            for load in LOADS:
                rate, without = compare(one, two, load, given.rounds, given.seconds)
                tell(f"{load.name}, on two cores", rate, least=load.target)
                tell(f"{load.name}, without the load", without, least=load.targetWithout)
            with daemonWith(1) as other:
                tell("handshakes of two daemons of one process", strangers(one, other, given.rounds, given.seconds))
        for name, cost in sharedCosts(two, given.rounds, given.seconds).items():
            tell(f"CPU of a message of a shared route, {name}", cost, most=1.05 if name == "by descriptor" else 2.2)
        tell("surplus of the busier worker, a socket for each", evenness(two), most=0.2)
        with daemonWith(2, isShared=True) as shared:
            tell("surplus of the busier worker, one socket for all", evenness(shared), most=0.2)
            for name, ratio in sharing(two, shared, given.rounds, given.seconds):
                tell(name, ratio)
    return bool(missed)


if __name__ == "__main__":
    raise SystemExit(main())
