"""A daemon that is upgraded: real processes, each of which ends with the test."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.daemon import PATIENCE, RunningDaemon, runningDaemon

_PATIENCE = 180.0
"""Seconds that a whole upgrade may take on a busy machine, on which three processes start for it."""

_PAUSE = 3.0
"""Seconds between two upgrades."""


class Upgradable:
    """The process that serves, and those before it. All of them write to one log."""

    def __init__(self, daemon: RunningDaemon) -> None:
        self.daemon = daemon
        self.pid = daemon.process.pid
        self.port = daemon.port()

    @property
    def lines(self) -> list[str]:
        """The log of all processes."""
        return self.daemon.lines

    def begin(self) -> int:
        """Ask for an upgrade. Returns the number of lines before it."""
        before = len(self.lines)
        os.kill(self.pid, signal.SIGUSR2)
        return before

    def upgrade(self) -> str:
        """Upgrade it, and wait until it is done. Returns what was said."""
        before = self.begin()
        return self.finish(before)

    def finish(self, before: int) -> str:
        """Wait until the upgrade that began at this line is done. Returns what was said."""
        said = self.daemon.waitFor(r"upgraded[:,] .*", before, _PATIENCE)[0]
        assert said.startswith("upgraded: "), "\n".join(self.lines)
        found = re.search(r"process (\d+) serves now", said)
        assert found is not None
        self.pid = int(found[1])
        return said

    def refused(self) -> str:
        """Ask for an upgrade that fails. Returns why."""
        return self.refusal(self.begin())

    def refusal(self, before: int) -> str:
        """Wait until the upgrade that began at this line has failed. Returns why."""
        return self.daemon.waitFor(r"not upgraded, this process serves on: (.*)", before, _PATIENCE)[1]

    def goesOnAlone(self, before: int) -> None:
        """Wait until the new process has noticed that the old one has ended early."""
        self.daemon.waitFor("the old process has ended early; going on without it", before, _PATIENCE)

    def stop(self) -> None:
        """End the process that serves."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        end = time.monotonic() + PATIENCE
        while isAlive(self.pid) and time.monotonic() < end:
            time.sleep(0.02)


@contextmanager
def upgrading(daemon: Upgradable) -> Iterator[None]:
    """Upgrade a daemon again and again while the body runs, at least once."""
    isOver = threading.Event()
    failed: list[BaseException] = []

    def upgrade() -> None:
        count = 0
        try:
            while not count or not isOver.wait(_PAUSE):
                daemon.upgrade()
                count += 1
        except BaseException as error:
            failed.append(error)
        print(f"{count} upgrades", flush=True)

    thread = threading.Thread(target=upgrade)
    thread.start()
    try:
        yield
    finally:
        isOver.set()
        thread.join()
    if failed:
        raise failed[0]


def isAlive(pid: int) -> bool:
    """Whether a process runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def isListening(port: int) -> bool:
    """Whether anything listens at a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def upgradable(*arguments: str, **named: Any) -> Iterator[Upgradable]:
    """A daemon as of `tests.daemon.runningDaemon`, whose successors end with the body as well."""
    with runningDaemon(*arguments, **named) as daemon:
        upgraded = Upgradable(daemon)
        try:
            yield upgraded
        finally:
            upgraded.stop()
            for pid in _processesIn(daemon.folder):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _processesIn(folder: Path) -> list[int]:
    """The processes whose state folder is this one."""
    wanted = f"XDG_STATE_HOME={folder}".encode()
    found = []
    for each in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if wanted in each.read_bytes().split(b"\0"):
                found.append(int(each.parent.name))
    return found
