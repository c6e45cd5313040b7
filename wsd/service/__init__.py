"""
The daemon: puts the other rooms together, and starts, reloads and stops them.

`daemon` has its states and signals, `routes` its routes and their factories, `listening` its listeners, `report` the
lines that it logs about itself, and `status` what it tells its status page. `checking` checks a configuration without
starting it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from wsd.config import Config
from wsd.config.state import Locks
from wsd.listen.endpoints import CannotListen
from wsd.listen.handed import HandedSockets
from wsd.listen.systemd import recall
from wsd.service.checking import check
from wsd.service.daemon import Daemon
from wsd.service.routes import lockFiles

__all__ = ["CannotListen", "Daemon", "check", "makeService"]


def makeService(
    config: Config,
    reactor: Any,
    reread: Callable[[], Config],
    handed: HandedSockets | None = None,
    locked: Mapping[str, int] = MappingProxyType({}),
) -> Daemon:
    """
    The daemon as a service of Twisted's, with every listener bound.

    `reread` returns the configuration as it is now; it is called for each reload. In an upgrade, the process before
    passes the listening sockets `handed`, and the descriptors of the files that it has `locked`, by their paths. Raises
    `CannotListen` or `ConfigError`, each with one sentence for the terminal.
    """
    recall(os.environ)
    locks = Locks()
    locks.adopt(locked)
    locks.take(lockFiles(config, os.environ))
    try:
        return Daemon(config, reactor, reread, os.environ, locks, handed)
    except BaseException:
        locks.close()
        raise
