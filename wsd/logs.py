"""
The log: one line for each event, with the id of its connection; as text, as JSON, or for the journal.

What comes from outside is escaped before it is written, so that nobody writes lines of his own into the log; payloads
are never in it.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from io import FileIO
from time import time
from typing import IO, Any

from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    eventAsText,
    formatEvent,
    globalLogPublisher,
)
from twisted.python.failure import Failure
from zope.interface import implementer

_logger = Logger(namespace="wsd")

_encode = json.JSONEncoder(ensure_ascii=False).encode

_OF_TWISTED = frozenset({"time", "level", "message", "traceback", "isError", "system", "format", "failure", "why"})
"""What Twisted's older log adds to an event, and our own keys: no fields of a line."""


_PRIORITIES = {
    LogLevel.debug: 7,
    LogLevel.info: 6,
    LogLevel.warn: 4,
    LogLevel.error: 3,
    LogLevel.critical: 2,
}
"""The levels as priorities of syslog(3)."""


class ConnectionLog:
    """The log of one connection: each line has its id. `debug` is for Autobahn's own talk, and says nothing."""

    __slots__ = ("id",)

    def __init__(self, id: str) -> None:
        self.id = id

    def debug(self, format: str = "", **fields: Any) -> None:
        """Nothing: Autobahn tells of each frame here."""

    def info(self, format: str, **fields: Any) -> None:
        """
        Something that belongs to the normal course: the event is a Logger's, made here since each handshake makes two.
        """
        fields.update(
            id=self.id,
            log_logger=_logger,
            log_level=LogLevel.info,
            log_namespace=_logger.namespace,
            log_source=None,
            log_format=format,
            log_time=time(),
        )
        globalLogPublisher(fields)

    def warn(self, format: str, **fields: Any) -> None:
        """Something to look at."""
        _logger.warn(format, id=self.id, **fields)

    def error(self, format: str, **fields: Any) -> None:
        """Something that went wrong here."""
        _logger.error(format, id=self.id, **fields)

    def failure(self, format: str, failure: Failure, **fields: Any) -> None:
        """An exception that nobody expected, with its traceback."""
        _logger.failure(format, failure, id=self.id, **fields)


def escaped(text: str) -> str:
    """The text on one line, whatever is not printable spelled out: controls, separators, what turns text around."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def describeError(error: BaseException) -> str:
    """An exception of a foreign module on one line: its class, its message, and where it was raised."""
    kind, text = type(error).__name__, " ".join(str(error).split())
    trace = error.__traceback__
    if trace is None or isinstance(error, SyntaxError):
        return f"{kind}: {text}"
    while trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}"
    return f"{kind}: {text} ({where})" if text else f"{kind} ({where})"


def _time(event: LogEvent) -> str:
    time = event.get("log_time", 0.0)
    second = int(time)
    return f"{_second(second)}.{int((time - second) * 1000):03}+00:00"


@lru_cache(4)
def _second(seconds: int) -> str:
    """Many lines are of one second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure", event.get("failure"))
    return str(failure.getTraceback()) if isinstance(failure, Failure) else ""


def _message(event: LogEvent) -> str:
    if "failure" in event and "log_failure" not in event and isinstance(event["failure"], Failure):
        # Twisted's older log has the traceback in its text.
        return escaped(str(event.get("why") or event["failure"].getErrorMessage()))
    format = event.get("log_format")
    text = ""
    if isinstance(format, str) and "(" not in format and "log_flattened" not in event:
        # As Twisted formats it, which is left what is more than the names of fields, or goes wrong.
        with suppress(Exception):
            text = format.format_map(event)
    if not text:
        text = formatEvent(event) or eventAsText(
            event, includeTraceback=False, includeTimestamp=False, includeSystem=False
        )
    return text if text.isprintable() else escaped(text)


def textLine(event: LogEvent) -> str:
    """A line for people; a traceback follows on lines of its own."""
    return f"{_time(event)} {_timeless(event)}"


def _timeless(event: LogEvent) -> str:
    level = event.get("log_level", LogLevel.info).name
    id = f"[{event['id']}] " if "id" in event else ""
    line = f"{level:5} {id}{_message(event)}\n"
    if "log_failure" in event or "failure" in event:
        line += "".join(f"    {escaped(part)}\n" for part in _traceback(event).splitlines())
    return line


def jsonLine(event: LogEvent) -> str:
    """
    One JSON object on one line: `time`, `level`, `message`, `traceback` of an error, and an event's fields by name.

    The fields are those of our own events: what a library knows beside its message may be anybody's data.
    """
    entry: dict[str, Any] = {
        "time": _time(event),
        "level": event.get("log_level", LogLevel.info).name,
        "message": _message(event),
    }
    if str(event.get("log_namespace", "")).partition(".")[0] == "wsd":
        entry |= {
            name: value
            for name, value in event.items()
            if isinstance(value, (str, int, float)) and not name.startswith("log_") and name not in _OF_TWISTED
        }
    traceback = _traceback(event)
    if traceback:
        entry["traceback"] = traceback
    line = _encode(entry)
    if not line.isprintable():
        line = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
    return line + "\n"


