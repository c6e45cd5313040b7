"""`wsd listen`: the daemon as an echo server, or as one that prints what it receives, for a quick test."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Mapping
from typing import Any, TextIO

from twisted.logger import ILogObserver, globalLogPublisher
from zope.interface import implementer

from wsd.commands import Commands
from wsd.config.values import show
from wsd.tap.foreground import runForeground
from wsd.tap.options import Options
from wsd.tap.printing import say

_ROUTE = {"origins": ["*"], "max_message": "32 MiB", "max_frame": "32 MiB"}


def addCommands(commands: Commands) -> None:
    """Add `wsd listen`."""
    parser = commands.add(
        "listen",
        "Run an echo server for a quick test, and print its URL.",
        run,
        "It accepts connections at every path, from programs and pages on this machine. With --log, it prints each "
        "message instead of answering. Press ^C to stop it.",
    )
    parser.add_argument("-p", "--port", type=_port, default=0, metavar="PORT", help="the port (default: a free one)")
    parser.add_argument("--log", action="store_true", help="print connections and messages instead of answering")


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > 65535:
        raise ArgumentTypeError(f"{show(text)} is not a port; write a number from 0 to 65535")
    return int(text)


class ListenOptions(Options):
    """The options of the daemon for this command: one route, which is not built in."""

    def __init__(self, arguments: Namespace) -> None:
        super().__init__()
        self._arguments = arguments

    @property
    def environ(self) -> Mapping[str, str]:
        """None: this command is a tool, and not the daemon that variables configure."""
        return {}

    @property
    def terminal(self) -> TextIO:
        """Standard output has the URL and the messages, so the log goes to standard error."""
        return sys.stderr

    def overrides(self) -> dict[str, Any]:
        """The values of the configuration, by dotted key."""
        protocol = "wsd.tap.printing:PrintFactory" if self._arguments.log else "echo"
        return {
            "port": self._arguments.port,
            "built_in": False,
            "policies.max_connections": 1000,
            "log.level": "warn",
            "control.enabled": False,
            "route": {"/*": {**_ROUTE, "protocol": protocol}},
        }

    def optionOf(self, key: str) -> str | None:
        """The option that has set a key; None if there is none."""
        return "--port" if key == "port" else None


def run(arguments: Namespace) -> None:
    """Serve until a signal ends it. Raises SystemExit with one line for an error."""
    options = ListenOptions(arguments)
    options.parseOptions([])
    globalLogPublisher.addObserver(_UrlPrinter())
    runForeground(options)


@implementer(ILogObserver)
class _UrlPrinter:
    """A log observer that prints the URL of the first listener; all of them have the same port."""

    def __init__(self) -> None:
        self._isDone = False

    def __call__(self, event: Any) -> None:
        """An event of the log."""
        if event.get("event") == "listener.listening" and not self._isDone:
            self._isDone = True
            port = re.findall(r":([0-9]+)/", event["url"])
            say(f"ws://localhost:{port[-1]}/")
