"""
The command line of `twistd wsd` and `twist wsd`: `options` over a configuration file, and the `log`.

`serve` is `wsd serve`, `foreground` runs the daemon for it, `check` checks what a configuration names, and
`configuring` is `wsd config`.

An error is raised as SystemExit with one line. The command then ends with that line on stderr and the exit status 1,
without a traceback and before it becomes a daemon.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.application.service import IService

from wsd.config import ConfigError
from wsd.policies.timer import keepTime
from wsd.processes.given import workersBefore
from wsd.tap.background import describe, isBackground
from wsd.tap.log import LoggedService, unwritable
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

    keepTime(reactor)
    try:
        logged = LoggedService(options, reactor)
    except ConfigError as error:
        raise exitWith(str(error)) from None
    except OSError as error:
        raise exitWith(unwritable(options.config, error)) from None
    try:
        parent: Any = options.parent or {}
        daemon = _daemonOf(options, reactor, logged, parent)
        daemon.reloading.add(logged.prepare)
        daemon.setServiceParent(logged)
        if isBackground(parent):
            print(describe(parent, logged.path), flush=True)
    except (ConfigError, service.CannotListen) as error:
        raise exitWith(str(error)) from None
    return logged


def _daemonOf(options: Options, reactor: Any, logged: LoggedService, parent: Any) -> Any:
    """
    The daemon: one process, or the parent of several. Raises ConfigError or `CannotListen`.

    `parent` has the options of twistd or twist.
    """
    workers, before = options.config.workers, workersBefore(os.environ)
    if before is not None and before != workers:
        raise ConfigError(f"workers: an upgrade cannot change {before} to {workers}; restart wsd for that")
    if workers == 1:
        from wsd.processes.starting import makeDaemon

        return makeDaemon(options.config, reactor, logged.reread, parent, logged.threshold)
    # A daemon of one process does not load this.
    from wsd.processes.startingworkers import makeParent

    command = [sys.executable, "-P", "-m", "wsd.tap.worker", type(reactor).__module__]
    arguments = {
        "folder": os.getcwd(),
        "arguments": options.commandLine(),
        "usesByDefault": options.usesByDefault,
        "logIsShared": logged.isShared,
    }
    return makeParent(options.config, reactor, logged.reread, command, arguments, parent)
