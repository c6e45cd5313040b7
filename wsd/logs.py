"""
The log: one line an event, with the id of the connection it is about; for people, or JSON for machines.

What comes from outside is escaped before it is written, so that nobody writes lines of his own into the log; payloads
are never in it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, Any

from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    PredicateResult,
    eventAsText,
    formatEvent,
)
from twisted.python.failure import Failure
from zope.interface import implementer

_logger = Logger(namespace="wsd")

_OF_TWISTED = frozenset({"time", "level", "message", "traceback", "isError", "system", "format", "failure", "why"})
"""What Twisted's older log adds to an event, and our own keys: no fields of a line."""


class ConnectionLog:
    """The log of one connection: each line has its id. `debug` is for Autobahn's own talk, and says nothing."""

    __slots__ = ("id",)

    def __init__(self, id: str) -> None:
        self.id = id

    def debug(self, format: str = "", **fields: Any) -> None:
        """Nothing: Autobahn tells of each frame here."""

    def info(self, format: str, **fields: Any) -> None:
        """Something that belongs to the normal course."""
        _logger.info(format, id=self.id, **fields)

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


def _time(event: LogEvent) -> str:
    return datetime.fromtimestamp(event.get("log_time", 0.0), UTC).isoformat(timespec="milliseconds")


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure", event.get("failure"))
    return str(failure.getTraceback()) if isinstance(failure, Failure) else ""


def _message(event: LogEvent) -> str:
    if "log_failure" not in event and isinstance(event.get("failure"), Failure):
        # Twisted's older log has the traceback in its text.
        return escaped(str(event.get("why") or event["failure"].getErrorMessage()))
    return escaped(
        formatEvent(event) or eventAsText(event, includeTraceback=False, includeTimestamp=False, includeSystem=False)
    )


def textLine(event: LogEvent) -> str:
    """A line for people; a traceback follows on lines of its own."""
    level = event.get("log_level", LogLevel.info).name
    id = f"[{event['id']}] " if "id" in event else ""
    line = f"{_time(event)} {level:5} {id}{_message(event)}\n"
    traceback = _traceback(event)
    return line + "".join(f"    {escaped(part)}\n" for part in traceback.splitlines())


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
    line = json.dumps(entry, ensure_ascii=False)
    if not line.isprintable():
        line = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
    return line + "\n"


@implementer(ILogObserver)
class LineObserver:
    """Writes each event as a line to a stream, or to a file that can be opened anew when logrotate has moved it."""

    def __init__(self, format: str, path: str | None = None, stream: IO[str] | None = None) -> None:
        self._line: Callable[[LogEvent], str] = jsonLine if format == "json" else textLine
        self._path = path
        self._stream = stream if stream is not None else self._open()

    def _open(self) -> IO[str]:
        return sys.stdout if self._path is None else open(self._path, "a", encoding="utf-8", buffering=1)

    def reopen(self) -> None:
        """Go on in a new file of the same name."""
        if self._path is not None:
            before, self._stream = self._stream, self._open()
            before.close()

    def __call__(self, event: LogEvent) -> None:
        line = self._line(event)
        try:
            self._stream.write(line)
        except UnicodeEncodeError:  # a terminal of another encoding
            self._stream.write(line.encode("ascii", "backslashreplace").decode())
        self._stream.flush()


def observer(lines: LineObserver, level: str) -> ILogObserver:
    """The daemon's log observer: writes these lines from this level on ("debug", "info", "warn", "error")."""
    predicate = LogLevelFilterPredicate(LogLevel.levelWithName(level))
    return FilteringLogObserver(lines, [predicate, _Quiet()])


@implementer(ILogFilterPredicate)
class _Quiet:
    """Leaves out what Twisted says of each factory and port: the daemon says it in its own words."""

    def __call__(self, event: LogEvent) -> Any:
        text = str(event.get("log_text") or event.get("log_format") or "")
        noisy = text.startswith(("Starting factory", "Stopping factory")) or "starting on" in text
        return PredicateResult.no if noisy else PredicateResult.maybe
