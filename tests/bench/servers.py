"""The servers that are measured: how each is started, on a core of its own, and how it is ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import build

CORE = 0
"""Where servers run; the generator has the other."""
PATIENCE = 60.0
LARGEST = "32 MiB"


@dataclass(frozen=True)
class Kind:
    """What a server is to serve: over TLS or not, with compression or not, to who asked or to everyone."""

    tls: bool = False
    deflate: bool = False
    fanout: bool = False


class Started:
    """A server that listens, with what the generator must know of it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, path: str) -> None:
        self.process = process
        self.port = port
        self.path = path

    @property
    def pids(self) -> list[int]:
        """It and its children, which share its session."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                session = int(stat.read_text().rpartition(")")[2].split()[3])
            except OSError:
                continue
            if session == self.process.pid:
                found.append(int(stat.parent.name))
        return found

    @property
    def memory(self) -> int:
        """Resident bytes of it and its children."""
        return sum(
            int(re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[0]) * 1024
            for pid in self.pids
        )


@dataclass(frozen=True)
class Server:
    """One that can be measured."""

    name: str
    title: str
    isRaw = False

    def command(self, kind: Kind, folder: Path, pem: Path) -> list[str | Path]:
        """How it is started. `folder` is its own for this time, `pem` holds certificate and key."""
        raise NotImplementedError

    def environ(self) -> dict[str, str]:
        """What it needs beside this process's environment."""
        return {}

    def path(self, kind: Kind) -> str:
        """What is asked for."""
        return "/"

    def options(self) -> list[str]:
        """What the generator is to know of it."""
        return ["--raw"] if self.isRaw else []

    def says(self, kind: Kind) -> str:
        """The line, a pattern, that tells the port."""
        return r"listening (\d+)"


@dataclass(frozen=True)
class Peer(Server):
    """A program in peers/; `switches` are its own."""

    program: str = ""
    switches: tuple[str, ...] = ()
    isRaw: bool = False

    def command(self, kind: Kind, folder: Path, pem: Path) -> list[str | Path]:
        runtime: Path | str = build.python() if self.program.endswith(".py") else "node"
        asked: list[str | Path] = ["--tls", pem] if kind.tls else []
        asked += [f"--{name}" for name in ("deflate", "fanout") if getattr(kind, name)]
        return [runtime, build.PEERS / self.program, *self.switches, *asked]

    def environ(self) -> dict[str, str]:
        return {} if self.program.endswith(".py") else {"NODE_PATH": str(build.modules())}


@dataclass(frozen=True)
class Native(Server):
    """
    A server from elsewhere: a program that takes a port, listens there, and echoes on every path.

    Its second argument is `--deflate` where compression is measured.
    """

    program: Path = Path()

    def command(self, kind: Kind, folder: Path, pem: Path) -> list[str | Path]:
        return [sys.executable, "-c", _WITH_PORT, self.program, *(["--deflate"] if kind.deflate else [])]


_WITH_PORT = """
import os, socket, sys, time
with socket.create_server(("127.0.0.1", 0)) as bound:
    port = bound.getsockname()[1]
if os.fork():
    os.execv(sys.argv[1], [sys.argv[1], str(port), *sys.argv[2:]])
while socket.socket().connect_ex(("127.0.0.1", port)):
    time.sleep(0.02)
print("listening", port, flush=True)
"""
"""Starts a program with a free port, and tells the port once the program listens there."""


@dataclass(frozen=True)
class Wsd(Server):
    """The daemon, with its default policies, on one of its planes; its own echo, or one of another package's."""

    plane: str = "auto"
    route: str = "/echo"
    workers: int = 1

    def command(self, kind: Kind, folder: Path, pem: Path) -> list[str | Path]:
        config = folder / "wsd.toml"
        config.write_text(self.config(kind, pem), "utf-8")
        twistd = Path(sys.executable).with_name("twistd")
        return [sys.executable, twistd, "-n", "--pidfile=", "wsd", "-c", config]

    def config(self, kind: Kind, pem: Path) -> str:
        """Its configuration file: nothing but what the measurement cannot do without."""
        lines = [f'port = {"false" if kind.tls else 0}\nframes = "{self.plane}"\nworkers = {self.workers}']
        if kind.tls:
            lines.append(f'[tls]\nport = 0\n[[tls.certificate]]\ncert = "{pem}"')
        lines += [f'[route."/{name}"]\nprotocol = "{name}"\nmax_message = "{LARGEST}"' for name in ("back", "everyone")]
        return "\n".join(lines) + "\n"

    def environ(self) -> dict[str, str]:
        return {"PYTHONPATH": f"{build.ROOT}:{build.HERE / 'entry'}"}

    def path(self, kind: Kind) -> str:
        return "/everyone" if kind.fanout else self.route

    def says(self, kind: Kind) -> str:
        return rf"listening {'wss' if kind.tls else 'ws'}://127\S*?:(\d+)/"