def forJournal(line: Callable[[LogEvent], str]) -> Callable[[LogEvent], str]:
    """Put the priority before each line, as in sd-daemon(3); leave out the time, which the journal records itself."""
    told = _timeless if line is textLine else line

    def prioritized(event: LogEvent) -> str:
        priority = _PRIORITIES.get(event.get("log_level", LogLevel.info), 6)
        return "".join(f"<{priority}>{part}\n" for part in told(event).splitlines())

    return prioritized


def isJournal(stream: IO[str], environ: Mapping[str, str]) -> bool:
    """Whether a stream goes to systemd's journal, as $JOURNAL_STREAM says (systemd.exec(5))."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


@implementer(ILogObserver)
class LineObserver:
    """
    Writes each event as a line to a stream, or to a file that can be opened anew when logrotate has moved it.

    A stream to the journal gets lines with priorities.
    """

    def __init__(self, format: str, path: str | None = None, stream: IO[str] | None = None) -> None:
        self._line: Callable[[LogEvent], str] = jsonLine if format == "json" else textLine
        self._path = path
        self._stream = stream or sys.stdout
        if path is None and isJournal(self._stream, os.environ):
            self._line = forJournal(self._line)
        self._file = self._open()

    def _open(self) -> FileIO | None:
        return None if self._path is None else open(self._path, "ab", buffering=0)

    def reopen(self) -> None:
        """Go on in a new file of the same name."""
        before, self._file = self._file, self._open()
        if before is not None:
            before.close()

    def __call__(self, event: LogEvent) -> None:
        line = self._line(event)
        if self._file is not None:
            self._file.write(line.encode())
            return
        try:
            self._stream.write(line)
        except UnicodeEncodeError:  # a terminal of another encoding
            self._stream.write(line.encode("ascii", "backslashreplace").decode())
        self._stream.flush()


_REFUSED = frozenset({"request.refused", "handler.refused", "tls.refused", "proxy.dropped"})
"""Events that strangers can cause as often as they like."""


class Ration:
    """
    Limits the lines a minute about refusals: for one address, and in all.

    Omitted lines are counted, and the first event after the minute reports their number in one line.
    """

    MINUTE = 60.0
    OF_ONE = 60
    OF_ALL = 600

    def __init__(self) -> None:
        self._begin = 0.0
        self._lines: Counter[str] = Counter()
        self._told = self._omitted = 0

    @property
    def isShort(self) -> bool:
        """Whether omitted lines have not been reported yet."""
        return self._omitted > 0

    def allows(self, event: LogEvent) -> bool:
        """Whether this event may be logged."""
        if event.get("event") not in _REFUSED:
            return True
        address = _addressIn(str(event.get("peer", "")))
        if self._told < self.OF_ALL and self._lines[address] < self.OF_ONE:
            self._lines[address] += 1
            self._told += 1
            return True
        self._omitted += 1
        return False

    def omitted(self, event: LogEvent) -> LogEvent | None:
        """If an event begins another minute: an event that reports the lines omitted in the last one, if any."""
        now = event.get("log_time", 0.0)
        if self._begin <= now < self._begin + self.MINUTE:
            return None
        count, self._begin = self._omitted, now
        self._told = self._omitted = 0
        self._lines.clear()
        if not count:
            return None
        sentence = "left out {count} lines about refusals; a minute has at most {each} for one address, {most} in all"
        return _warning(now, sentence, event="log.omitted", count=count, each=self.OF_ONE, most=self.OF_ALL)


def _warning(now: float, format: str, **fields: object) -> LogEvent:
    """A warning by the log itself."""
    return {
        **fields,
        "log_format": format,
        "log_level": LogLevel.warn,
        "log_namespace": _logger.namespace,
        "log_time": now,
    }


def _addressIn(peer: str) -> str:
    """The address of a peer, as it stands in the log, without the port."""
    if peer.startswith("["):
        return peer[1 : peer.find("]")]
    return peer.partition(":")[0] if peer.count(":") == 1 else peer


@implementer(ILogObserver)
class _Kept:
    """Passes on the events from a level on, without what Twisted says of each factory and port."""

    def __init__(self, lines: LineObserver, level: str) -> None:
        least = LogLevel.levelWithName(level)
        self._levels = frozenset(one for one in LogLevel.iterconstants() if one >= least)
        self._lines = lines
        self._ration = Ration()

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level") not in self._levels or ("id" not in event and _isNoise(event)):
            return
        if event.get("event") in _REFUSED or self._ration.isShort:
            omitted = self._ration.omitted(event)
            if omitted is not None:
                self._lines(omitted)
            if not self._ration.allows(event):
                return
        self._lines(event)


def observer(lines: LineObserver, level: str) -> ILogObserver:
    """The daemon's log observer: writes these lines from this level on ("debug", "info", "warn", "error")."""
    return _Kept(lines, level)


def _isNoise(event: LogEvent) -> bool:
    """What the daemon says in its own words."""
    text = str(event.get("log_text") or event.get("log_format") or "")
    return text.startswith(("Starting factory", "Stopping factory")) or "starting on" in text
