"""Formats events as lines: for people, as JSON, for a terminal with colours, and for systemd's journal."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import IO, Any

from twisted.logger import LogEvent, LogLevel, eventAsText, formatEvent
from twisted.python.failure import Failure

_encode = json.JSONEncoder(ensure_ascii=False).encode

_OF_TWISTED = frozenset({"time", "level", "message", "traceback", "isError", "system", "format", "failure", "why"})
"""Keys of events that do not become fields: those of Twisted's legacy log, and those that a line has itself."""

_PRIORITIES = {
    LogLevel.debug: 7,
    LogLevel.info: 6,
    LogLevel.warn: 4,
    LogLevel.error: 3,
    LogLevel.critical: 2,
}
"""The levels as priorities of syslog(3)."""

_COLOURS = {
    LogLevel.debug: "2",
    LogLevel.info: "32",
    LogLevel.warn: "33",
    LogLevel.error: "31",
    LogLevel.critical: "1;31",
}
"""The levels as parameters of SGR (ECMA-48 8.3.117): dim, green, yellow, red, bold red."""


def escaped(text: str) -> str:
    """The text on one line: control characters, line separators and bidirectional marks become escapes."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def describeError(error: BaseException) -> str:
    """One line about an exception of a user's module: its class, its message, and where it was raised."""
    kind, text = type(error).__name__, " ".join(str(error).split())
    trace = error.__traceback__
    if trace is None or isinstance(error, SyntaxError):
        return f"{kind}: {text}"
    while trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}"
    return f"{kind}: {text} ({where})" if text else f"{kind} ({where})"


def _time(event: LogEvent) -> str:
    seconds = event.get("log_time", 0.0)
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03}+00:00"


@lru_cache(4)
def _second(seconds: int) -> str:
    """The date and time to the second, cached because many lines have the same."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure", event.get("failure"))
    return str(failure.getTraceback()) if isinstance(failure, Failure) else ""


def _message(event: LogEvent) -> str:
    if "failure" in event and "log_failure" not in event and isinstance(event["failure"], Failure):
        # Twisted's legacy log has the traceback in its text.
        return escaped(str(event.get("why") or event["failure"].getErrorMessage()))
    template = event.get("log_format")
    text = ""
    if isinstance(template, str) and "(" not in template and "log_flattened" not in event:
        # Faster than Twisted's formatEvent, which is used for templates with calls, and after any error.
        try:
            text = template.format_map(event)
        except Exception:
            text = ""
    if not text:
        text = formatEvent(event) or eventAsText(
            event, includeTraceback=False, includeTimestamp=False, includeSystem=False
        )
    return text if text.isprintable() else escaped(text)


def textLine(event: LogEvent) -> str:
    """A line for people. A traceback follows on lines of its own."""
    return f"{_time(event)} {_timeless(event)}"


def _timeless(event: LogEvent) -> str:
    level = event.get("log_level", LogLevel.info).name
    name = f"[{event['id']}] " if "id" in event else ""
    line = f"{level:5} {name}{_message(event)}\n"
    if "log_failure" in event or "failure" in event:
        line += "".join(f"    {escaped(part)}\n" for part in _traceback(event).splitlines())
    return line


def colouredLine(event: LogEvent) -> str:
    """The line of `textLine` for a terminal: the level in its colour, the time dim, and the page to open bold."""
    level, rest = (line := _timeless(event))[:5], line[5:]
    if event.get("event") == "daemon.open":
        rest = f"\x1b[1m{rest.removesuffix(chr(10))}\x1b[0m\n"
    colour = _COLOURS.get(event.get("log_level", LogLevel.info), "0")
    return f"\x1b[2m{_time(event)}\x1b[0m \x1b[{colour}m{level}\x1b[0m{rest}"


def hasColours(stream: IO[str], environ: Mapping[str, str]) -> bool:
    """Whether a stream is a terminal that shows colours, and the user has not turned them off (no-color.org)."""
    # Twisted's LogFile is a stream without `isatty`.
    isTerminal = getattr(stream, "isatty", bool)()
    return isTerminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def jsonLine(event: LogEvent) -> str:
    """
    A JSON object on one line: `time`, `level`, `message`, `traceback` of an error, and the event's fields.

    Only events of the daemon itself have fields, since those of a library may contain private data.
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
    """Lines that begin with their priority (sd-daemon(3)), and without the time, which the journal records itself."""
    inner = _timeless if line is textLine else line

    def prioritized(event: LogEvent) -> str:
        priority = _PRIORITIES.get(event.get("log_level", LogLevel.info), 6)
        return "".join(f"<{priority}>{part}\n" for part in inner(event).splitlines())

    return prioritized


def isJournal(stream: IO[str], environ: Mapping[str, str]) -> bool:
    """Whether a stream goes to systemd's journal, by $JOURNAL_STREAM (systemd.exec(5))."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
