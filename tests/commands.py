"""Runs the daemon's commands as a person does: real processes, in a folder of their own, ended when the test is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PATIENCE = 60.0
"""Seconds that anything may take on a busy machine."""

MODES = ("wsd serve", "twistd -n", "twistd", "twist")


def environment(**more: str) -> dict[str, str]:
    """This one, with the tree on the path and without what systemd or a terminal would add."""
    others = ("NOTIFY_SOCKET", "LISTEN_PID", "COLUMNS")
    kept = {name: value for name, value in os.environ.items() if name not in others and not name.startswith("WSD_")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def stateIn(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    """A state folder of its own, for a daemon that is told of no other."""
    return {} if {"STATE_DIRECTORY", "XDG_STATE_HOME"} & more.keys() else {"STATE_DIRECTORY": str(folder / "kept")}


def commandLine(mode: str, *options: str) -> list[str]:
    """`wsd serve OPTIONS`, `twistd -n wsd OPTIONS`, `twistd wsd OPTIONS` or `twist wsd OPTIONS`."""
    if mode == "wsd serve":
        return [sys.executable, "-m", "wsd", "serve", *options]
    name, *own = mode.split()
    if name == "twistd":
        own += ["--pidfile", "wsd.pid"]
    if mode == "twistd":
        own += ["--logfile", "daemon.log"]
    return [str(Path(sysconfig.get_path("scripts")) / name), *own, "wsd", *options]


def run(folder: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(**stateIn(folder, os.environ)),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
    )


def wsd(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `wsd ARGUMENTS` to its end."""
    return run(folder, [sys.executable, "-m", "wsd", *arguments])


def until(met: Callable[[], Any], what: str) -> Any:
    """What `met` gives, as soon as it gives something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        result = met()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"{what} within {PATIENCE:g} seconds")


class Running:
    """A daemon that runs."""

    def __init__(self, folder: Path, mode: str, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.mode = mode
        self._log = log
        self._process = process

    @property
    def pid(self) -> int:
        """The process that serves: as a daemon it is not the one that was started."""
        return int((self.folder / "wsd.pid").read_text()) if self.mode == "twistd" else self._process.pid

    @property
    def log(self) -> str:
        """All it has logged."""
        return self._log.read_text() if self._log.exists() else ""

    def url(self, scheme: str = "ws", host: str = "127.0.0.1") -> str:
        """Where it listens, as it says itself."""
        place = rf"listening ({scheme}://{re.escape(host)}:\d+)/"
        found = until(lambda: re.search(place, self.log) or self._ended, f"listening on {host}")
        if not isinstance(found, re.Match):
            raise AssertionError(f"it ended: {self.log}")
        return str(found[1])

    @property
    def _ended(self) -> bool:
        return self.mode != "twistd" and self._process.poll() is not None

    def logged(self, pattern: str) -> re.Match[str]:
        """Where the log matches, as soon as it does."""
        found: re.Match[str] = until(lambda: re.search(pattern, self.log, re.MULTILINE), f"{pattern!r} in the log")
        return found

    def send(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def waitForEnd(self) -> int:
        """Wait until it has ended by itself, and return its exit status."""
        return self._process.wait(PATIENCE)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, and wait until it is gone."""
        pid = self.pid
        os.kill(pid, number)
        if self.mode == "twistd":
            until(lambda: not Path(f"/proc/{pid}").exists(), f"{pid} ended")
        self._process.wait(PATIENCE)


@contextmanager
def running(folder: Path, mode: str, *options: str, log: str | None = None, **more: str) -> Iterator[Running]:
    """A daemon with these options, whose end is sure; `log` is its configuration's file, `more` its environment's."""
    kept = folder / (log or ("daemon.log" if mode == "twistd" else "out.log"))
    with (folder / "out.log").open("wb") as out:
        process = subprocess.Popen(
            commandLine(mode, *options),
            cwd=folder,
            env=environment(**more, **stateIn(folder, more)),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    daemon = Running(folder, mode, kept, process)
    if mode == "twistd":
        assert process.wait(PATIENCE) == 0, (folder / "out.log").read_text()
    try:
        yield daemon
    finally:
        try:
            if process.poll() is None or (folder / "wsd.pid").exists():
                daemon.stop(signal.SIGKILL)
        except ProcessLookupError:
            process.wait(PATIENCE)
