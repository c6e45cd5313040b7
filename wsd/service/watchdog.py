"""
The watchdog: a thread that notices when the reactor is held, and logs the stack of what holds it.

While the reactor is held, no client is served. The thread asks it for a sign of life twenty times a second, and looks
at its stack when none has come for `HELD` seconds. The log has the time that has passed and the CPU time that the
reactor's thread used meanwhile: if the latter is much less, it waited for a disk, another thread or a busy machine.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from os.path import basename, dirname
from threading import Event, Thread, get_ident
from types import FrameType
from typing import Any, NamedTuple

from twisted.logger import Logger

from wsd.metrics import Histogram

HELD = 0.1
"""Seconds after which the reactor counts as held."""

_INTERVAL = 0.05
"""Seconds between two signs of life. Whatever holds the reactor for `HELD` plus this is always noticed."""

_QUIET = 10.0
"""Seconds between two log lines."""

_FRAMES = 12
"""Innermost calls of the stack that are logged."""

_SUSPENDED = 1.0
"""Seconds by which this thread itself is late after the process was suspended, or starved by others."""


class Hold(NamedTuple):
    """A time for which the reactor was held."""

    seconds: float
    cpu: float
    """Seconds of CPU time of the reactor's thread."""
    stack: str
    """What it was doing after `HELD` seconds, the innermost call last."""


def stackOf(frame: FrameType | None) -> str:
    """The innermost calls of a stack on one line, such as "yjs/updates.py:80 checkUpdate", the last one last."""
    calls: list[str] = []
    while frame is not None and len(calls) < _FRAMES:
        code = frame.f_code
        file = f"{basename(dirname(code.co_filename))}/{basename(code.co_filename)}"
        calls.append(f"{file}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " > ".join(reversed(calls))


class HoldReporter:
    """Counts the times for which the reactor was held, and logs them, one line every ten seconds at most."""

    log = Logger(namespace="wsd")

    def __init__(self, seconds: Callable[[], float], counted: Histogram) -> None:
        self._seconds = seconds
        self._counted = counted
        self._toldAt: float | None = None
        self._untold = 0

    def held(self, hold: Hold) -> None:
        """Called on the reactor's thread when it is free again."""
        self._counted.observe(hold.seconds)
        self._untold += 1
        now = self._seconds()
        if self._toldAt is not None and now - self._toldAt < _QUIET:
            return
        count, self._untold, self._toldAt = self._untold, 0, now
        self.log.warn(
            "nobody was served for {duration:.3f} s ({cpu:.3f} s of CPU), {count} times since the last line: {stack}",
            event="reactor.held",
            duration=round(hold.seconds, 3),
            cpu=round(hold.cpu, 3),
            count=count,
            stack=hold.stack,
        )


class Watchdog:
    """The thread. `start` is called on the reactor's thread, which it watches from then on."""

    def __init__(self, reactor: Any, report: Callable[[Hold], object]) -> None:
        self._reactor = reactor
        self._report = report
        self._stopping = Event()
        self._alive = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to watch the calling thread."""
        self._watched = get_ident()
        self._clock = time.pthread_getcpuclockid(self._watched)
        self._thread = Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching. Does not wait for the thread, which may wait for the caller."""
        self._stopping.set()
        self._alive.set()

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL):
            hold = self._watch()
            if hold is not None and not self._stopping.is_set():
                self._reactor.callFromThread(self._report, hold)

    def _watch(self) -> Hold | None:
        """Ask for a sign of life, and wait for it. Returns how the reactor was held, None if it was not."""
        self._alive.clear()
        began, cpu = time.monotonic(), time.clock_gettime(self._clock)
        self._reactor.callFromThread(self._alive.set)
        if self._alive.wait(HELD):
            return None
        isLate = time.monotonic() - began > HELD + _SUSPENDED
        stack = stackOf(sys._current_frames().get(self._watched))
        self._alive.wait()
        if isLate:
            return None
        return Hold(time.monotonic() - began, time.clock_gettime(self._clock) - cpu, stack)
