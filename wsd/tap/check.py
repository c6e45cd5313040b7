"""`wsd check` and `wsd config`; and `--check`, which checks everything that a configuration names."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

from wsd.commands import Commands
from wsd.config import Config, defaultText
from wsd.config.files import readFile
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
    for warning in findings.warnings:
        print(f"wsd: warning: {warning}", file=sys.stderr)
    return [f"{path}: {fault}" if path else fault for fault in findings.faults]


def addCommands(commands: Commands) -> None:
    """Add `wsd check` and `wsd config`."""
    parser = commands.add("check", "Check a configuration file without starting the daemon.", _check, _CHECK)
    parser.add_argument("file", metavar="FILE", help="the configuration file")
    commands.add("config", "Print a configuration file with every key and its default.", _config)


_CHECK = (
    'It prints "ok", or one line for each error and exits with 1. It loads everything that the file '
    "names: protocols, services, handlers, stores and certificates."
)


def _check(arguments: Namespace) -> None:
    faults = checkConfig(readFile(arguments.file, optionsOf, offer=offerOf(os.environ)), arguments.file)
    if faults:
        raise SystemExit("\n".join(f"wsd: {fault}" for fault in faults))
    print("ok")


def _config(arguments: Namespace) -> None:
    sys.stdout.write(defaultText())
