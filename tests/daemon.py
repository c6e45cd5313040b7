"""A running daemon: a process of its own, with a state folder of its own, that ends with the test."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
PATIENCE = 60.0
LONGEST_HOLD = 0.15
"""Seconds of CPU time for which one call may hold the reactor in a test; half more than in the log, for slow caches."""
_WORK, _USUAL = 300_000, 0.01
"""A sum of so many squares, and the seconds of CPU time that it usually takes."""


def slowness() -> float:
    """How many times as long as usual this machine takes now, 1 to 3: a virtual one may count others' time."""
    began = time.thread_time()
    sum(number * number for number in range(_WORK))
    return min(max(1.0, (time.thread_time() - began) / _USUAL), 3.0)


class RunningDaemon:
    """A `twist wsd` process and what it has said."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.lines: list[str] = []
        self._slowness: dict[str, float] = {}
        """How slow the machine was when the daemon said that the reactor was held, by the line."""
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = line.rstrip("\n")
            if "nobody was served for" in said:
                self._slowness[said] = slowness()
            with self._more:
                self.lines.append(said)
                self._more.notify_all()
        with self._more:
            self._more.notify_all()

    def waitFor(self, pattern: str, since: int = 0, patience: float = PATIENCE) -> re.Match[str]:
        """The first line from number `since` on that matches, waited for; the test fails when it does not come."""
        end = time.monotonic() + patience
        with self._more:
            while True:
                for line in self.lines[since:]:
                    match = re.search(pattern, line)
                    if match is not None:
                        return match
                left = end - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self._reader.is_alive()):
                    raise AssertionError(f"no line matches {pattern!r} in:\n" + "\n".join(self.lines))
                self._more.wait(min(left, 0.5))

    def port(self, scheme: str = "ws") -> int:
        """The port of the first listener of this scheme."""
        return int(self.waitFor(rf"listening {scheme}://[^ ]*:(\d+)/")[1])

    @property
    def memory(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self._reader.join(5)

    def checkHolds(self) -> None:
        """
        Fail if something held the reactor for longer than `LONGEST_HOLD`, as the daemon's own watchdog has noticed.

        This counts the CPU time of the reactor's thread, not the time that passed: on a machine that is busy with other
        things the latter says nothing about the daemon.
        """
        for line in self.lines:
            match = re.search(r"nobody was served for \S+ s \((\S+) s of CPU\)", line)
            if match is not None and float(match[1]) > LONGEST_HOLD * max(self._slowness[line], slowness()):
                raise AssertionError(f"the reactor was held: {line}")


def _reactor() -> list[str]:
    """The daemon runs under the reactor that the tests run under: `pytest --reactor=asyncio`."""
    installed = type(sys.modules.get("twisted.internet.reactor")).__name__
    return ["--reactor=asyncio"] if installed == "AsyncioSelectorReactor" else []


def _environment() -> dict[str, str]:
    """This one, without variables for the daemon."""
    return {name: value for name, value in os.environ.items() if not name.startswith("WSD_")}


@contextmanager
def runningDaemon(
    *arguments: str,
    config: str | None = None,
    environ: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    python: str = sys.executable,
    mayHold: bool = False,
) -> Iterator[RunningDaemon]:
    """
    Start the daemon on free ports with these arguments and this configuration; it listens when the body begins.

    The test fails if the reactor was held, unless it `mayHold`: for a test whose own code blocks.
    """
    with TemporaryDirectory(prefix="wsd-test-") as name:
        folder = Path(name)
        command = [*prefix, python, "-m", "twisted", *_reactor(), "wsd"]
        if config is not None:
            (folder / "wsd.toml").write_text(config, encoding="utf-8")
            command += ["-c", str(folder / "wsd.toml")]
        isGiven = any(argument in ("-p", "--port", "--listen") for argument in arguments)
        if not isGiven and not re.search("^(port|listen) = ", (config or "").partition("\n[")[0], re.MULTILINE):
            command += ["-p", "0"]
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            env={**_environment(), "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": name, **(environ or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        daemon = RunningDaemon(process, folder)
        try:
            daemon.waitFor(r"listening \S+")
            yield daemon
        finally:
            daemon.stop()
        if not mayHold:
            daemon.checkHolds()
