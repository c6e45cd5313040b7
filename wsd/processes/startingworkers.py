"""Makes the parent of several workers, which can be upgraded, and may itself be the new version of one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from wsd import service
from wsd.config import Config
from wsd.control.socket import ControlSocket
from wsd.listen.handed import HandedSockets
from wsd.processes.given import take
from wsd.processes.launching import PidFile, commandOf
from wsd.processes.parent import Parent
from wsd.processes.parenttakingover import ParentTakingOver
from wsd.processes.parentupgrade import ParentUpgrade
from wsd.processes.steering import ParentSteering


def makeParent(
    config: Config,
    reactor: Any,
    reread: Callable[[], Config],
    command: Sequence[str],
    arguments: dict[str, Any],
    options: Any,
) -> Parent:
    """
    The parent, with all listeners bound or, in an upgrade, taken from the parent before.

    `command` and `arguments` start a worker; `options` are those of twistd or twist. Raises `CannotListen` or
    `ConfigError`.
    """
    given = take(os.environ)
    service.validate(config, reactor, os.environ)
    handed = None if given is None else HandedSockets.from_(given.passed, given.bound)
    parent = Parent(config, reactor, reread, os.environ, command, arguments, handed)
    parent.control = ControlSocket(reactor, os.environ, ParentSteering(parent))
    parent.upgrades = ParentUpgrade(parent, reactor, commandOf(options), PidFile.of(options, given)).start
    if given is not None:
        parent.predecessor = ParentTakingOver(reactor, given)
    return parent
