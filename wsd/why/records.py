"""Reads the lines of the log, in each of its formats, into records with the same fields."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_TEXT = re.compile(
    r"(?:(?P<time>\d{4}-\d\d-\d\dT\S+) )?(?P<level>[a-z]+) +(?:w\d+ )?\[(?P<id>[0-9a-f]{10})\] (?P<message>.*)"
)
"""A line of text. In the journal it has no time, and that of one of several workers has its number."""

_TRAFFIC = (
    r"messages received (?P<messages_received>\d+) \((?P<bytes_received>\d+) bytes\), "
    r"sent (?P<messages_sent>\d+) \((?P<bytes_sent>\d+) bytes\)"
)
_TRACE = r"(?:; trace_id (?P<trace_id>[0-9a-f]{32}))?"
_NAMED = rf"(?:; (?!trace_id |sent code |told: |reason: )[^;]*)*{_TRACE}"
"""Fields at the end of a line, each with its name."""

_SENTENCES: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "connection.opened": r"opened (?P<path>\S+) for (?P<peer>\S+)",
        "connection.closed": r"closed: (?P<cause>\w+), (?P<code>\d+), by the (?P<by>\w+); (?P<path>\S+) for "
        rf"(?P<peer>\S+); (?P<duration>[\d.]+) s; {_TRAFFIC}{_NAMED}(?:; sent code (?P<sent>\d+))?"
        r"(?:; told: (?P<told>.*?)(?=; reason: |$))?(?:; reason: (?P<sentence>.*))?",
        "connection.failed": r"fails with (?P<code>\d+): (?P<reason>.*)",
        "connection.left": r"the client disconnected before the answer",
        "connection.raw": r"the bare connection of (?P<path>\S+) for (?P<peer>\S+) ended; (?P<duration>[\d.]+) s",
        "request.answered": r"answered (?P<method>\S+) (?P<path>\S+) for (?P<peer>\S+) with (?P<status>\d+); "
        rf"(?P<duration>[\d.]+) s, received (?P<bytes_received>\d+) bytes, sent (?P<bytes_sent>\d+) bytes{_NAMED}",
        "request.left": r"the client left before the answer to (?P<method>\S+) (?P<path>\S+) for (?P<peer>\S+) was "
        rf"complete; (?P<duration>[\d.]+) s, received \d+ bytes, sent \d+ bytes{_NAMED}",
        "request.refused": r"refused (?P<line>.*?) from (?P<peer>\S+) with (?P<status>\d+): "
        rf"(?P<sentence>.*?){_TRACE}(?:; and [\d,]+ like it)?$",
        "tls.refused": r"TLS handshake with (?P<peer>\S+) failed: (?P<reason>.*)",
        "listener.short": r"(?P<count>\d+) connections could not be accepted: (?P<reason>.*)",
    }.items()
}
"""The sentences of events, for lines of text, which have no fields."""

_NUMBERS = ("code", "sent", "status", "messages_received", "bytes_received", "messages_sent", "bytes_sent", "count")
_LEVELS = {7: "debug", 6: "info", 4: "warn", 3: "error", 2: "critical"}


@dataclass(frozen=True)
class Record:
    """One line of the log about a connection or a request."""

    at: datetime
    level: str
    message: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def event(self) -> str:
        """The name of the event, "" if it is unknown."""
        return str(self.fields.get("event", ""))


def recordOf(line: str, name: str, at: datetime | None = None) -> Record | None:
    """
    Returns the record of a line of text or JSON, None if the line is not about the connection or request `name`.

    `at` is the time of a line without its own.
    """
    if line.startswith("{"):
        return _fromJson(line, name, at)
    match = _TEXT.fullmatch(line.rstrip("\n"))
    if match is None or match["id"] != name:
        return None
    time = _timeOf(match["time"]) if match["time"] else at
    return None if time is None else Record(time, match["level"], match["message"], _fieldsOf(match["message"]))


def _fromJson(line: str, name: str, at: datetime | None) -> Record | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("id") != name:
        return None
    time = _timeOf(str(found.get("time", ""))) or at
    return None if time is None else Record(time, str(found.get("level")), str(found.get("message")), found)


def fromJournal(entry: Mapping[str, Any], name: str) -> Record | None:
    """Returns the record of an entry of the journal, None if it is not about the connection or request `name`."""
    at = datetime.fromtimestamp(int(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6, UTC)
    message = entry.get("MESSAGE") or ""
    if isinstance(message, list):
        # journalctl's form for text that it does not take for printable.
        message = bytes(message).decode(errors="replace")
    if entry.get("WSD_ID") != name:
        return recordOf(message, name, at)
    fields = {key.removeprefix("WSD_").lower(): value for key, value in entry.items() if key.startswith("WSD_")}
    level = _LEVELS.get(int(entry.get("PRIORITY", 6)), "info")
    # A traceback follows on further lines.
    sentence = message.partition("\n")[0].removeprefix(f"[{name}] ")
    return Record(at, level, sentence, _numbered(fields))


def _fieldsOf(message: str) -> dict[str, Any]:
    """The fields that a line of text tells in its sentence."""
    for event, pattern in _SENTENCES.items():
        match = pattern.match(message)
        if match is not None:
            return {"event": event, **_numbered({key: value for key, value in match.groupdict().items() if value})}
    return {}


def _numbered(fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields, with numbers where a line of JSON has them."""
    numbers: dict[str, Any] = {key: int(fields[key]) for key in _NUMBERS if fields.get(key, "").isdecimal()}
    if "duration" in fields:
        numbers["duration"] = float(fields["duration"])
    return {**fields, **numbers}


def _timeOf(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
