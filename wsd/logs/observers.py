"""Writes the lines of events to a stream or a file: from a level on, and with a limit for refusals."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from io import FileIO
from typing import IO, TypeAlias

from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from wsd.logs.lines import colouredLine, forJournal, hasColours, isJournal, jsonLine, textLine

Forward: TypeAlias = Callable[[LogEvent], object]
"""Writes an event, or passes it on."""


@implementer(ILogObserver)
class LineObserver:
    """
    Writes each event as a line to a stream, or to a file that can be reopened after logrotate has moved it.

    If the stream goes to the journal, lines have priorities; on a terminal, lines for people have colours. The lines of
    a `worker` have its number.
    """

    def __init__(
        self, style: str, path: str | None = None, stream: IO[str] | None = None, worker: int | None = None
    ) -> None:
        self._line: Callable[[LogEvent], str] = jsonLine if style == "json" else textLine
        self._path = path
        self._stream = stream or sys.stdout
        if path is None and isJournal(self._stream, os.environ):
            self._line = forJournal(self._line)
        elif path is None and style == "text" and hasColours(self._stream, os.environ):
            self._line = colouredLine
        self._worker = worker
        self._file = self._open()

    def _open(self) -> FileIO | None:
        return None if self._path is None else open(self._path, "ab", buffering=0)

    def reopen(self) -> None:
        """Continue in a new file of the same name."""
        before, self._file = self._file, self._open()
        if before is not None:
            before.close()

    def __call__(self, event: LogEvent) -> None:
        line = self._line(event if self._worker is None else {**event, "worker": self._worker})
        if self._file is not None:
            self._file.write(line.encode())
            return
        try:
            self._stream.write(line)
        except UnicodeEncodeError:  # The terminal has another encoding.
            self._stream.write(line.encode("ascii", "backslashreplace").decode())
        self._stream.flush()


_REFUSED = frozenset({"request.refused", "handler.refused", "tls.refused", "proxy.dropped", "soap.unanswered"})
"""Events that any client can cause as often as it likes."""


class RefusalLimit:
    """
    Limits the lines about refusals in a minute, for one address and in total.

    Further lines are omitted and counted. The first event after the minute reports their number in one line.
    """

    MINUTE = 60.0
    PER_ADDRESS = 60
    IN_TOTAL = 600

    def __init__(self) -> None:
        self._begin = 0.0
        self._lines: Counter[str] = Counter()
        self._logged = self._omitted = 0

    @property
    def hasOmitted(self) -> bool:
        """Whether lines were omitted and not reported yet."""
        return self._omitted > 0

    def allows(self, event: LogEvent) -> bool:
        """Whether this event may be logged."""
        if event.get("event") not in _REFUSED:
            return True
        address = _addressIn(str(event.get("peer", "")))
        if self._logged < self.IN_TOTAL and self._lines[address] < self.PER_ADDRESS:
            self._lines[address] += 1
            self._logged += 1
            return True
        self._omitted += 1
        return False

    def omitted(self, event: LogEvent) -> LogEvent | None:
        """Returns an event that reports the lines omitted in the last minute, if this event begins a new minute."""
        now = event.get("log_time", 0.0)
        if self._begin <= now < self._begin + self.MINUTE:
            return None
        count, self._begin = self._omitted, now
        self._logged = self._omitted = 0
        self._lines.clear()
        if not count:
            return None
        sentence = (
            "omitted {count} lines about refusals; the limit per minute is {each} for one address and {most} in total"
        )
        return _warning(now, sentence, event="log.omitted", count=count, each=self.PER_ADDRESS, most=self.IN_TOTAL)


def _warning(now: float, template: str, **fields: object) -> LogEvent:
    """A warning by the log itself."""
    return {
        **fields,
        "log_format": template,
        "log_level": LogLevel.warn,
        "log_namespace": "wsd",
        "log_time": now,
    }


def _addressIn(peer: str) -> str:
    """The address of a peer as the log writes it, without the port."""
    if peer.startswith("["):
        return peer[1 : peer.find("]")]
    return peer.partition(":")[0] if peer.count(":") == 1 else peer


@implementer(ILogObserver)
class FilteredObserver:
    """Passes on events of at least a level, except excess refusals and events of Twisted that add nothing."""

    def __init__(self, lines: Forward, level: str) -> None:
        least = LogLevel.levelWithName(level)
        self._levels = frozenset(one for one in LogLevel.iterconstants() if one >= least)
        self._lines = lines
        self._refusals = RefusalLimit()

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level") not in self._levels or ("id" not in event and _isNoise(event)):
            return
        if event.get("event") in _REFUSED or self._refusals.hasOmitted:
            omitted = self._refusals.omitted(event)
            if omitted is not None:
                self._lines(omitted)
            if not self._refusals.allows(event):
                return
        self._lines(event)


def observer(lines: Forward, level: str) -> ILogObserver:
    """The daemon's log observer, which writes lines of at least this level: "debug", "info", "warn" or "error"."""
    return FilteredObserver(lines, level)


def _isNoise(event: LogEvent) -> bool:
    """Whether this is one of Twisted's events for which the daemon logs its own."""
    text = str(event.get("log_text") or event.get("log_format") or "")
    return text.startswith(("Starting factory", "Stopping factory", "Main loop terminated")) or "starting on" in text
