"""`wsd COMMAND`, `python -m wsd COMMAND`: the small tools beside the daemon, each living with what it serves."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from wsd import __version__, client, tap
from wsd.config import ConfigError, defaultText


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command. Raises SystemExit with 0, 2 for a command that cannot be, or one line for stderr and 1."""
    parser = ArgumentParser(
        prog="wsd", description="Tools beside the WebSocket daemon, which is started by twistd: twistd -n wsd --help"
    )
    parser.add_argument("--version", action="version", version=f"wsd {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    check = commands.add_parser("check", help='say "ok" of a configuration file, or what is wrong in one line')
    check.add_argument("file", metavar="FILE")
    check.set_defaults(run=_check)
    config = commands.add_parser("config", help="print a configuration file with every key and its default")
    config.set_defaults(run=_config)
    echo = commands.add_parser("echo", help="say something to a server, show the handshake, time the answer")
    client.addArguments(echo)
    echo.set_defaults(run=client.run)
    arguments = parser.parse_args(argv)
    arguments.run(arguments)


def _check(arguments: Namespace) -> None:
    try:
        tap.checkCertificates(tap.readFile(arguments.file))
    except ConfigError as error:
        raise SystemExit(f"wsd: {error}") from None
    print("ok")


def _config(arguments: Namespace) -> None:
    sys.stdout.write(defaultText())


if __name__ == "__main__":
    main()
