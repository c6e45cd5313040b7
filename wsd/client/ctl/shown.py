"""Makes text of what the daemon answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from wsd.config.values import printable

Row = Mapping[str, Any]


class Column(NamedTuple):
    """A column of the list of connections."""

    title: str
    text: Callable[[Row], str]
    isNumber: bool = False


def size(count: float) -> str:
    """Bytes for people: "512", "1.5K", "12M"."""
    for unit in ("", "K", "M", "G"):
        if count < 1000:
            return f"{count:.0f}{unit}" if not unit or count >= 10 else f"{count:.1f}{unit}"
        count /= 1024
    return f"{count:.1f}T"


def duration(seconds: float) -> str:
    """A time for people, with its two largest units: "4s", "2m05s", "3h20m", "5d07h"."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def milliseconds(seconds: float | None) -> str:
    """A round trip: "12.3ms"."""
    return "-" if seconds is None else f"{seconds * 1000:.1f}ms"


def peer(row: Row) -> str:
    """The client's address and port."""
    host = f"[{row['address']}]" if ":" in row["address"] else row["address"]
    return f"{host}:{row['port']}" if row["port"] else str(host)


COLUMNS = (
    Column("ID", lambda row: row["id"]),
    Column("ROUTE", lambda row: row["route"]),
    Column("CLIENT", peer),
    Column("USER", lambda row: printable(row["user"] or "-")),
    Column("STATE", lambda row: "full" if row["full"] and row["state"] == "open" else row["state"]),
    Column("AGE", lambda row: duration(row["age"]), True),
    Column("IN", lambda row: size(row["bytes_received"]), True),
    Column("OUT", lambda row: size(row["bytes_sent"]), True),
    Column("MSGS IN", lambda row: str(row["messages_received"]), True),
    Column("MSGS OUT", lambda row: str(row["messages_sent"]), True),
    Column("UNSENT", lambda row: size(row["unsent"]), True),
    Column("RTT", lambda row: milliseconds(row["round_trip"]), True),
)


def table(rows: Iterable[Row], columns: Sequence[Column] = COLUMNS) -> Iterator[str]:
    """The lines of a table."""
    cells = [[column.title for column in columns], *([column.text(row) for column in columns] for row in rows)]
    widths = [max(map(len, texts)) for texts in zip(*cells, strict=True)]
    form = "  ".join(
        f"{{:>{width}}}" if column.isNumber else f"{{:<{width}}}" for column, width in zip(columns, widths, strict=True)
    )
    for texts in cells:
        yield form.format(*texts).rstrip()


ROUTE_COLUMNS = (
    Column("ROUTE", lambda row: row["path"]),
    Column("PROTOCOLS", lambda row: ", ".join(row["protocols"])),
    Column("CONNECTIONS", lambda row: str(row["connections"]), True),
    Column("OPENED", lambda row: str(row["opened"]), True),
    Column("MESSAGES", lambda row: str(row["messages"]), True),
    Column("BYTES", lambda row: size(row["size"]), True),
)


def status(told: Row) -> Iterator[str]:
    """The lines of `wsd ctl status`."""
    yield f"wsd {told['version']} is {told['state']}, process {told['pid']}, up {duration(told['uptime'])}"
    for reason in told["reasons"]:
        yield f"not ready: {reason}"
    for url in told["listeners"]:
        yield f"listening {url}"
    yield (
        f"{told['connections']} of at most {told['max_connections']} connections, {told['websockets']} WebSockets, "
        f"{size(told['memory'])} of {size(told['memory_max'])} bytes of memory"
    )
    level = told["log_level"] or "fixed"
    yield f"plane {told['plane']}, {told['reactor']}, lag {milliseconds(told['lag'])}, log level {level}"
    yield ""
    yield from table(told["routes"], ROUTE_COLUMNS)


def details(told: Row, name: str = "") -> Iterator[str]:
    """The lines of `wsd ctl show`: a line for each field, those of tables by dotted names."""
    for key, value in told.items():
        full = f"{name}{key}"
        if isinstance(value, Mapping) and value:
            yield from details(value, f"{full}.")
        else:
            yield f"{full:28} {_plain(value)}"


def _plain(value: object) -> str:
    if value is None or value in ({}, []):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_plain(each) for each in value)
    return printable(str(value))
