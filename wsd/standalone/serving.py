"""Runs the daemon with the flags of standalone.py, in the foreground."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from twisted.python.usage import Options as UsageOptions

from wsd import tap
from wsd.commands import Commands
from wsd.config import ConfigError
from wsd.standalone.flags import addArguments, given
from wsd.standalone.overrides import OPTIONS, overridesOf
from wsd.tap.foreground import runForeground


class StandaloneOptions(tap.Options):
    """The options of the daemon, taken from the flags of standalone.py."""

    def __init__(self, flags: Mapping[str, Any]) -> None:
        super().__init__()
        self._flags = flags
        self.rotation = {"rotateLength": flags["log_max"], "maxRotatedFiles": flags["log_count"]}
        if flags.get("log_file"):
            self.parent = UsageOptions()
            self.parent["logfile"] = os.path.abspath(flags["log_file"])

    def overrides(self) -> dict[str, Any]:
        """The flags as values of the configuration, by dotted key. Raises ConfigError."""
        return overridesOf(self._flags)

    def optionOf(self, key: str) -> str | None:
        """The flag that has set a key; None if there is none."""
        return OPTIONS.get(key)


def addCommands(commands: Commands) -> None:
    """Add `wsd standalone`."""
    addArguments(commands.add("standalone", "Serve pywebsocket handlers with the flags of its standalone.py.", run))


def run(arguments: Namespace) -> None:
    """Serve until a signal ends it. Raises SystemExit with one line for an error."""
    flags = given(arguments)
    _enter(flags["document_root"])
    options = StandaloneOptions(flags)
    options.parseOptions([])
    runForeground(options)


def _enter(folder: str) -> None:
    """Make the document root the working folder, as handlers and CGI programs expect it."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise ConfigError(f"--document-root: {folder} cannot be entered: {error.strerror}; name a folder") from None
