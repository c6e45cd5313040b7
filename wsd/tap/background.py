"""Tells where the files of a daemon are, before twistd detaches it from the terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from wsd.config import ConfigError


def isBackground(parent: Mapping[str, Any]) -> bool:
    """Whether twistd, whose options these are, will detach the process. `twist` and `wsd serve` never do."""
    return not parent.get("nodaemon", True)


def describe(parent: Mapping[str, Any], logPath: str | None) -> str:
    """
    The line for the terminal: where the log and the process ID are.

    Raises ConfigError if the process ID cannot be written. twistd itself finds that out only after it has detached.
    """
    log = f"Its log is {logPath}" if logPath is not None else "It logs to syslog"
    if not parent.get("pidfile"):
        return f"wsd runs in the background. {log}."
    # twistd changes to --rundir first.
    path = os.path.join(os.path.abspath(parent.get("rundir", ".")), parent["pidfile"])
    if not os.access(os.path.dirname(path), os.W_OK | os.X_OK):
        raise ConfigError(f"{path} cannot be written; name another file with twistd --pidfile=FILE wsd ...")
    return f"wsd runs in the background. {log}, its process ID is in {path}."
