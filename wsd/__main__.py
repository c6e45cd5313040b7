"""`wsd COMMAND`, `python -m wsd COMMAND`: the small tools beside the daemon, each living with what it serves."""

from __future__ import annotations

import sys
from argparse import REMAINDER, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence

from wsd import __version__, client, tap
from wsd.config import ConfigError, defaultText


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command. Raises SystemExit: 0, or one line on stderr and 1, or 2 when the command line is no command."""
    told = "\n".join(f"  {name:<8} {description}" for name, (description, _, _) in _COMMANDS.items())
    parser = ArgumentParser(
        prog="wsd",
        description="Tools beside the WebSocket daemon. The daemon itself: twistd -n wsd --help",
        epilog=f"commands:\n{told}\n\nwsd COMMAND --help tells more of one.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"wsd {__version__}")
    parser.add_argument("command", metavar="COMMAND", choices=_COMMANDS, help="one of those below")
    parser.add_argument("arguments", metavar="...", nargs=REMAINDER, help="what the command takes")
    given = parser.parse_args(list(sys.argv[1:] if argv is None else argv) or ["--help"])
    description, addArguments, run = _COMMANDS[given.command]
    command = ArgumentParser(prog=f"wsd {given.command}", description=description)
    addArguments(command)
    run(command.parse_intermixed_args(given.arguments))


def _takesFile(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")


def _takesNothing(parser: ArgumentParser) -> None:
    """The command has no arguments."""


def _check(arguments: Namespace) -> None:
    try:
        tap.checkCertificates(tap.readFile(arguments.file))
    except ConfigError as error:
        raise SystemExit(f"wsd: {error}") from None
    print("ok")


def _config(arguments: Namespace) -> None:
    sys.stdout.write(defaultText())


_COMMANDS = {
    "check": ("Say ok of a configuration file, or what is wrong in one line.", _takesFile, _check),
    "config": ("Print a configuration file with every key and its default.", _takesNothing, _config),
    "echo": ("Say something to a server, show the handshake, time the answer.", client.addArguments, client.run),
}
"""A command's name to what it does in a sentence, what it takes, and what runs it."""

if __name__ == "__main__":
    main()
