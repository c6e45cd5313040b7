"""`wsd check` and `wsd config`; and `--check`, which checks everything that a configuration names."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from dataclasses import replace

from wsd.commands import Commands
from wsd.config import Config, ConfigError, defaultText
from wsd.config.files import readFile
from wsd.protocols import optionsOf
from wsd.uses import offerOf


def checkFiles(config: Config) -> None:
    """
    Load the certificates and everything else that the configuration names. Warnings go to stderr. Raises ConfigError.

    Does not check whether ports are free.
    """
    # Imported late: the command line may choose a reactor first.
    from twisted.internet import reactor

    from wsd import service

    warnings: dict[str, None] = {}
    for route in config.routes.values():
        for options in route.options.values():
            check = getattr(options, "check", None)
            if check is None:
                continue
            try:
                warnings.update(dict.fromkeys(check()))
            except ValueError as error:
                raise ConfigError(str(error)) from None
    if config.log.file is not None and not os.path.isdir(folder := os.path.dirname(os.path.abspath(config.log.file))):
        warnings[f"log.file: there is no folder {folder} yet"] = None
    if config.tls.certificate:
        from wsd.listen.tls import Certificates

        Certificates(replace(config.tls, self_signed=False), os.environ)
    try:
        warnings.update(dict.fromkeys(service.check(config, reactor)))
    except service.CannotListen as error:
        raise ConfigError(str(error)) from None
    for warning in warnings:
        print(f"wsd: warning: {warning}", file=sys.stderr)


def addCommands(commands: Commands) -> None:
    """Add `wsd check` and `wsd config`."""
    parser = commands.add("check", "Check a configuration file without starting the daemon.", _check, _CHECK)
    parser.add_argument("file", metavar="FILE", help="the configuration file")
    commands.add("config", "Print a configuration file with every key and its default.", _config)


_CHECK = 'It prints "ok", or the first mistake, in which case the exit status is 1.'


def _check(arguments: Namespace) -> None:
    checkFiles(readFile(arguments.file, optionsOf, offer=offerOf(os.environ)))
    print("ok")


def _config(arguments: Namespace) -> None:
    sys.stdout.write(defaultText())
