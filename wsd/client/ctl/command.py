"""The command line of `wsd ctl`."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from typing import Any

from wsd.client.ctl.link import ControlLink, openLink
from wsd.client.ctl.shown import details, status, table
from wsd.commands import CommandParser, Commands
from wsd.config.values import printable, sizeOf

SORTS = ("age", "bytes", "messages", "unsent", "round_trip", "address", "route", "user")
_SORT = "sort by age, bytes, messages, unsent or round_trip, largest first, or by address, route or user, from A to Z"
_LEVELS = ("debug", "info", "warn", "error")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FILTERS = ("route", "address", "user", "older", "younger", "bytes")

Run = Callable[[ControlLink, Namespace], None]


def addCommands(commands: Commands) -> None:
    """Add `wsd ctl`."""
    group = commands.group("ctl", "Show and steer a running daemon.")
    _addLooking(group)
    _addEnding(group)
    _add(
        group,
        "reload",
        _reload,
        "Read the configuration and the certificates again.",
        "The exit status is 1 if the new configuration is refused; the old one then stays in use.",
    )
    _add(
        group,
        "upgrade",
        _upgrade,
        "Hand the listening sockets and the connections over to the version on the disk.",
        "The exit status is 1 if it cannot take over; the daemon then continues to serve.",
    )
    parser = _add(
        group, "log-level", _logLevel, "Show the level of the log, or change it until the daemon ends.", json=False
    )
    parser.add_argument("level", metavar="LEVEL", nargs="?", choices=_LEVELS, help=", ".join(_LEVELS))


def _addLooking(group: Commands) -> None:
    _add(group, "status", _status, "Show the state of the daemon, its listeners and its routes.")
    parser = _add(
        group, "connections", _connections, "List the WebSockets.", "With --json, each is an object on a line."
    )
    _addFilters(parser)
    parser.add_argument("--sort", choices=SORTS, metavar="KEY", help=_SORT)
    parser.add_argument("--reverse", action="store_true", help="reverse the order")
    parser.add_argument("--limit", type=_count, metavar="N", help="list only the first N")
    parser = _add(group, "show", _show, "Show everything about one connection, except what may be secret.")
    parser.add_argument("id", metavar="ID", help="the id of the connection, from the list or the log")
    parser = _add(
        group,
        "top",
        _top,
        "Show the daemon and its busiest connections, live.",
        "Keys: b, m, u, r and a sort by bytes, messages, unsent bytes, round trip and age; q ends it. Without a "
        "terminal, it prints the view once.",
        json=False,
    )
    _addFilters(parser)
    parser.add_argument("--sort", choices=SORTS, default="bytes", metavar="KEY", help=f"{_SORT} (default: bytes)")
    parser.add_argument(
        "--interval", type=_seconds, default=1.0, metavar="TIME", help="time between updates (default: 1s)"
    )


def _addEnding(group: Commands) -> None:
    parser = _add(
        group,
        "close",
        _close,
        "Close connections, with a close code and a reason.",
        "Connections are chosen by id, by filters, or with --all; all filters must match.",
    )
    parser.add_argument("ids", metavar="ID", nargs="*", help="the ids of connections")
    _addFilters(parser)
    parser.add_argument("--all", action="store_true", help="close every connection")
    parser.add_argument("--code", type=_count, metavar="CODE", help="the close code (default: 1001, going away)")
    parser.add_argument("--reason", metavar="TEXT", help="the reason, at most 123 bytes")
    parser = _add(
        group,
        "drain",
        _drain,
        "Refuse new connections, and close all others, the idle ones first.",
        "The daemon keeps running until it is stopped, and /readyz answers 503. wsd ctl resume undoes this.",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="TIME",
        help="how long pending answers may take (default: drain of the configuration)",
    )
    _add(group, "resume", _resume, "Accept connections again after a drain.", json=False)


def _add(group: Commands, name: str, run: Run, about: str, more: str = "", json: bool = True) -> CommandParser:
    """Add a command that talks to a daemon."""

    def runWithLink(arguments: Namespace) -> None:
        link = openLink(arguments.socket, os.environ)
        try:
            run(link, arguments)
        except BrokenPipeError:
            # Nobody reads on, as with `| head`. Python would write what it has buffered once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        finally:
            link.close()

    parser = group.add(name, about, runWithLink, more)
    parser.add_argument("--socket", metavar="FILE", help="the daemon's control socket")
    if json:
        parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _addFilters(parser: CommandParser) -> None:
    parser.add_argument("--route", metavar="PATH", help="only those of this route, such as /echo or /topics/*")
    parser.add_argument("--address", metavar="ADDRESS", help="only those from this address or network (192.0.2.0/24)")
    parser.add_argument("--user", metavar="NAME", help="only those of this user")
    parser.add_argument(
        "--older", type=_seconds, metavar="TIME", help="only those open for at least this time: 90, 10m, 2h, 1d"
    )
    parser.add_argument("--younger", type=_seconds, metavar="TIME", help="only those open for at most this time")
    parser.add_argument(
        "--bytes", type=_size, metavar="SIZE", help="only those with at least this many bytes of messages, such as 1MiB"
    )


def filtersOf(arguments: Namespace) -> dict[str, Any]:
    """The filters of a command line, as fields of a request."""
    return {name: getattr(arguments, name) for name in _FILTERS}


# -- arguments --------------------------------------------------------------------------------------------------------


def _seconds(text: str) -> float:
    try:
        seconds = float(text) if text[-1:] not in _UNITS else float(text[:-1]) * _UNITS[text[-1]]
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ArgumentTypeError(f'"{printable(text)}" is not a time; write seconds, or 10m, 2h, 1d')
    return seconds


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise ArgumentTypeError(f'"{printable(text)}" is not a whole number')
    return int(text)


def _size(text: str) -> int:
    try:
        return sizeOf(int(text) if text.isascii() and text.isdecimal() else text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


# -- commands ---------------------------------------------------------------------------------------------------------


def _status(link: ControlLink, arguments: Namespace) -> None:
    told = link.ask("status")
    print(_json(told) if arguments.json else "\n".join(status(told)))


def _connections(link: ControlLink, arguments: Namespace) -> None:
    chosen = {**filtersOf(arguments), "sort": arguments.sort, "reverse": arguments.reverse, "limit": arguments.limit}
    if arguments.json:
        for line in link.lines("connections", **chosen):
            sys.stdout.buffer.write(line)
        sys.stdout.flush()
        return
    lines = list(table(link.items("connections", **chosen)))
    shown, total = link.last["count"], link.last["total"]
    print("\n".join([*lines, "", f"{shown} of {total} connections"]))


def _show(link: ControlLink, arguments: Namespace) -> None:
    told = link.ask("show", id=arguments.id)["connection"]
    print(json.dumps(told, indent=2, ensure_ascii=False) if arguments.json else "\n".join(details(told)))


def _close(link: ControlLink, arguments: Namespace) -> None:
    told = link.ask(
        "close",
        **filtersOf(arguments),
        ids=arguments.ids,
        all=arguments.all,
        code=arguments.code,
        reason=arguments.reason,
    )
    print(_json(told) if arguments.json else f"closed {_connectionsOf(told['closed'])}")


def _drain(link: ControlLink, arguments: Namespace) -> None:
    isTold = not arguments.json and sys.stderr.isatty()
    for item in link.items("drain", timeout=arguments.timeout):
        if isTold:
            print(f"\r{_connectionsOf(item['left'])} left \x1b[K", end="", file=sys.stderr, flush=True)
    if isTold:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    told = link.last
    print(
        _json(told)
        if arguments.json
        else f"drained: closed {_connectionsOf(told['closed'])} in {told['seconds']:.1f} s; new ones are refused"
    )


def _resume(link: ControlLink, arguments: Namespace) -> None:
    link.ask("resume")
    print("new connections are accepted again")


def _reload(link: ControlLink, arguments: Namespace) -> None:
    told = link.ask("reload")
    if arguments.json:
        print(_json(told))
        return
    changed = told["changed"]
    print(f"reloaded, changed: {', '.join(changed)}" if changed else "reloaded, nothing has changed")
    for warning in told["warnings"]:
        print(f"wsd: warning: {warning}", file=sys.stderr)


def _upgrade(link: ControlLink, arguments: Namespace) -> None:
    told = link.ask("upgrade")
    print(_json(told) if arguments.json else f"upgraded: {told['outcome']}")


def _logLevel(link: ControlLink, arguments: Namespace) -> None:
    print(link.ask("log-level", level=arguments.level)["level"])


def _top(link: ControlLink, arguments: Namespace) -> None:
    from wsd.client.ctl import top

    top.run(link, filtersOf(arguments), arguments.sort, arguments.interval)


def _json(told: Any) -> str:
    return json.dumps({name: value for name, value in told.items() if name != "ok"}, ensure_ascii=False)


def _connectionsOf(count: int) -> str:
    return f"{count} connection{'s' * (count != 1)}"
