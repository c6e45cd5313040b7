"""What the control socket may do with the daemon: show its state, reload, drain and upgrade it, set its log level."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from time import time
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall

from wsd.connection import Connection
from wsd.control.interface import CommandError, ReloadOutcome
from wsd.logs import Threshold
from wsd.service.daemon import Daemon, DaemonState
from wsd.service.multiprocess import UpgradeRefused
from wsd.web.draining import Drain

_TELLS = 1.0
"""Seconds between two reports of a drain."""


class Steering:
    """Implements `wsd.control.interface.Steered` for a daemon. Without a `threshold`, its log has a fixed level."""

    def __init__(self, daemon: Daemon, threshold: Threshold | None) -> None:
        self.clock = daemon.reactor
        self._daemon = daemon
        self._threshold = threshold
        self._drained: Deferred[None] | None = None

    @property
    def connections(self) -> list[Connection]:
        """All WebSockets."""
        return self._daemon.routes.connections

    def status(self) -> dict[str, Any]:
        """The state of the daemon."""
        daemon = self._daemon
        status = asdict(daemon.readStatus())
        return {
            "state": daemon.state.name,
            **status,
            "pid": os.getpid(),
            "started": datetime.fromtimestamp(time() - status["uptime"], UTC).isoformat(timespec="seconds"),
            "uptime": round(status["uptime"], 3),
            "lag": round(daemon.lag, 6),
            "listeners": daemon.listening.urls,
            "log_level": None if self._threshold is None else self._threshold.level,
        }

    # -- reloading ------------------------------------------------------------------------------------------------

    async def reload(self) -> ReloadOutcome:
        """Reload, and wait until new routes have started or failed."""
        routes = self._daemon.routes
        outcome = self._daemon.reload()
        await routes.starting
        if outcome.refused is None:
            outcome = replace(outcome, warnings=(*outcome.warnings, *routes.warnings(), *routes.faults()))
        return outcome

    # -- upgrading ------------------------------------------------------------------------------------------------

    async def upgrade(self) -> str:
        """Hand everything over to the version on the disk."""
        try:
            return await self._daemon.upgrade()
        except UpgradeRefused as error:
            raise CommandError(f"not upgraded, this process serves on: {error}") from None

    # -- draining -------------------------------------------------------------------------------------------------

    async def drain(self, patience: float | None, tell: Callable[[int], Awaitable[None]]) -> int:
        """Refuse new requests, and close all WebSockets. Returns their number."""
        state = self._daemon.state
        if state is not DaemonState.serving:
            raise CommandError(f"{state.value}; there is nothing else to drain")
        if self._daemon.successor is not None:
            raise CommandError("the daemon is being upgraded; drain the new process instead")
        before = len(self.connections)
        self._daemon.admit(False)
        reports = LoopingCall(lambda: Deferred.fromCoroutine(_awaited(tell(len(self.connections)))))
        reports.clock = self.clock
        reports.start(_TELLS, now=False)
        self._drained = Deferred.fromCoroutine(self._drainAll(patience))
        try:
            await self._drained
        except CancelledError:
            raise CommandError("the drain was ended by resume") from None
        finally:
            reports.stop()
        return before - len(self.connections)

    async def _drainAll(self, patience: float | None) -> None:
        daemon = self._daemon
        drain = Drain(daemon.site, lambda: self.connections, self.clock)
        await drain.finish(daemon.config.drain if patience is None else patience)
        policies = [daemon.config.policies, *(factory.policies for factory in daemon.routes.factories)]
        await drain.clear(max(each.closing_timeout for each in policies) + _TELLS)

    def resume(self) -> None:
        """Answer new requests again, and close no more WebSockets."""
        if self._daemon.state is not DaemonState.draining:
            raise CommandError("the daemon is not draining; there is nothing to resume")
        if self._drained is not None:
            self._drained.cancel()
        self._daemon.admit(True)

    # -- the log --------------------------------------------------------------------------------------------------

    @property
    def logLevel(self) -> str:
        """The least level that is logged."""
        return self._found.level

    @logLevel.setter
    def logLevel(self, level: str) -> None:
        self._found.level = level

    @property
    def _found(self) -> Threshold:
        if self._threshold is None:
            raise CommandError("syslog or a logger of your own decides the level of this log; change it there")
        return self._threshold


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable
