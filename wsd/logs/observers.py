"""Writes the lines of events to a stream, a file or the journal: from a level on, and not all of a flood."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from io import FileIO
from time import time
from typing import IO, Protocol, TypeAlias

from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from wsd.logs.access import ACCESS, AccessSettings, LimitedLines
from wsd.logs.journal import JournalObserver
from wsd.logs.lines import colouredLine, forJournal, hasColours, isJournal, jsonLine, textLine

Forward: TypeAlias = Callable[[LogEvent], object]
"""Writes an event, or passes it on."""


class EventWriter(Protocol):
    """Writes a line for each event."""

    def __call__(self, event: LogEvent) -> None:
        """Write the line of an event."""

    def reopen(self) -> None:
        """Continue in a new file of the same name."""

    def close(self) -> None:
        """Write no more."""


@implementer(ILogObserver)
class LineObserver:
    """
    Writes each event as a line to a stream, or to a file that can be reopened after logrotate has moved it.

    If the stream goes to the journal, lines have priorities; on a terminal, lines for people have colours. If the disk
    is full, lines are lost; once there is room, the next line is preceded by one that says how many.
    """

    _lost = 0
    _isTorn = False
    """Whether the file ends within a line."""

    def __init__(self, style: str, path: str | None = None, stream: IO[str] | None = None) -> None:
        self._line: Callable[[LogEvent], str] = jsonLine if style == "json" else textLine
        self._path = path
        self._stream = stream or sys.stdout
        if path is None and isJournal(self._stream, os.environ):
            self._line = forJournal(self._line)
        elif path is None and style == "text" and hasColours(self._stream, os.environ):
            self._line = colouredLine
        self._file = self._open()

    def _open(self) -> FileIO | None:
        return None if self._path is None else open(self._path, "ab", buffering=0)

    def reopen(self) -> None:
        """Continue in a new file of the same name."""
        before, self._file = self._file, self._open()
        if before is not None:
            before.close()

    def close(self) -> None:
        """Close the file. A stream stays open."""
        if self._file is not None:
            self._file.close()

    def __call__(self, event: LogEvent) -> None:
        line = self._line(event)
        if self._file is not None:
            self._append(self._file, line)
            return
        try:
            self._stream.write(line)
        except UnicodeEncodeError:  # The terminal has another encoding.
            self._stream.write(line.encode("ascii", "backslashreplace").decode())
        self._stream.flush()

    def _append(self, file: FileIO, line: str) -> None:
        before = self._line(_lostLines(self._lost)) if self._lost else ""
        data = (("\n" if self._isTorn else "") + before + line).encode()
        try:
            written = file.write(data)
        except OSError:
            self._lost += 1
            return
        self._isTorn = written < len(data)
        self._lost = self._lost + 1 if self._isTorn else 0


_LOST = "log lines lost before this one: {count}; the file could not be written, so check that its disk has room"


def _lostLines(count: int) -> LogEvent:
    return {
        "log_namespace": "wsd",
        "log_time": time(),
        "log_level": LogLevel.warn,
        "log_format": _LOST,
        "event": "log.lost",
        "count": count,
    }


def linesTo(style: str, path: str | None = None, stream: IO[str] | None = None) -> EventWriter:
    """
    Writes lines of text or JSON to a file or a stream, or entries to the journal.

    Raises OSError if the file cannot be opened, or there is no journal.
    """
    return JournalObserver() if style == "journal" else LineObserver(style, path, stream)


class Threshold:
    """The least level that is written: "debug", "info", "warn" or "error". It can be changed at any time."""

    def __init__(self, level: str) -> None:
        self.level = level

    @property
    def level(self) -> str:
        """Its name."""
        return self._level

    @level.setter
    def level(self, level: str) -> None:
        self._level = level
        least = LogLevel.levelWithName(level)
        self.levels = frozenset(one for one in LogLevel.iterconstants() if one >= least)


@implementer(ILogObserver)
class DaemonObserver:
    """
    The daemon's log: events of at least a level, except those of Twisted that add nothing.

    Access lines may have a file of their own, which has them whatever the level. Refused requests are in the log too.
    """

    def __init__(
        self, lines: Forward, threshold: Threshold, access: AccessSettings, accessLines: Forward | None
    ) -> None:
        self._threshold = threshold
        self._access = access
        self._lines = LimitedLines(lines, access.perMinute)
        self._mayOmit = accessLines is not None or not access.isEnabled or access.sample < 1
        """Whether the log does not get every access line."""
        self._accessLines = None if accessLines is None else LimitedLines(accessLines, access.perMinute)

    def __call__(self, event: LogEvent) -> None:
        if self._mayOmit and event.get("event") in ACCESS and self._isOmitted(event):
            return
        if event.get("log_level") in self._threshold.levels and ("id" in event or not _isNoise(event)):
            self._lines(event)

    def _isOmitted(self, event: LogEvent) -> bool:
        """Write an access line to its own file, or leave it out. Returns whether the log does not get it."""
        isIncluded = self._access.includes(event)
        if isIncluded and self._access.sample < 1:
            event["sample"] = self._access.sample
        if self._accessLines is not None and isIncluded:
            self._accessLines(event)
        if event["event"] == "request.refused":
            return False
        return self._accessLines is not None or not isIncluded

    def flush(self, now: float) -> None:
        """Write how many lines were left out, if the minute is over."""
        for lines in (self._lines, self._accessLines):
            if lines is not None:
                lines.flushAfterMinute(now)


def observer(
    lines: Forward,
    level: str | Threshold,
    access: AccessSettings | None = None,
    accessLines: Forward | None = None,
) -> DaemonObserver:
    """
    The daemon's log observer, which writes lines of at least this level. That of a `Threshold` can be changed.

    `accessLines` writes the access lines; without it, they go to the log.
    """
    threshold = Threshold(level) if isinstance(level, str) else level
    return DaemonObserver(lines, threshold, access or AccessSettings(), accessLines)


_NOISE = ("Starting factory", "Stopping factory", "Main loop terminated")


def _isNoise(event: LogEvent) -> bool:
    """Whether this is one of Twisted's events for which the daemon logs its own."""
    text = str(event.get("log_text") or event.get("log_format") or "")
    return text.startswith(_NOISE) or "starting on" in text or text.endswith(" Closed)")
