"""Tells the records of a connection or a request in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from wsd.metrics import Cause
from wsd.why.records import Record
from wsd.why.words import CAUSES, LEFT, OTHERS, SHORT, STATUSES, TLS

_SOUND = 400
"""The first status of an error."""


def tell(records: Sequence[Record]) -> list[str]:
    """Returns what happened, a paragraph for each record, and what to do as the last one."""
    paragraphs = [f"{record.at:%Y-%m-%d %H:%M:%S} UTC: {_sentence(record)}" for record in records]
    return [*paragraphs, *_traffic(records), *_trace(records), "", f"What to do: {_remedy(records)}"]


def _sentence(record: Record) -> str:
    fields = record.fields
    match record.event:
        case "connection.opened":
            return f"{_client(record)} opened a WebSocket at {fields['path']}."
        case "connection.closed":
            return _closed(record)
        case "connection.failed":
            return f"The server found a fault in the received data: {fields['reason']}."
        case "connection.left":
            return "The client disconnected before its opening handshake was answered."
        case "connection.raw":
            return f"The connection of {_client(record)} at {fields['path']} ended{_after(record)}."
        case "request.answered":
            return (
                f"The server answered {fields['method']} {fields['path']} of {_client(record)} with {fields['status']}"
                f"{_after(record)}."
            )
        case "request.left":
            return (
                f"{_client(record)} left before the answer to {fields['method']} {fields['path']} was "
                f"complete{_after(record)}."
            )
        case "request.refused":
            return (
                f"The server refused {fields['line']} of {_client(record)} with {fields['status']}: "
                f"{fields['sentence']}."
            )
        case "tls.refused":
            return f"The TLS handshake with {_client(record)} failed: {fields['reason']}."
        case "listener.short":
            return f"The server could not accept connections: {fields['reason']}."
        case _:
            return f"The log has a line of the level {record.level}: {record.message}"


def _closed(record: Record) -> str:
    fields = record.fields
    cause = _causeOf(record)
    if cause is None:
        return record.message
    isClient = cause is Cause.peer_closed
    sentence = fields.get("sentence" if isClient else "told")
    reason = f' and the reason "{sentence}"' if sentence else ""
    code = fields["code"] if isClient else fields.get("sent", fields["code"])
    return CAUSES[cause].happened.format(code=code, after=_after(record), reason=reason)


def _causeOf(record: Record) -> Cause | None:
    """The cause of a closed connection; None for one of a newer version."""
    try:
        return Cause(str(record.fields.get("cause")))
    except ValueError:
        return None


def _client(record: Record) -> str:
    """The client, with the proxy in between and its user."""
    fields = record.fields
    via = f" (via {fields['via']})" if fields.get("via") else ""
    user = f", user {fields['user']}," if fields.get("user") else ""
    return f"{fields.get('peer', 'the client')}{via}{user}"


def _after(record: Record) -> str:
    duration = record.fields.get("duration")
    return "" if duration is None else f" after {duration:,.1f} seconds"


def _traffic(records: Sequence[Record]) -> list[str]:
    """What went each way, if a WebSocket has ended."""
    fields = next((record.fields for record in records if "messages_received" in record.fields), None)
    if fields is None:
        return []
    return [
        f"The server received {_count(fields['messages_received'])} ({fields['bytes_received']:,} bytes) and sent "
        f"{_count(fields['messages_sent'])} ({fields['bytes_sent']:,} bytes)."
    ]


def _trace(records: Sequence[Record]) -> list[str]:
    """The trace that it belongs to, if there is one."""
    trace = next((record.fields["trace_id"] for record in records if record.fields.get("trace_id")), None)
    return [] if trace is None else [f"Its trace is {trace}."]


def _count(messages: int) -> str:
    return "1 message" if messages == 1 else f"{messages:,} messages"


def _remedy(records: Sequence[Record]) -> str:
    """What to do, by the last record that tells of an end."""
    for record in reversed(records):
        match record.event:
            case "connection.closed" if (cause := _causeOf(record)) is not None:
                return CAUSES[cause].remedy
            case "request.refused":
                return STATUSES.get(record.fields["status"], OTHERS)
            case "request.answered":
                status = record.fields["status"]
                return STATUSES.get(status, OTHERS) if status >= _SOUND else "Nothing: the request was answered."
            case "connection.left" | "connection.raw" | "request.left":
                return LEFT
            case "tls.refused":
                return TLS
            case "listener.short":
                return SHORT
    if any(record.event == "connection.opened" for record in records):
        return "Nothing yet: the log has no line about the end of the connection, so it may still be open."
    return "Read the lines above: the log says nothing about an end."
