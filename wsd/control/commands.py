"""The commands of the control socket: each checks the fields of its request, and tells the result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from wsd.connection import Connection
from wsd.control.fields import Fields
from wsd.control.interface import CommandError, Steered
from wsd.control.rows import detailsOf, rowOf
from wsd.control.selection import FILTERS, SORTS, Selection, matchOf
from wsd.frames.codes import checkCode
from wsd.metrics import Cause

_SENTENCE = "the operator closed this connection"

LEVELS = ("debug", "info", "warn", "error")

Result = Mapping[str, Any]
"""The fields of the last line of an answer, beside `ok`."""


class ControlAnswer(Protocol):
    """The answer to one request."""

    async def item(self, item: Mapping[str, Any]) -> None:
        """Add a line for one of several. Waits while the client has no room for more."""

    async def flush(self) -> None:
        """Send the lines now."""


Command = Callable[[Steered, Fields, ControlAnswer], Awaitable[Result]]


async def status(daemon: Steered, fields: Fields, answer: ControlAnswer) -> Result:
    """The daemon, its listeners and its routes."""
    fields.refuseUnknown(())
    return daemon.status()


async def connections(daemon: Steered, fields: Fields, answer: ControlAnswer) -> Result:
    """A line for each of the connections that the filters let through."""
    fields.refuseUnknown([*FILTERS, "sort", "reverse", "limit"])
    now = daemon.clock.seconds()
    known = daemon.connections
    chosen = Selection(
        daemon.clock,
        known,
        matchOf(fields, now),
        fields.choice("sort", SORTS),
        fields.flag("reverse"),
        fields.whole("limit"),
    )
    count = 0
    async for connection in chosen:
        await answer.item(rowOf(connection, now))
        count += 1
    return {"count": count, "total": len(known)}


async def show(daemon: Steered, fields: Fields, answer: ControlAnswer) -> Result:
    """Everything about one connection."""
    fields.refuseUnknown(["id"])
    wanted = fields.text("id")
    if wanted is None:
        raise CommandError("show needs the id of a connection, as connections and the log have it")
    return {"connection": detailsOf(await _find(daemon, wanted), daemon.clock.seconds())}


async def close(daemon: Steered, fields: Fields, answer: ControlAnswer) -> Result:
    """Close the connections that the filters let through."""
    fields.refuseUnknown([*FILTERS, "all", "code", "reason"])
    code = fields.whole("code", 1001) or 0
    reason = fields.text("reason", _SENTENCE) or ""
    try:
        checkCode(code)
    except ValueError as error:
        raise CommandError(f"code: {error}") from None
    if len(reason.encode()) > 123:
        raise CommandError("reason: a close frame has room for only 123 bytes of UTF-8 (RFC 6455 5.5); shorten it")
    if not fields.flag("all") and not any(name in fields for name in FILTERS):
        raise CommandError("close needs to know which connections: name ids, a filter such as route, or all")
    for wanted in fields.texts("ids"):
        await _find(daemon, wanted)
    chosen = Selection(daemon.clock, daemon.connections, matchOf(fields, daemon.clock.seconds()))
    return {"closed": await _closeEach(chosen, code, reason)}


async def _closeEach(chosen: Selection, code: int, reason: str) -> int:
    count = 0
    async for connection in chosen:
        if connection.state in (connection.STATE_CONNECTING, connection.STATE_OPEN):
            connection.close(code, reason, Cause.operator)
            count += 1
    return count


async def _find(daemon: Steered, wanted: str) -> Connection:
    async for connection in Selection(daemon.clock, daemon.connections, lambda each: each.id == wanted, limit=1):
        return connection
    raise CommandError(f'there is no open connection with the id "{wanted}"; "wsd ctl connections" lists them')


async def drain(daemon: Steered, fields: Fields, answer: ControlAnswer) -> Result:
    """Accept nothing new, and close all connections, the idle ones first."""
    fields.refuseUnknown(["timeout"])

    async def tell(left: int) -> None:
        await answer.item({"left": left})
        await answer.flush()

    before = daemon.clock.seconds()
    closed = await daemon.drain(fields.number("timeout"), tell)
    return {"closed": closed, "seconds": round(daemon.clock.seconds() - before, 3)}


async def resume(daemon: Steered, fields: Fields, answer: ControlAnswer) -> Result:
    """Accept connections again after a drain."""
    fields.refuseUnknown(())
    daemon.resume()
    return {}


async def reload(daemon: Steered, fields: Fields, answer: ControlAnswer) -> Result:
    """Read the configuration and the certificates again."""
    fields.refuseUnknown(())
    outcome = await daemon.reload()
    if outcome.refused is not None:
        raise CommandError(f"not reloaded, the old configuration stays in use: {outcome.refused}")
    told = asdict(outcome)
    del told["refused"]
    return told


async def upgrade(daemon: Steered, fields: Fields, answer: ControlAnswer) -> Result:
    """Hand everything over to the version on the disk."""
    fields.refuseUnknown(())
    return {"outcome": await daemon.upgrade()}


async def logLevel(daemon: Steered, fields: Fields, answer: ControlAnswer) -> Result:
    """Tell the level of the log, or change it until the daemon ends."""
    fields.refuseUnknown(["level"])
    level = fields.choice("level", LEVELS)
    before = daemon.logLevel
    if level is not None:
        daemon.logLevel = level
    return {"level": daemon.logLevel, "before": before}


COMMANDS: Mapping[str, Command] = {
    "status": status,
    "connections": connections,
    "show": show,
    "close": close,
    "drain": drain,
    "resume": resume,
    "reload": reload,
    "upgrade": upgrade,
    "log-level": logLevel,
}
"""The functions by the name of their command. A new command is a function and a line here."""

STEERING = frozenset({"close", "drain", "resume", "reload", "upgrade", "log-level"})
"""The commands that change something. They are logged."""
