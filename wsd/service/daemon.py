"""The daemon as a service of Twisted's: its parts, its states, and its signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd import __version__
from wsd.config import Config, ConfigError
from wsd.config.prepared import PreparedChange
from wsd.config.state import Locks
from wsd.connection import Factory
from wsd.control.interface import ReloadOutcome
from wsd.control.socket import ControlSocket
from wsd.frames.libraries import chosen
from wsd.listen.descriptors import raiseDescriptorLimit, roomIn
from wsd.listen.endpoints import CannotListen
from wsd.listen.handed import HandedSockets
from wsd.listen.listener import Listener
from wsd.listen.systemd import KEPT, KEPT_TLS, Systemd
from wsd.policies.address import Trust, inNetworks
from wsd.policies.admission import Admission
from wsd.policies.memory import HeapBound, HeapTrimmer, tuneMalloc
from wsd.service.factories import FactoryBuilder
from wsd.service.listening import Listening, TlsOf, loadTls
from wsd.service.multiprocess import Membership, Predecessor, Successor
from wsd.service.parts import makeParts
from wsd.service.periodic import PeriodicTasks
from wsd.service.reloading import PreparedReload, Reloading, refusal
from wsd.service.report import (
    logListeners,
    logListening,
    logStart,
    pagesOf,
    warnOfBuiltIn,
    warnOfFewDescriptors,
)
from wsd.service.routes import RouteTable
from wsd.service.signals import Signals
from wsd.service.status import statusOf
from wsd.service.upgrading import UpgradeRefused, refuseUpgrade
from wsd.service.watchdog import HoldReporter, Watchdog
from wsd.web.attempts import Why
from wsd.web.console import addConsole
from wsd.web.directory import Directory
from wsd.web.draining import RESTART, Drain
from wsd.web.probes import Health, MetricsPage, Readiness, Ready
from wsd.web.site import Site
from wsd.web.status import Status, addStatus

if TYPE_CHECKING:
    from wsd.listen.tls import Certificates

_WATCH = 5.0
"""Seconds between two checks of the certificates' files, and of unused factories."""


class DaemonState(Enum):
    """What the daemon is doing; the value is why /readyz answers 503 meanwhile."""

    starting = "the daemon is starting"
    serving = ""
    draining = "the daemon is draining"
    stopping = "the daemon is stopping"


