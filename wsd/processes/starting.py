"""Makes the daemon of this process, which can be upgraded, and may itself be the new version of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from wsd.config import Config
from wsd.listen.handed import HandedSockets
from wsd.processes.given import Given, take
from wsd.processes.launching import PidFile, commandOf
from wsd.processes.takingover import TakingOver
from wsd.processes.upgrade import Upgrade
from wsd.service import makeService
from wsd.service.daemon import Daemon


def makeDaemon(config: Config, reactor: Any, reread: Callable[[], Config], parent: Any) -> Daemon:
    """
    The daemon, which can be upgraded, and takes over from another process if that has started it for this.

    `parent` has the options of twistd or twist. Raises `CannotListen` or `ConfigError`.
    """
    given = take(os.environ)
    daemon = _daemonOf(config, reactor, reread, given)
    pidFile = PidFile(_pidFileOf(parent) if given is None else given.pidFile, parent)
    daemon.upgrades = Upgrade(daemon, reactor, commandOf(parent), pidFile).start
    if given is not None:
        daemon.predecessor = TakingOver(reactor, given)
    return daemon


def _daemonOf(config: Config, reactor: Any, reread: Callable[[], Config], given: Given | None) -> Daemon:
    if given is None:
        return makeService(config, reactor, reread)
    return makeService(config, reactor, reread, HandedSockets.from_(given.passed, given.bound), given.locked)


def _pidFileOf(parent: Any) -> str | None:
    """The file into which twistd writes the process ID, None without one."""
    name = parent.get("pidfile") if parent else None
    return os.path.join(os.path.abspath(parent.get("rundir", ".")), name) if name else None