@dataclass(frozen=True)
class Topics(Wsd):
    """A topic of the daemon's, which all subscribe to: in the plain form, or the enveloped one."""

    isEnveloped: bool = False
    keys: str = ""
    """More keys of the route."""

    def config(self, kind: Kind, pem: Path) -> str:
        return f'{super().config(kind, pem)}[route."/topics/*"]\nprotocol = "topics"\n{self.keys}'

    def path(self, kind: Kind) -> str:
        return "/topics/bench"

    def options(self) -> list[str]:
        subscribe = '{"subscribe": {"id": 1, "topic": "bench"}}'
        return ["--protocol=topics.wsd.v1", f"--first={subscribe}", "--tail=3"] if self.isEnveloped else []


SERVERS: Mapping[str, Server] = {
    server.name: server
    for server in (
        Wsd("wsd", "wsd"),
        Wsd("wsd-entry", "wsd, another package's protocol", route="/back"),
        Wsd("wsd-python", "wsd, pure Python", plane="fast"),
        Wsd("wsd-plain", "wsd, Autobahn's own frames", plane="plain"),
        Wsd("wsd-workers", "wsd, two workers", workers=2),
        Topics("topics", "topics, plain"),
        Topics("topics-enveloped", "topics, enveloped", isEnveloped=True),
        Topics(
            "topics-dropping", "topics, the slow lose the oldest", keys='slow = "drop-oldest"\nstall_timeout = 3600\n'
        ),
        Peer("nchan", "nchan in nginx", "with_nchan.py"),
        Peer("autobahn", "stock Autobahn", "with_autobahn.py"),
        Peer("websockets", "websockets", "with_websockets.py"),
        Peer("websockets-uvloop", "websockets on uvloop", "with_websockets.py", ("--uvloop",)),
        Peer("aiohttp", "aiohttp", "with_aiohttp.py"),
        Peer("aiohttp-uvloop", "aiohttp on uvloop", "with_aiohttp.py", ("--uvloop",)),
        Peer("node", "node ws", "with_ws.cjs"),
        Peer("picows", "picows on uvloop", "with_picows.py", ("--uvloop",)),
        Peer("raw-twisted", "raw Twisted", "raw_twisted.py", isRaw=True),
        Peer("raw-uvloop", "raw uvloop", "raw_uvloop.py", ("--uvloop",), isRaw=True),
    )
}


@dataclass(frozen=True)
class House:
    """Where the servers of a measurement live, and which there are."""

    folder: Path
    pem: Path
    servers: Mapping[str, Server] = field(default_factory=lambda: SERVERS)

    @contextmanager
    def running(self, names: list[str], kind: Kind) -> Iterator[dict[str, Started]]:
        """Start these together; they listen when the body begins, and are gone after it."""
        with ExitStack() as stack:
            begun = {name: stack.enter_context(self._process(self.servers[name], kind)) for name in names}
            yield {
                name: self._started(self.servers[name], kind, process, log) for name, (process, log) in begun.items()
            }

    @staticmethod
    def _started(server: Server, kind: Kind, process: subprocess.Popen[bytes], log: Path) -> Started:
        return Started(process, _port(process, log, server.says(kind)), server.path(kind))

    @contextmanager
    def _process(self, server: Server, kind: Kind) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        folder = self.folder / server.name
        folder.mkdir(exist_ok=True)
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["taskset", "-c", str(CORE), *server.command(kind, folder, self.pem)],
                cwd=folder,
                env={**os.environ, "XDG_STATE_HOME": str(folder), **server.environ()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process, log
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port(process: subprocess.Popen[bytes], log: Path, pattern: str) -> int:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        found = re.search(pattern, log.read_text("utf-8", "replace"))
        if found is not None:
            return int(found[1])
        time.sleep(0.02)
    raise SystemExit(f"bench: {process.args!r} did not begin to listen:\n{log.read_text('utf-8', 'replace')[-2000:]}")