class Daemon(Service):
    """The daemon: its listeners, its site and its routes."""

    name = "wsd"
    log = Logger(namespace="wsd")

    state = DaemonState.starting
    hasFailed = False
    """Whether the daemon ends because it could not start."""
    control: ControlSocket | None = None
    predecessor: Predecessor | None = None
    """The process that hands over to this one while it starts."""
    upgrades: Callable[[], Deferred[str]] | None = None
    """Upgrades the daemon. Set by `wsd.processes`."""
    successor: Successor | None = None
    """The process to which this one hands over, while it does."""
    hasHandedOver = False
    """Whether another process serves: what is left here ends with 1012."""

    def __init__(
        self,
        config: Config,
        reactor: Any,
        reread: Callable[[], Config],
        environ: MutableMapping[str, str],
        locks: Locks | None = None,
        membership: Membership | None = None,
        handed: HandedSockets | None = None,
    ) -> None:
        """`handed` has listening sockets from another process; by default those that systemd passes."""
        self.reactor = reactor
        self.config = config
        self.locks = locks
        self._environ = environ
        self._membership = membership
        self.systemd = Systemd(environ, reactor)
        self._parts = parts = makeParts(config, reactor, membership)
        self.metrics = parts.metrics
        self.tracing = parts.tracing
        self._beginTracing = parts.tracing.begin(config.traces)
        makeAdmission = Admission if membership is None else membership.makeAdmission
        self._admission = makeAdmission(config.policies, parts.timer)
        self._watchdog = Watchdog(reactor, HoldReporter(reactor.seconds, self.metrics.holds).held)
        self._tasks = PeriodicTasks(reactor)
        self._signals = Signals(reactor)
        self._descriptors = 0
        self._startedAt = reactor.seconds()
        certificates, tlsOf = loadTls(config, environ)
        self.routes = self._buildRoutes()
        self.site = self._buildSite(tlsOf if membership is None else membership.wrapTlsOf(tlsOf))
        self._drain = Drain(self.site, lambda: self.routes.connections, reactor)
        self._addPages()
        self.listening = self._buildListening(certificates, handed)
        self.reloading = self._buildReloading(reread)
        """What takes part in a reload."""
        self._describeMetrics()

    def _buildRoutes(self) -> RouteTable:
        builder = FactoryBuilder(self._parts)
        if self._membership is not None:
            builder = replace(builder, serves=self._membership.serves)
        table = RouteTable(builder)
        routes = table.build(self.config.routes)
        table.introduce(routes)
        table.routes = routes
        table.replaced = self._serveRoutes
        return table

    def _buildSite(self, tlsOf: TlsOf) -> Site:
        config = self.config
        return Site(
            self.routes.routes.values(),
            config.policies,
            config.hosts,
            Trust(config.trusted_proxies, config.proxy_header),
            self.reactor,
            self._parts.timer,
            self._admission,
            self.metrics,
            tlsOf,
            self.tracing,
            self._parts.budget,
        )

    def _buildListening(self, certificates: Certificates | None, handed: HandedSockets | None) -> Listening:
        member = self._membership
        bound = None if member is None else member.listeners
        listening = Listening(
            self.config, self.reactor, self._environ, self.site, certificates, self.metrics, bound, handed
        )
        listening.changed = self._listenersChanged
        if member is not None:
            listening.wrapTlsOf = member.wrapTlsOf
        return listening

    def _buildReloading(self, reread: Callable[[], Config]) -> Reloading:
        reloading = Reloading(self.config, reread)
        if self._membership is None:
            reloading.ended = self.metrics.reloads.count
        reloading.add(
            self.listening.prepareReload,
            self._prepareRoutes,
            lambda changed: self.tracing.prepare(changed.traces),
            self._preparePolicies,
        )
        return reloading

    def _addPages(self) -> None:
        addStatus(self.site, addConsole(self.site), self.readStatus, self.mayReadMetrics)
        self.site.pages["/_wsd/routes.json"] = Directory(self.site, self.mayReadMetrics)
        self.site.pages["/_wsd/why"] = Why(self.site.attempts)
        self.site.pages["/healthz"] = Health()
        self.site.pages["/readyz"] = Ready(self.readiness)
        self.site.pages["/metrics"] = MetricsPage(self.metrics, self.mayReadMetrics)

    def readStatus(self) -> Status:
        """What the status page shows."""
        uptime = self.reactor.seconds() - self._startedAt
        parts = (self.reactor, self.routes.routes, self._admission, self._parts.budget)
        return statusOf(self.readiness(), uptime, *parts)

    @property
    def lag(self) -> float:
        """Seconds by which the reactor's last turn was late."""
        return self._parts.timer.lag

    def mayReadMetrics(self, request: Any) -> bool:
        """Whether the client may read the metrics and the status."""
        return request.peer.direct or inNetworks(request.peer.address, self.config.metrics_allow)

    def _describeMetrics(self) -> None:
        metrics, parts = self.metrics, self._parts
        metrics.info(__version__, parts.plane.name, chosen().name, type(self.reactor).__name__)
        metrics.setConnections(lambda: self._admission.connections, lambda: self._admission.most)
        metrics.setSendBuffers(lambda: [connection.unsent for connection in self.routes.connections])
        metrics.setMemory(parts.budget.levels)
        metrics.setUsers(self._admission.users)
        metrics.setLag(lambda: parts.timer.lag)
        metrics.setCertificates(lambda: {} if self._certificates is None else self._certificates.expiry())
        metrics.setRevoked(lambda: None if self._certificates is None else self._certificates.crlExpiry())
        metrics.setTlsHandshakes(lambda: self.listening.handshakes)

    @property
    def _certificates(self) -> Certificates | None:
        return self.listening.certificates

    def readiness(self) -> Readiness:
        """What /readyz shows."""
        reasons = [self.state.value] if self.state is not DaemonState.serving else []
        reasons += self.routes.faults()
        return Readiness(not reasons, self._parts.plane.name, list(self.routes.routes), reasons, self.routes.warnings())

    @property
    def pages(self) -> list[str]:
        """The URLs of the home page for a browser on this machine."""
        return pagesOf(self.config, self.listening.listeners)

    # -- starting -------------------------------------------------------------------------------------------------

    def startService(self) -> None:
        """Start the routes, then listen. A route that cannot start answers 503; all other routes work."""
        super().startService()
        if self._membership is None:
            # Without a handler, they would end the daemon.
            self._signals.handle(signal.SIGHUP, self.reload)
            self._signals.handle(signal.SIGUSR2, self._upgradeBySignal)
        self._descriptors = raiseDescriptorLimit()
        self.listening.prepare()
        if self.locks is not None:
            self.locks.sign()
        parts = self._parts
        parts.timer.start()
        # Not earlier: twistd forks before this, and threads do not survive that.
        self._beginTracing()
        tuneMalloc()
        HeapTrimmer(parts.timer, lambda: self.metrics.transferred + parts.budget.total).start()
        parts.budget.checkHeap = HeapBound().check
        notices = self.locks.notices if self.locks is not None else ()
        logStart(parts.plane, self._descriptors, self.listening.notices, notices)
        self._admission.setRoom(roomIn(self._descriptors))
        warnOfFewDescriptors(self.config.policies.max_connections, self._admission.most, self._descriptors)
        if self.control is not None and self.predecessor is None:
            self.control.configure(self.config.control)
        # The reactor must handle signals first: the daemon may be stopped as soon as it reports that it is ready.
        self.reactor.callWhenRunning(self._startRoutes)

    def _startRoutes(self) -> None:
        started = self.routes.start() if self.predecessor is None else self._takeOver(self.predecessor)
        started.addCallback(lambda _: self._listen()).addCallbacks(lambda _: self._serve(), self._cannotStart)

    def _takeOver(self, predecessor: Predecessor) -> Deferred[Any]:
        """Start the routes, and take the connections of the process before. It has the files until it passes them."""
        started = self.routes.start(exclusive=False)
        return started.addCallback(lambda _: predecessor.takeOver(self))

    def _listen(self) -> Deferred[Any]:
        """Accept connections, unless the daemon was stopped before its routes had started."""
        return succeed(None) if self.state is DaemonState.stopping else self.listening.start()

    def _serve(self) -> None:
        """Report that the daemon is ready, and begin the periodic tasks."""
        if self.state is DaemonState.stopping:
            return
        self.state = DaemonState.serving
        self._tasks.add(_WATCH, self.routes.stopUnused)
        if isinstance(self.reactor, ReactorBase):
            # Other reactors are those of tests, which have no thread of their own.
            self._watchdog.start()
        if self._membership is None:
            logListening(self.listening)
            warnOfBuiltIn(self.config, self.routes.routes, self.listening.listeners)
        else:
            self._membership.served()
        if self.predecessor is None:
            self.becomeMain()
        else:
            self.predecessor.serving()
        self._tasks.add(_WATCH, self._pollCertificates)

    def _pollCertificates(self) -> None:
        if self._certificates is not None:
            self._certificates.poll()

    def becomeMain(self) -> None:
        """Called when this is the main process of its unit: tell systemd that it is ready, and give signs of life."""
        if self.control is not None and self.predecessor is not None:
            # The process before has just closed its own.
            self.control.configure(self.config.control)
        self.systemd.notify("READY=1", self._status)
        self._keepSockets()
        if self.systemd.watchdog is not None:
            self._tasks.add(self.systemd.watchdog / 2, lambda: self.systemd.notify("WATCHDOG=1"))

    def _keepSockets(self) -> None:
        """Let systemd keep the sockets through a crash."""
        for name, secure in ((KEPT, False), (KEPT_TLS, True)):
            self.systemd.keep(name, [descriptor for descriptor, isTls in self.listening.bound if isTls is secure])

    @property
    def _status(self) -> str:
        """The text for `systemctl status`."""
        if self.state is DaemonState.draining:
            return "draining; new requests get 503"
        return "listening " + " ".join(self.listening.urls)

    def _cannotStart(self, failure: Failure) -> None:
        """An endpoint could not be set up: report it, and end the process."""
        cause = getattr(failure.value, "subFailure", failure)
        if not cause.check(CannotListen, ConfigError, OSError):
            self.log.failure("wsd cannot start", cause)
        self.log.critical("wsd: {sentence}", event="daemon.unusable", sentence=cause.getErrorMessage())
        self.hasFailed = True
        if self.predecessor is not None:
            self.predecessor.refused()
        # Twisted's commands have an exit status other than 0 only if a signal ends them.
        os.kill(os.getpid(), signal.SIGTERM)

    # -- draining -------------------------------------------------------------------------------------------------

    def admit(self, isAdmitting: bool) -> None:
        """Answer new requests, or refuse them with 503, /readyz included, until the daemon admits them again."""
        self.state = DaemonState.serving if isAdmitting else DaemonState.draining
        self.site.stopping = not isAdmitting
        self.systemd.notify("READY=1", self._status)

    # -- reloading ------------------------------------------------------------------------------------------------

    def reload(self) -> ReloadOutcome:
        """
        Read the configuration and the certificates again. If the new configuration is wrong, all of the old one stays.

        New connections get the new listeners, routes and policies. During an upgrade nothing is reloaded: the new
        process reads the configuration anyway.
        """
        prepared = self.prepareReload()
        return prepared.commit() if prepared.refused is None else ReloadOutcome(prepared.refused)

    def prepareReload(self) -> PreparedReload:
        """Do all of a reload that can fail. What it returns does the rest, or undoes it."""
        if not self.running:
            return refusal("the daemon is not running")
        self.systemd.notify("RELOADING=1")
        if self.successor is None:
            prepared = self.reloading.prepare()
        else:
            prepared = refusal("an upgrade is under way, and the new process reads the configuration itself")
        if prepared.refused is not None:
            self.systemd.notify("READY=1", f"not reloaded: {prepared.refused}")

        def commit() -> ReloadOutcome:
            outcome = prepared.commit()
            self.systemd.notify("READY=1", self._status)
            return outcome

        def abort() -> None:
            prepared.abort()
            self.systemd.notify("READY=1", self._status)

        return replace(prepared, commit=commit, abort=abort)

    def _prepareRoutes(self, config: Config) -> PreparedChange:
        change = self.routes.prepare(config, self.locks, self._environ)
        return PreparedChange(lambda: self._useRoutes(config, change), change.abort)

    def _useRoutes(self, config: Config, change: PreparedChange) -> None:
        old = self.routes.routes
        if self._membership is None:
            new = (key for key in config.routes if key not in old or not old[key].route.builtIn)
            warnOfBuiltIn(config, new, self.listening.listeners)
        change.commit()
        self._serveRoutes()

    def _serveRoutes(self) -> None:
        self.site.replaceRoutes(self.routes.routes.values())

    def _preparePolicies(self, config: Config) -> PreparedChange:
        return PreparedChange(lambda: self._usePolicies(config))

    def _usePolicies(self, config: Config) -> None:
        before, self.config = self.config, config
        self._admission.configure(config.policies)
        self._parts.budget.configure(config.policies)
        self._parts.rates.configure(config.policies)
        if config.policies.max_connections != before.policies.max_connections:
            warnOfFewDescriptors(config.policies.max_connections, self._admission.most, self._descriptors)
        self.site.configure(config.policies, config.hosts, Trust(config.trusted_proxies, config.proxy_header))
        self.listening.configure()
        if self.control is not None:
            self.control.configure(config.control)

    def _listenersChanged(self, added: Sequence[Listener]) -> None:
        """Called after a reload: log the new listeners, and let systemd keep the sockets of now."""
        if self._membership is None:
            logListeners(added)
        if self.state is DaemonState.serving:
            self._keepSockets()

    def rebuild(self, factories: Iterable[Factory]) -> None:
        """Replace factories that were stopped alone by new ones, which start."""
        for factory in factories:
            factory.hasFailed = True
        routes = self.routes.build(self.config.routes)
        self.routes.introduce(routes)
        self.routes.replace(routes)
        self._serveRoutes()

    # -- upgrading ------------------------------------------------------------------------------------------------

    def _upgradeBySignal(self) -> None:
        # The outcome is in the log.
        self.upgrade().addErrback(lambda failure: failure.trap(UpgradeRefused))

    def upgrade(self) -> Deferred[str]:
        """
        Start the version on the disk, and hand everything over to it. Then this process ends.

        Fires with a sentence about what was done. Fails with `UpgradeRefused` if this process serves on.
        """
        if self.upgrades is None:
            return fail(refuseUpgrade("this daemon was not started by a command that can start it again"))
        if self.state is not DaemonState.serving:
            return fail(refuseUpgrade(self.state.value, self.state is DaemonState.stopping))
        return self.upgrades()

    def handOver(self) -> None:
        """Called when another process serves: end this one when the connections that have stayed are closed."""
        self.hasHandedOver = True
        self._drain.farewell = RESTART
        self.listening.leave()
        if self.running:
            self.reactor.stop()

    # -- stopping -------------------------------------------------------------------------------------------------

    def stopService(self) -> Deferred[Any]:
        """
        Stop accepting, finish pending answers, close all WebSockets with 1001, and stop the routes.

        This takes at most `drain`, the longest `closing_timeout`, and the time that the routes need to stop. Meanwhile
        requests on open connections get 503. On a socket that systemd holds, new clients wait for the next daemon.
        After a second TERM or INT, all connections are dropped at once.
        """
        super().stopService()
        if self.predecessor is not None:
            self.predecessor.stopping()
        aborted: Deferred[None] = succeed(None)
        if self.successor is not None and not self.hasHandedOver:
            aborted = self.successor.abort()
        for number in (signal.SIGTERM, signal.SIGINT) if self._membership is None else ():
            self._signals.handle(number, self.stopNow)
        if not self.hasHandedOver:
            self.systemd.notify("STOPPING=1", "closing the connections")
        self.state = DaemonState.stopping
        self.site.stopping = True
        self.routes.retire()
        drained = Deferred.fromCoroutine(self._closeAll())
        drained.addErrback(lambda failure: self.log.failure("the connections could not be closed", failure))
        return drained.addCallback(lambda _: self._stopRoutes()).addCallback(self._close).addCallback(lambda _: aborted)

    async def _closeAll(self) -> None:
        await self.listening.stop()
        await self._drain.finish(self.config.drain)
        policies = [self.config.policies, *(factory.policies for factory in self.routes.factories)]
        await self._drain.close(max(each.closing_timeout for each in policies))

    def stopNow(self) -> None:
        """Drop all connections of a daemon that is stopping. The routes still save what they have."""
        if self.site.doors:
            self.log.warn("all connections are dropped, since a second signal came", event="daemon.hurried")
        self._drain.hurry()
        if self.successor is not None:
            self.successor.hurry()

    def _stopRoutes(self) -> Deferred[Any]:
        self._watchdog.stop()
        self._tasks.stop()
        self._parts.timer.stop()
        self._signals.restore()
        self.listening.close()
        return self.routes.stop()

    def _close(self, result: Any) -> Any:
        if self.control is not None:
            self.control.finish()
        self._parts.pool.close()
        if self.locks is not None:
            self.locks.close()
        return self.tracing.stop().addCallback(lambda _: result)
