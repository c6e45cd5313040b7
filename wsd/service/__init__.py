"""
The daemon: puts the other rooms together, and starts, reloads and stops them.

`daemon` has its states, `parts` what its routes share, `factories` builds the factories of routes, and `routes` starts
and replaces them. `listening` has its listeners, `reloading` the two phases of a reload, `signals` handlers of signals,
and `periodic` its periodic tasks. `watchdog` notices when its reactor is held. `multiprocess` is what it knows of other
processes, and `upgrading` refuses upgrades.

`report` has the lines that it logs about itself, `status` what it tells its status page, and `steering` what the
control socket may do with it. `checking` checks a configuration without starting it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any

from wsd.config import Config
from wsd.config.state import Locks
from wsd.control.socket import ControlSocket
from wsd.listen.endpoints import CannotListen
from wsd.listen.handed import HandedSockets
from wsd.listen.systemd import recall
from wsd.logs import Threshold
from wsd.service.checking import check
from wsd.service.daemon import Daemon
from wsd.service.factories import FactoryBuilder, lockFiles, placementOf
from wsd.service.listening import loadTls
from wsd.service.parts import makeParts
from wsd.service.routes import RouteTable
from wsd.service.steering import Steering
from wsd.traces.tracing import settingsOf

__all__ = ["CannotListen", "Daemon", "check", "lockFiles", "makeService", "placementOf", "validate"]


def makeService(
    config: Config,
    reactor: Any,
    reread: Callable[[], Config],
    threshold: Threshold | None = None,
    handed: HandedSockets | None = None,
    locked: Mapping[str, int] = MappingProxyType({}),
) -> Daemon:
    """
    The daemon as a service of Twisted's, with every listener bound.

    `reread` returns the configuration as it is now; it is called for each reload. `threshold` is the level of the log,
    for `wsd ctl log-level`. In an upgrade, the process before passes the listening sockets `handed`, and the
    descriptors of the files that it has `locked`, by their paths. Raises `CannotListen` or `ConfigError`, each with one
    sentence for the terminal.
    """
    recall(os.environ)
    locks = Locks()
    locks.adopt(locked)
    locks.take(lockFiles(config, os.environ))
    try:
        daemon = Daemon(config, reactor, reread, os.environ, locks, handed=handed)
    except BaseException:
        locks.close()
        raise
    daemon.control = ControlSocket(reactor, os.environ, Steering(daemon, threshold))
    return daemon


def validate(config: Config, reactor: Any, environ: MutableMapping[str, str]) -> None:
    """
    Build every route, and read the certificates, as `makeService` does. Nothing is started.

    The parent of workers calls this before it starts any. Raises ConfigError.
    """
    parts = makeParts(config, reactor)
    loadTls(config, environ)
    settingsOf(config.traces)
    table = RouteTable(FactoryBuilder(parts))
    table.introduce(table.build(config.routes))
