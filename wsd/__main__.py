"""`wsd COMMAND`, `python -m wsd COMMAND`: the daemon in the foreground, and the tools beside it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

from wsd import __version__, completion
from wsd.commands import CommandParser, Commands
from wsd.config import ConfigError

_MODULES: Mapping[str, tuple[str, ...]] = {
    "serve": ("wsd.tap.serve",),
    "check": ("wsd.tap.check",),
    "config": ("wsd.tap.configuring",),
    "connect": ("wsd.client.connect.command",),
    "listen": ("wsd.tap.listen",),
    "echo": ("wsd.client.echo",),
    "ctl": ("wsd.client.ctl.command",),
    "why": ("wsd.why",),
    "backup": ("wsd.backup.command",),
    "blob": ("wsd.client.blob", "wsd.protocols.blob.tool"),
    "topics": ("wsd.client.topics.tool",),
    "xmpp": ("wsd.protocols.xmpp.tool",),
    "standalone": ("wsd.standalone",),
}
"""The modules that add each command or group, in the order of the help. A module is imported when it is needed."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command. Raises SystemExit: 0, or 1 with one line on stderr, or 2 if the command line is wrong."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = commandsOf(*given[:1]).parse(given)
    try:
        arguments.run(arguments)
    except ConfigError as error:
        raise SystemExit(f"wsd: {error}") from None


def commandsOf(name: str = "") -> Commands:
    """The tree of all commands; only the branch of the command or group with this name, if there is one."""
    parser = CommandParser(prog="wsd", description="A WebSocket daemon, and tools for WebSockets.")
    parser.add_argument("--version", action="version", version=f"wsd {__version__}", help="print the version and exit")
    commands = Commands(parser)
    every = dict.fromkeys(module for modules in _MODULES.values() for module in modules)
    for module in () if name in ("completion", "--version") else _MODULES.get(name, every):
        import_module(module).addCommands(commands)
    completion.addCommands(commands, commandsOf)
    return commands


if __name__ == "__main__":
    main()
