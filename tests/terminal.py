"""A terminal for a program: a pseudo-terminal, and an emulator that shows what a person would see on it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyte

from tests.commands import PATIENCE, environment

ROWS, COLUMNS = 30, 100


class _Screen(pyte.Screen):
    """What can be seen."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(COLUMNS, ROWS)
        self._descriptor = descriptor

    def write_process_input(self, data: str) -> None:
        """What the terminal itself says, such as where the cursor is."""
        with suppress(OSError):
            os.write(self._descriptor, data.encode())


class Terminal:
    """A process at a terminal of 30 rows and 100 columns."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self.raw = b""
        """All that the program has written."""
        self.status: int | None = None
        """The exit status once it has ended."""
        self._descriptor = descriptor
        self._screen = _Screen(descriptor)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def lines(self) -> list[str]:
        """The lines that can be seen, without the empty ones at the end."""
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def color(self, text: str) -> str:
        """The colour of a line that begins with this text."""
        row = next(number for number, line in enumerate(self._screen.display) if line.startswith(text))
        return str(self._screen.buffer[row][0].fg)

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._descriptor, text.encode())

    def paste(self, text: str) -> None:
        """Paste a text, as terminals do it: between two sequences that say so, with CR at the end of each line."""
        self.type(f"\x1b[200~{text}\x1b[201~".replace("\n", "\r"))

    def waitFor(self, met: Callable[[list[str]], object]) -> None:
        """Wait until the lines are as they should be."""
        end = time.monotonic() + PATIENCE
        while not met(self.lines):
            if not self._read(end - time.monotonic()):
                assert met(self.lines), "\n".join(self.lines)
                return

    def waitForLine(self, text: str) -> None:
        """Wait until a line begins with this text."""
        self.waitFor(lambda lines: any(line.startswith(text) for line in lines))

    def waitForEnd(self) -> int:
        """Wait until the program has ended. Returns its exit status."""
        end = time.monotonic() + PATIENCE
        while self._read(end - time.monotonic()):
            pass
        if self.status is None:
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def _read(self, seconds: float) -> bool:
        """Read more of what the program writes. Returns False at its end, or if nothing comes in this time."""
        readable, _, _ = select.select([self._descriptor], [], [], max(0.0, seconds))
        if not readable:
            return False
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)

    def close(self) -> None:
        """Hang up."""
        os.close(self._descriptor)
        if self.status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


@contextmanager
def atTerminal(folder: Path, *arguments: str, **more: str) -> Iterator[Terminal]:
    """Run `wsd ARGUMENTS` at a terminal, with this folder as its state folder."""
    names = {"TERM": "xterm-256color", "STATE_DIRECTORY": str(folder), **more}
    environ = {name: value for name, value in environment(**names).items() if name != "NO_COLOR" or "NO_COLOR" in more}
    pid, descriptor = pty.fork()
    if not pid:
        os.execve(sys.executable, [sys.executable, "-m", "wsd", *arguments], environ)
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    terminal = Terminal(pid, descriptor)
    try:
        yield terminal
    finally:
        terminal.close()
