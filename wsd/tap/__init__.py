"""
The command line of `twistd wsd` and `twist wsd`: `options` over a configuration file, and the `log`.

`serve` is `wsd serve`, `foreground` runs the daemon for it, and `check` checks what a configuration names.

An error is raised as SystemExit with one line. The command then ends with that line on stderr and the exit status 1,
without a traceback and before it becomes a daemon.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService

from wsd.config import ConfigError
from wsd.policies.timer import keepTime
from wsd.tap.background import describe, isBackground
from wsd.tap.log import LoggedService
from wsd.tap.options import Options, exitWith

__all__ = ["Options", "makeService"]


def makeService(options: Options) -> IService:
    """
    The daemon with its log and all listeners bound.

    Raises SystemExit with one line for an error; the process has not become a daemon then, and logs nothing.
    """
    # Imported late: the command line may choose a reactor, and --help does not need the daemon.
    from twisted.internet import reactor

    from wsd import service
    from wsd.processes.starting import makeDaemon

    keepTime(reactor)
    try:
        logged = LoggedService(options, reactor)
    except ConfigError as error:
        raise exitWith(str(error)) from None
    except OSError as error:
        where = "log.file: " if options.config.log.file else ""
        raise exitWith(
            f"{where}{error.filename} cannot be written: {error.strerror}; name a file that wsd can write"
        ) from None
    try:
        parent: Any = options.parent or {}
        makeDaemon(options.config, reactor, logged.reread, parent).setServiceParent(logged)
        if isBackground(parent):
            print(describe(parent, logged.path), flush=True)
    except (ConfigError, service.CannotListen) as error:
        raise exitWith(str(error)) from None
    return logged
