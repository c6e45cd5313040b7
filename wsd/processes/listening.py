"""The listeners of all workers in their parent: bound at its start, replaced by a reload, and closed at its end."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from contextlib import suppress

from wsd.config import Config
from wsd.config.prepared import PreparedChange
from wsd.listen.handed import HandedSockets
from wsd.listen.listener import Listener
from wsd.listen.systemd import KEPT, KEPT_TLS, Systemd
from wsd.processes.child import Child
from wsd.processes.sockets import ReboundShared, SharedListener, bindShared, listenersFor, rebindShared
from wsd.service.report import logListeners


class SharedListening:
    """All listeners, bound or taken from `handed`. Raises `CannotListen` if one cannot be bound."""

    def __init__(self, config: Config, environ: MutableMapping[str, str], handed: HandedSockets) -> None:
        self.shared = bindShared(config, environ, handed)
        """The listeners in use."""
        self._offered = self.shared
        """Those after the reload that is being prepared."""
        self._removed: list[SharedListener] = []
        """Those that a reload has removed and the workers may still accept from."""

    @property
    def listeners(self) -> list[Listener]:
        """The listeners themselves, without their sockets."""
        return [each.listener for each in self.shared]

    @property
    def own(self) -> list[SharedListener]:
        """Those that this daemon has bound itself."""
        return [each for each in self.shared if not each.listener.inherited]

    @property
    def passed(self) -> list[tuple[str, int]]:
        """The descriptors of those that systemd holds for .socket units, with their names, in systemd's order."""
        named = [(each.listener.unitSocket, each.descriptors[0]) for each in self.shared]
        ordered = sorted((*unitSocket, descriptor) for unitSocket, descriptor in named if unitSocket is not None)
        return [(name, descriptor) for _, name, descriptor in ordered]

    def keep(self, systemd: Systemd) -> None:
        """Let systemd keep the sockets through a crash."""
        for name, secure in ((KEPT, False), (KEPT_TLS, True)):
            own = [each for each in self.own if each.listener.secure is secure]
            systemd.keep(name, [descriptor for each in own for descriptor in each.descriptors])

    # -- reloading ------------------------------------------------------------------------------------------------

    def prepareReload(self, config: Config) -> PreparedChange:
        """Bind the listeners that a configuration adds. Raises `CannotListen`."""
        rebound = rebindShared(config, self.shared)
        self._offered = rebound.listeners

        def abort() -> None:
            for each in rebound.added:
                each.close()

        return PreparedChange(lambda: self._commit(rebound), abort)

    def _commit(self, rebound: ReboundShared) -> None:
        self.shared, self._removed = rebound.listeners, rebound.removed
        for each, before in rebound.kept:
            if each.listener.path is not None and each.listener.mode != before.listener.mode:
                with suppress(OSError):
                    os.chmod(each.listener.path, each.listener.mode)
        logListeners([each.listener for each in rebound.added])

    def offer(self, child: Child, kind: str) -> None:
        """Send a worker a message with the listeners of the reload that is being prepared."""
        listeners, descriptors = listenersFor(self._offered, child.number)
        child.send(kind, {"listeners": listeners}, descriptors)

    def closeRemoved(self) -> None:
        """Close what a reload has removed, since all workers have accepted the rest."""
        removed, self._removed = self._removed, []
        for each in removed:
            each.close()

    # -- stopping -------------------------------------------------------------------------------------------------

    def close(self, ownsPaths: bool) -> None:
        """Close all sockets. `ownsPaths` says whether the paths of unix sockets are removed."""
        self.closeRemoved()
        for each in self.shared:
            each.close(ownsPaths)
