"""A real redis-server on a loopback port of its own, without files, ended with the tests."""

from __future__ import annotations

import atexit
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.ports import freePort

PATIENCE = 60.0


class RedisServer:
    """One server; it may be killed, and started again on the same port."""

    def __init__(self, *options: str, prefix: Sequence[str] = (), host: str = "127.0.0.1") -> None:
        """`prefix` is a command that runs it, and any other, somewhere else; `host` is its address there."""
        self._options = options
        self._prefix = prefix
        self._host = host
        self._folder = TemporaryDirectory(prefix="wsd-redis-")
        self.port = freePort()
        self.start()

    @property
    def url(self) -> str:
        return f"redis://{self._host}:{self.port}/0"

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.process = subprocess.Popen(
            [
                *(*self._prefix, "redis-server", "--port", str(self.port), "--bind", self._host),
                *("--dir", self._folder.name, "--protected-mode", "no"),
                *("--appendonly", "yes", "--appendfsync", "always", "--save", "", *self._options),
            ],
            stdout=subprocess.DEVNULL,
        )
        end = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < end, "redis-server does not answer"
            assert self.process.poll() is None, "redis-server has ended"
            time.sleep(0.01)

    def _answers(self) -> bool:
        command = [*self._prefix, "redis-cli", "-h", self._host, "-p", str(self.port), "ping"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout == "PONG\n"

    def run(self, *command: str) -> None:
        """A command of redis-cli."""
        where = ["redis-cli", "-h", self._host, "-p", str(self.port)]
        subprocess.run([*self._prefix, *where, *command], capture_output=True, check=True)

    def kill(self) -> None:
        """End it as a crash does; what it had acknowledged is in its append-only file."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def pause(self) -> None:
        """Let it answer nothing until `resume`."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def save(self) -> None:
        """Keep a copy of what it has, as a replica has it that hears of nothing more."""
        shutil.copytree(self._files, self._saved, dirs_exist_ok=True)

    def fallBack(self) -> None:
        """Kill it, and start it with that copy: what it has acknowledged since is lost."""
        self.kill()
        shutil.rmtree(self._files)
        shutil.copytree(self._saved, self._files)
        self.start()

    @property
    def _files(self) -> Path:
        return Path(self._folder.name) / "appendonlydir"

    @property
    def _saved(self) -> Path:
        return Path(self._folder.name) / "saved"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()


_servers: list[RedisServer] = []


def theServer() -> RedisServer:
    """The server of this process's tests, which lives as long as the process does."""
    if not _servers:
        _servers.append(RedisServer())
        atexit.register(_servers[0].stop)
    return _servers[0]
