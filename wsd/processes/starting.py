"""Makes the daemon of this process, which can be upgraded, and may itself be the new version of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from wsd.config import Config
from wsd.listen.handed import HandedSockets
from wsd.logs import Threshold
from wsd.processes.given import take
from wsd.processes.launching import PidFile, commandOf
from wsd.processes.takingover import TakingOver
from wsd.processes.upgrade import Upgrade
from wsd.service import makeService
from wsd.service.daemon import Daemon


def makeDaemon(
    config: Config, reactor: Any, reread: Callable[[], Config], parent: Any, threshold: Threshold | None = None
) -> Daemon:
    """
    The daemon, which can be upgraded, and takes over from another process if that has started it for this.

    `parent` has the options of twistd or twist. The rest is as for `wsd.service.makeService`. Raises `CannotListen` or
    `ConfigError`.
    """
    given = take(os.environ)
    if given is None:
        daemon = makeService(config, reactor, reread, threshold)
    else:
        handed = HandedSockets.from_(given.passed, given.bound)
        daemon = makeService(config, reactor, reread, threshold, handed, given.locked)
    daemon.upgrades = Upgrade(daemon, reactor, commandOf(parent), PidFile.of(parent, given)).start
    if given is not None:
        daemon.predecessor = TakingOver(reactor, given.channelSocket())
    return daemon
