"""`wsd check`; and `--check`, which checks everything that a configuration names."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

from wsd.commands import Commands
from wsd.config import Config
from wsd.config.files import environmentOf, readFile
from wsd.protocols import optionsOf
from wsd.uses import offerOf


def checkConfig(config: Config, path: str | None) -> list[str]:
    """
    Check everything that a configuration from the file `path` names. Warnings go to stderr. Returns the faults.

    Whether ports are free is not checked, since a daemon with this configuration may be running.
    """
    # Imported late: the command line may choose a reactor first.
    from twisted.internet import reactor

    from wsd import service

    findings = service.check(config, reactor, os.environ)
    for warning in (*environmentOf(path, optionsOf, os.environ).unknown(), *findings.warnings):
        print(f"wsd: warning: {warning}", file=sys.stderr)
    return [f"{path}: {fault}" if path else fault for fault in findings.faults]


def addCommands(commands: Commands) -> None:
    """Add `wsd check`."""
    parser = commands.add("check", "Check a configuration file without starting the daemon.", _check, _CHECK)
    parser.add_argument("file", metavar="FILE", help="the configuration file")


_CHECK = (
    'It prints "ok", or one line for each error and exits with 1. It loads everything that the file '
    "names: protocols, services, handlers, stores and certificates."
)


def _check(arguments: Namespace) -> None:
    config = readFile(arguments.file, optionsOf, offer=offerOf(os.environ), environ=os.environ)
    faults = checkConfig(config, arguments.file)
    if faults:
        raise SystemExit("\n".join(f"wsd: {fault}" for fault in faults))
    print("ok")
