"""`wsd COMMAND`, `python -m wsd COMMAND`: the tools beside the daemon. Each is in the room that it belongs to."""

from __future__ import annotations

import sys
from argparse import REMAINDER, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence

from wsd import __version__, standalone, tap
from wsd.client import echo
from wsd.config import Config, ConfigError, defaultText
from wsd.protocols import tools

Command = tuple[str, Callable[[ArgumentParser], None], Callable[[Namespace], None]]
"""A sentence about a command, a function that adds its arguments, and one that runs it."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command. Raises SystemExit: 0, or 1 with one line on stderr, or 2 if the command line is wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    sentences = {name: command[0] for name, command in _COMMANDS.items()}
    sentences |= {name: group[0] for name, group in _GROUPS.items()}
    about = "Tools beside the WebSocket daemon. The daemon itself: twistd -n wsd --help"
    name, rest = _choose("wsd", about, sentences, arguments)
    if name in _COMMANDS:
        _run(f"wsd {name}", _COMMANDS[name], rest)
        return
    about, commands = _GROUPS[name][0], _GROUPS[name][1]()
    action, rest = _choose(f"wsd {name}", about, {each: commands[each][0] for each in commands}, rest)
    _run(f"wsd {name} {action}", commands[action], rest)


def _choose(prog: str, about: str, sentences: Mapping[str, str], argv: Sequence[str]) -> tuple[str, list[str]]:
    """Returns the command and its arguments."""
    lines = "\n".join(f"  {name:<8} {description}" for name, description in sorted(sentences.items()))
    parser = ArgumentParser(
        prog=prog,
        description=about,
        epilog=f"commands:\n{lines}\n\n{prog} COMMAND --help tells more of one.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    if prog == "wsd":
        parser.add_argument("--version", action="version", version=f"wsd {__version__}")
    parser.add_argument("command", metavar="COMMAND", choices=sorted(sentences), help="one of those below")
    parser.add_argument("arguments", metavar="...", nargs=REMAINDER, help="what the command takes")
    given = parser.parse_args(list(argv) or ["--help"])
    return given.command, given.arguments


def _run(prog: str, command: Command, argv: Sequence[str]) -> None:
    description, addArguments, run = command
    parser = ArgumentParser(prog=prog, description=description)
    addArguments(parser)
    run(parser.parse_intermixed_args(argv))


def _addFile(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")


def _addNothing(parser: ArgumentParser) -> None:
    """Add no arguments."""


def _check(arguments: Namespace) -> None:
    try:
        tap.checkFiles(tap.readFile(arguments.file))
    except ConfigError as error:
        raise SystemExit(f"wsd: {error}") from None
    print("ok")


def _config(arguments: Namespace) -> None:
    sys.stdout.write(defaultText())


def _blobs() -> Mapping[str, Command]:
    from wsd.client import blob

    return {**blob.COMMANDS, **tools("blob")}


def _topics() -> Mapping[str, Command]:
    from wsd.client.topics import tool

    return tool.COMMANDS


def _users() -> Mapping[str, Command]:
    """The commands of xmpp. They read the daemon's configuration, which may raise ConfigError."""

    def configured(run: Callable[[Namespace, Config], None]) -> Callable[[Namespace], None]:
        def runs(arguments: Namespace) -> None:
            try:
                run(arguments, tap.readFile(arguments.config))
            except ConfigError as error:
                raise SystemExit(f"wsd: {error}") from None

        return runs

    return {name: (about, add, configured(run)) for name, (about, add, run) in tools("xmpp").items()}


_COMMANDS: Mapping[str, Command] = {
    "check": ("Say ok of a configuration file, or what is wrong in one line.", _addFile, _check),
    "config": ("Print a configuration file with every key and its default.", _addNothing, _config),
    "standalone": (
        "Serve pywebsocket handlers with the flags of its standalone.py.",
        standalone.addArguments,
        standalone.run,
    ),
    "echo": ("Say something to a server, show the handshake, time the answer.", echo.addArguments, echo.run),
}
"""The commands by name."""

_GROUPS = {
    "blob": ("Upload and download files, and look after a store of them.", _blobs),
    "topics": ("Watch topics, publish to them, and see who is present.", _topics),
    "xmpp": ("Add, change, remove and list the users of XMPP.", _users),
}
"""Groups of commands: a sentence about each, and a function that returns its commands by name."""

if __name__ == "__main__":
    main()
