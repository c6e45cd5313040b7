"""Reads a configuration file, and checks everything that it names."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any

from wsd.config import Config, ConfigError, parse
from wsd.protocols import optionsOf


def readFile(path: str | None, overrides: dict[str, Any] | None = None) -> Config:
    """
    Read the configuration in a file (None: the defaults), with `overrides` by dotted key.

    Raises ConfigError, whose message begins with the file's path.
    """
    if path is None:
        return parse("", optionsOf, overrides)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}; name a file that wsd may read", path=path) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 at byte {error.start}; save it as UTF-8", path=path) from None
    try:
        return parse(text, optionsOf, overrides, os.path.dirname(os.path.abspath(path)))
    except ConfigError as error:
        raise ConfigError(error.sentence, error.key, path) from None


def checkFiles(config: Config) -> None:
    """
    Load the certificates and everything else that the configuration names. Warnings go to stderr. Raises ConfigError.

    Does not check whether ports are free.
    """
    # Imported late: `readFile` needs neither a reactor nor the daemon.
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
