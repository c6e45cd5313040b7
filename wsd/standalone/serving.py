"""Serves what the flags say, in the foreground."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from twisted.application.app import startApplication
from twisted.application.service import Application
from twisted.logger import ILogObserver, globalLogBeginner
from twisted.python.usage import Options as UsageOptions

from wsd import tap
from wsd.config import ConfigError
from wsd.standalone.flags import given
from wsd.standalone.overrides import OPTIONS, overridesOf


class StandaloneOptions(tap.Options):
    """The options of the daemon, given by flags instead of a command line."""

    def __init__(self, flags: Mapping[str, Any]) -> None:
        super().__init__()
        self._flags = flags
        self.turning = {"rotateLength": flags["log_max"], "maxRotatedFiles": flags["log_count"]}
        if flags.get("log_file"):
            self.parent = UsageOptions()
            self.parent["logfile"] = os.path.abspath(flags["log_file"])

    def overrides(self) -> dict[str, Any]:
        """What the flags say, by the keys of the configuration file. Raises ConfigError."""
        return overridesOf(self._flags)

    def optionOf(self, key: str) -> str | None:
        """The flag that gave the value of a key."""
        return OPTIONS.get(key)


def run(arguments: Namespace) -> None:
    """Serve until a signal ends it. Raises SystemExit with one line when something is wrong."""
    try:
        flags = given(arguments)
        _enter(flags["document_root"])
    except ConfigError as error:
        raise SystemExit(f"wsd: {error}") from None
    options = StandaloneOptions(flags)
    options.parseOptions([])
    logged = tap.makeService(options)
    application = Application("wsd")
    logged.setServiceParent(application)
    globalLogBeginner.beginLoggingTo([ILogObserver(application)], redirectStandardIO=False)
    startApplication(application, False)
    from twisted.internet import reactor

    reactor.run()


def _enter(folder: str) -> None:
    """Handlers and CGI programs find the document root as their working folder, as they always did."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise ConfigError(f"--document-root: {folder} cannot be entered: {error.strerror}; name a folder") from None
