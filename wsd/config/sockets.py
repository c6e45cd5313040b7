"""Where the control socket of a daemon is: for the daemon, which creates it, and for `wsd ctl`, which looks for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from wsd.config.schema import Control
from wsd.config.state import SYSTEM, stateFolder

NAME = "control.sock"
"""The name of the socket in its folder."""

RUNTIME = Path("/run/wsd")
"""The runtime folder of the systemd unit (`RuntimeDirectory=wsd`). A tool has no $RUNTIME_DIRECTORY that names it."""

LONGEST = 107
"""Bytes of the longest path of a unix socket on Linux (unix(7))."""


def controlPath(control: Control, environ: Mapping[str, str]) -> Path:
    """The daemon's socket: `path`, else in $RUNTIME_DIRECTORY, else in the state folder."""
    if control.path is not None:
        return Path(control.path).absolute()
    return Path(_runtimeFolder(environ) or stateFolder(environ)).absolute() / NAME


def workerPath(path: Path, worker: int) -> Path:
    """The socket of one of several workers, beside the parent's: control-0.sock for control.sock."""
    return path.with_name(f"{path.stem}-{worker}{path.suffix}")


def controlPaths(environ: Mapping[str, str]) -> list[Path]:
    """
    Where a tool looks for a daemon's socket, if nobody names it.

    It is where a daemon with the same environment has it, and where the systemd unit has it.
    """
    named = environ.get("WSD_CONTROL_PATH")
    if named:
        return [Path(named).absolute()]
    runtime = _runtimeFolder(environ)
    folders = [Path(runtime)] if runtime else []
    folders += [Path(stateFolder(environ)), RUNTIME, SYSTEM]
    return list(dict.fromkeys(folder.absolute() / NAME for folder in folders))


def isTooLong(path: Path) -> bool:
    """Whether the kernel takes no socket of this path."""
    return len(os.fsencode(path)) > LONGEST


def _runtimeFolder(environ: Mapping[str, str]) -> str:
    return environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
