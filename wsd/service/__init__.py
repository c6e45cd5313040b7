"""
The daemon: puts the other rooms together, and starts, reloads and stops them.

`daemon` has its states and signals, `routes` its routes and their factories, `listening` its listeners, `report` the
lines that it logs about itself, and `status` what it tells its status page.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.application.service import IService

from wsd.config import Config
from wsd.config.state import Locks
from wsd.listen.bind import check as checkListeners
from wsd.listen.endpoints import CannotListen
from wsd.listen.systemd import recall
from wsd.metrics import Metrics
from wsd.policies.budget import Budget
from wsd.policies.pool import BlockingPool
from wsd.policies.timer import Timer
from wsd.service.daemon import Daemon, planeOf
from wsd.service.routes import FactoryBuilder, lockFiles

__all__ = ["CannotListen", "Daemon", "check", "makeService"]


def makeService(config: Config, reactor: Any, reread: Callable[[], Config]) -> IService:
    """
    The daemon as a service of Twisted's, with every listener bound.

    `reread` returns the configuration as it is now; it is called for each reload. Raises `CannotListen` or
    `ConfigError`, each with one sentence for the terminal.
    """
    recall(os.environ)
    locks = Locks()
    locks.take(lockFiles(config, os.environ))
    try:
        return Daemon(config, reactor, reread, os.environ, locks)
    except BaseException:
        locks.close()
        raise


def check(config: Config, reactor: Any) -> list[str]:
    """
    Build everything that the configuration names, without starting it. Returns warnings.

    Raises `CannotListen` or `ConfigError` for the same faults as `makeService`, except those of binding a listener.
    """
    plane = planeOf(config)
    metrics = Metrics(plane.traffic)
    budget, pool = Budget(config.policies, reactor), BlockingPool(reactor, metrics)
    builder = FactoryBuilder(reactor, Timer(reactor), metrics, plane, budget, pool)
    for route in config.routes.values():
        for name in route.options:
            builder.factory(route, name)
    return checkListeners(config)
