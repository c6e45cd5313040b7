"""
The daemon: puts the house together, and starts, reloads and stops it. The only room that knows all the others.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd import __version__, protocols
from wsd.config import Config, ConfigError, Route
from wsd.config.changes import FIXED, changes, fixedOf
from wsd.config.state import Locks
from wsd.connection import Connection, Factory
from wsd.frames import Plane
from wsd.frames import choose as choosePlane
from wsd.frames.libraries import chosen
from wsd.listen.bind import bind
from wsd.listen.bind import check as checkListeners
from wsd.listen.descriptors import descriptorsFor, raiseDescriptorLimit, roomIn
from wsd.listen.endpoints import Unusable
from wsd.listen.listener import Listener
from wsd.listen.port import Shortage
from wsd.listen.proxy import ProxyFactory
from wsd.listen.ring import Ring, ringOf
from wsd.listen.systemd import Systemd, recall
from wsd.logs import told
from wsd.metrics import Metrics
from wsd.policies.address import TlsInfo, Trust, inNetworks
from wsd.policies.admission import Admission
from wsd.policies.budget import Budget
from wsd.policies.memory import HeapTrimmer, tuneMalloc
from wsd.policies.timer import Timer
from wsd.web.console import addConsole
from wsd.web.door import Doors
from wsd.web.draining import Drain
from wsd.web.probes import Health, MetricsPage, Ready
from wsd.web.site import Site, SiteRoute
from wsd.web.starting import start

if TYPE_CHECKING:
    from wsd.listen.tls import Certificates

__all__ = ["Daemon", "Unusable", "makeService"]

_WATCH = 5.0
"""Seconds between two looks at the certificates' files."""

_STOPPING = 10.0
"""Seconds that a route may take to stop; whatever still hangs then ends with the process."""


def makeService(config: Config, reactor: Any, reread: Callable[[], Config]) -> IService:
    """
    The daemon as a service of Twisted's, with every listener bound.

    `reread` gives the configuration anew when the daemon is told to reload. Raises `Unusable` or `ConfigError`, each
    one sentence for the person at the terminal.
    """
    recall(os.environ)
    locks = Locks()
    locks.take(_lockFiles(config, os.environ))
    try:
        return Daemon(config, reactor, reread, os.environ, locks)
    except BaseException:
        locks.close()
        raise


def check(config: Config, reactor: Any) -> list[str]:
    """
    Build everything that the configuration names, without starting it, and return warnings.

    Raises `Unusable` or `ConfigError` for the same faults as `makeService`, except those of binding a listener.
    """
    plane, timer = _planeOf(config), Timer(reactor)
    metrics = Metrics(plane.traffic)
    for route in config.routes.values():
        for name in route.options:
            _build(protocols.load(name), name, route, reactor, timer, metrics, None, plane)
    return checkListeners(config)


def _planeOf(config: Config) -> Plane:
    try:
        return choosePlane(config.frames)
    except ValueError as error:
        raise ConfigError(f"frames: {error}") from None


def _build(build: type[Factory], name: str, route: Route, *rest: Any) -> Factory:
    """Build a factory of a route. Whatever its protocol raises becomes a ConfigError."""
    try:
        return build(route, route.options[name], *rest)
    except (Exception, SystemExit) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f'{route.path}: the protocol "{name}" cannot be loaded: {told(error)}') from error


class Daemon(Service):
    """wsd, from its listeners to its routes."""

    name = "wsd"
    log = Logger(namespace="wsd")

    def __init__(
        self,
        config: Config,
        reactor: Any,
        reread: Callable[[], Config],
        environ: MutableMapping[str, str],
        locks: Locks | None = None,
    ) -> None:
        self.reactor = reactor
        self._locks = locks
        self.config = config
        self._reread = reread
        self._environ = environ
        self._systemd = Systemd(environ)
        self._plane = _planeOf(config)
        self._timer = Timer(reactor)
        self._ring: Any = None
        self.metrics = Metrics(self._plane.traffic)
        self._shortage = Shortage(reactor.seconds, self.metrics.acceptFailure)
        self._descriptors = 0
        self._fixed = fixedOf(config)
        self._proxies: list[ProxyFactory] = []
        self._retired: list[Factory] = []
        self._beats: list[LoopingCall] = []
        self._signals: dict[int, Any] = {}
        self._notReady = ["the daemon has not started"]
        self.certificates: Certificates | None = None
        self._tlsOf: Callable[[Any], TlsInfo | None] = lambda transport: None
        if config.tls.port is not None or config.tls.listen:
            self._loadTls()
        self._budget = Budget(config.policies, reactor)
        self._routes = self._buildRoutes(config, {})
        self._introduce(self._routes, {})
        self._admission = Admission(config.policies, self._timer)
        self.site = Site(
            self._routes.values(),
            config.policies,
            config.hosts,
            Trust(config.trusted_proxies, config.proxy_header),
            reactor,
            self._timer,
            self._admission,
            self.metrics,
            self._tlsOf,
        )
        self._addPages()
        self._describeMetrics()
        self.listeners, self._notices = bind(config, environ)
        self._bindOthers()

    def _bindOthers(self) -> None:
        """Twisted's own endpoints listen at once, so that a taken port is said before the terminal is left."""
        for listener in self.listeners:
            if listener.endpoint is not None:
                failed: list[Failure] = []
                listener.adopt(self.reactor, self._compose(listener)).addErrback(failed.append)
                if failed:
                    raise Unusable(f"listen {listener.endpoint!r}: {failed[0].getErrorMessage()}")

    def _loadTls(self) -> None:
        """The certificates; the libraries of TLS are needed only here."""
        try:
            from wsd.listen.tls import Certificates, tlsOf
        except ModuleNotFoundError as error:
            raise ConfigError(f'tls: needs {error.name}, which is not installed; pip install "wsd[tls]"') from error
        self.certificates, self._tlsOf = Certificates(self.config.tls, self._environ), tlsOf

    # -- what is served -------------------------------------------------------------------------------------------

    def _buildRoutes(self, config: Config, before: Mapping[str, SiteRoute]) -> dict[str, SiteRoute]:
        """
        The routes of a configuration. An unchanged route keeps its factories and their state.

        A route that could not start is built anew, since the cause may have been repaired.
        """

        def keeps(old: SiteRoute | None, route: Route) -> bool:
            return old is not None and old.route == route and not any(each.hasFailed for each in old.distinct())

        return {
            key: before[key] if keeps(before.get(key), route) else self._buildRoute(route)
            for key, route in config.routes.items()
        }

    def _introduce(self, routes: Mapping[str, SiteRoute], before: Mapping[str, SiteRoute]) -> None:
        """Have the new factories meet the others. Only those that will be started do."""
        known = [factory for route in before.values() for factory in route.distinct()] + self._retired
        for factory in [factory for route in routes.values() for factory in route.distinct() if factory not in known]:
            factory.meet(known)
            known.append(factory)

    def _buildRoute(self, route: Route) -> SiteRoute:
        if route.single is not None:
            return SiteRoute(route, {None: self._buildFactory(route, route.single, None)})
        factories: dict[str | None, Factory] = {}
        for subprotocol, name in route.protocol.items():
            factories[subprotocol] = self._buildFactory(route, name, (subprotocol,) if subprotocol else ())
        return SiteRoute(route, factories)

    def _buildFactory(self, route: Route, name: str, subprotocols: tuple[str, ...] | None) -> Factory:
        rest = (self.reactor, self._timer, self.metrics, subprotocols, self._plane, self._budget)
        return _build(protocols.load(name), name, route, *rest)

    def _addPages(self) -> None:
        addConsole(self.site)
        self.site.pages["/healthz"] = Health()
        self.site.pages["/readyz"] = Ready(self._readiness)
        self.site.pages["/metrics"] = MetricsPage(
            self.metrics,
            lambda request: request.peer.direct or inNetworks(request.peer.address, self.config.metrics_allow),
        )

    def _factories(self) -> Iterator[Factory]:
        for route in self._routes.values():
            yield from route.distinct()
        yield from self._retired

    def _connections(self) -> list[Connection]:
        return [connection for factory in self._factories() for connection in factory.connections]

    def _readiness(self) -> tuple[bool, str, list[str], list[str]]:
        """For /readyz: whether, the plane of frames, the routes, and the reasons why not."""
        reasons = list(self._notReady)
        for path, route in self._routes.items():
            told = (factory.unusable or factory.ready() for factory in route.distinct())
            reasons += [f"{path}: {reason}" for reason in told if reason is not None]
        return not reasons, self._plane.name, list(self._routes), reasons

    def _describeMetrics(self) -> None:
        metrics = self.metrics
        metrics.info(__version__, self._plane.name, chosen().name, type(self.reactor).__name__)
        metrics.setConnections(lambda: self.site.admission.connections, lambda: self.site.admission.most)
        metrics.setSendBuffers(lambda: [connection.unsent for connection in self._connections()])
        metrics.setMemory(lambda: self._budget.used)
        metrics.setLag(lambda: self._timer.lag)
        if self.certificates is not None:
            metrics.setCertificates(self.certificates.expiry)
            metrics.setRevoked(self.certificates.revokedEnd)

    # -- starting -------------------------------------------------------------------------------------------------

    def startService(self) -> None:
        """Start the routes, then listen. A route that cannot start answers 503; all other routes work."""
        super().startService()
        self._catchSignals()
        self._descriptors = raiseDescriptorLimit()
        self._shortage.prepare()
        if self._locks is not None:
            self._locks.sign()
        self._timer.start()
        tuneMalloc()
        HeapTrimmer(self._timer, lambda: self.metrics.transferred + self._budget.total).start()
        self.log.info(
            "wsd {version} starts: plane {plane}, deflate {deflate}, {descriptors} descriptors",
            event="daemon.starts",
            version=__version__,
            plane=self._plane.name,
            deflate=chosen().name,
            descriptors=self._descriptors,
        )
        self._admission.setRoom(roomIn(self._descriptors))
        self._tellRoom()
        for notice in self._notices:
            self.log.warn("{notice}", event="listener.skipped", notice=notice)
        for notice in self._locks.notices if self._locks is not None else ():
            self.log.warn("{notice}", event="state.unwritable", notice=notice)
        # Not before the reactor minds its signals: who hears that we are ready may end us at once, and properly.
        self.reactor.callWhenRunning(self._startRoutes)

    def _tellRoom(self) -> None:
        wanted = self.config.policies.max_connections
        if self._admission.most < wanted:
            self.log.warn(
                "max_connections is {wanted}, but {descriptors} descriptors are only enough for {most}: allow "
                "{needed} (LimitNOFILE= of the unit, or ulimit -n), or lower max_connections",
                event="daemon.descriptors",
                wanted=wanted,
                descriptors=self._descriptors,
                most=self._admission.most,
                needed=descriptorsFor(wanted),
            )

    def _startRoutes(self) -> None:
        started = gatherResults([start(factory) for factory in self._factories()])
        started.addCallback(lambda _: self._listen())
        started.addCallbacks(lambda _: self._ready(), self._cannotStart)

    def _listen(self) -> Deferred[Any]:
        """Accept connections, unless the daemon has been stopped before its routes had started."""
        if self.running:
            self._ring = ringOf(self.reactor)
        return gatherResults(
            [
                listener.adopt(self.reactor, self._compose(listener), self._ring, self._shortage)
                for listener in self.listeners
                if listener.endpoint is None and self.running
            ],
            consumeErrors=True,
        )

    def _compose(self, listener: Listener) -> Any:
        """What a listener builds: PROXY, then TLS, then the door, in the order in which real proxies send them."""
        factory: Any = Doors(self.site)
        if listener.secure:
            assert self.certificates is not None
            factory = self.certificates.wrap(factory)
        if self.config.proxy_protocol if listener.proxied is None else listener.proxied:
            factory = ProxyFactory(self.reactor, factory, self.site.trust.trusts, self.config.policies.opening_timeout)
            self._proxies.append(factory)
        return factory

    def _ready(self) -> None:
        if not self.running:
            return
        self._notReady = []
        self._beat(_WATCH, self._stopRetired)
        if self.certificates is not None and self.certificates.selfSignedPath is not None:
            self.log.info(
                "to develop with wss, trust {path}",
                event="certificate.selfsigned",
                path=self.certificates.selfSignedPath,
            )
        for listener in self.listeners:
            self.log.info("listening {url}", event="listener.listening", url=listener.url)
            if listener.wide:
                self.log.warn("{url} can be reached from other machines", event="listener.wide", url=listener.url)
        self._warnOfBuiltIn(self._routes)
        self._systemd.tell("READY=1", self._serving)
        if self._systemd.watchdog is not None:
            self._beat(self._systemd.watchdog / 2, lambda: self._systemd.tell("WATCHDOG=1"))
        if self.certificates is not None:
            self._beat(_WATCH, self.certificates.poll)

    def _warnOfBuiltIn(self, paths: Iterable[str]) -> None:
        """Warn of built-in routes that strangers can reach although nobody configured them."""
        wide = " ".join(listener.url for listener in self.listeners if listener.wide)
        for path in paths:
            if wide and self.config.routes[path].builtIn:
                self.log.warn(
                    "{route} is built in and can be reached from other machines at {urls}; set built_in = false and "
                    "name the routes that you want",
                    event="route.exposed",
                    route=path,
                    urls=wide,
                )

    @property
    def _serving(self) -> str:
        return "listening " + " ".join(listener.url for listener in self.listeners)

    def _beat(self, seconds: float, call: Callable[[], Any]) -> None:
        loop = LoopingCall(call)
        loop.clock = self.reactor
        loop.start(seconds).addErrback(lambda failure: self.log.failure("a periodic task failed", failure))
        self._beats.append(loop)

    def _cannotStart(self, failure: Failure) -> None:
        """An endpoint could not be set up: say so, and end."""
        reason = failure.value
        cause = getattr(reason, "subFailure", failure)
        if not cause.check(Unusable, ConfigError, OSError):
            self.log.failure("wsd cannot start", cause)
        self.log.critical("wsd: {sentence}", event="daemon.unusable", sentence=cause.getErrorMessage())
        # Ended by a signal, Twisted's commands have an exit status that is not 0.
        os.kill(os.getpid(), signal.SIGTERM)

    # -- signals --------------------------------------------------------------------------------------------------

    def _catchSignals(self) -> None:
        """HUP reloads; without this it would end the daemon."""
        self._signals = {signal.SIGHUP: signal.signal(signal.SIGHUP, self._hup)}

    def _hup(self, *_: Any) -> None:
        self.reactor.callFromThread(self.reload)

    def reload(self) -> None:
        """
        Read the configuration and the certificates anew; a broken one keeps what was, and the log says why.

        Foreign modules run while it is read; whatever they raise, even SystemExit, does not end the daemon.

        New connections get the new routes and policies. Listeners stay as they are: other ones need a restart.
        """
        if not self.running:
            return
        self._systemd.tell("RELOADING=1")
        status = "not reloaded; the log says why"
        try:
            status = self._reloaded()
        except Exception:
            self.log.failure("not reloaded", event="reload.refused")
        finally:
            self._systemd.tell("READY=1", status)

    def _reloaded(self) -> str:
        """Do the reload. Returns the new text for `systemctl status`."""
        status = self._serving
        try:
            config = self._reread()
            routes = self._buildRoutes(config, self._routes)
            if self._locks is not None:
                self._locks.take(_lockFiles(config, self._environ))
            self._introduce(routes, self._routes)
        except BaseException as error:
            sentence = str(error) if isinstance(error, (ConfigError, Unusable)) else told(error)
            status = f"not reloaded: {sentence}"
            self.log.error(
                "not reloaded, the configuration stays as it was: {sentence}",
                event="reload.refused",
                sentence=sentence,
            )
        else:
            self._replace(config, routes)
        if self.certificates is not None:
            self.certificates.reload(self.config.tls)
        return status

    def _replace(self, config: Config, routes: dict[str, SiteRoute]) -> None:
        before, self.config = self.config, config
        old, self._routes = self._routes, routes
        self._warnOfBuiltIn(key for key in routes if key not in old or not old[key].route.builtIn)
        for factory in [
            factory for key in routes if routes[key] is not old.get(key) for factory in routes[key].distinct()
        ]:
            start(factory)
        self._retired += _onlyIn(old, routes)
        self._admission.configure(config.policies)
        self._budget.configure(config.policies)
        if config.policies.max_connections != before.policies.max_connections:
            self._tellRoom()
        trust = Trust(config.trusted_proxies, config.proxy_header)
        self.site.configure(config.policies, config.hosts, trust)
        for proxies in self._proxies:
            proxies.trusts, proxies.timeout = trust.trusts, config.policies.opening_timeout
        self.site.replaceRoutes(routes.values())
        self._tellChanges(before)

    def _tellChanges(self, before: Config) -> None:
        """Log what a reload has changed, and which changes since the start need a restart."""
        taken = [key for key in changes(before, self.config) if key not in FIXED]
        self.log.info(
            "reloaded, changed: {keys}" if taken else "reloaded, no key that a reload takes up has changed",
            event="reload.done",
            keys=", ".join(taken),
        )
        waiting = [key for key, value in fixedOf(self.config).items() if value != self._fixed[key]]
        if waiting:
            self.log.warn(
                "{keys} changed and will take effect after a restart",
                event="reload.partial",
                keys=", ".join(waiting),
            )

    def _stopRetired(self) -> None:
        """Stop the factories that a reload has replaced, when their last connection is gone."""
        gone = [factory for factory in self._retired if not factory.connections]
        self._retired = [factory for factory in self._retired if factory.connections]
        for factory in gone:
            self._stopRoute(factory)

    # -- stopping -------------------------------------------------------------------------------------------------

    def stopService(self) -> Deferred[Any]:
        """
        Finish pending answers, close all WebSockets with 1001, wait for that, and stop the routes.

        This takes at most `drain`, the longest `closing_timeout`, and the time that the routes need to stop. Meanwhile
        new requests get 503, /readyz too. On a socket that systemd holds, new clients wait for the next daemon.
        """
        super().stopService()
        self._systemd.tell("STOPPING=1", "closing the connections")
        self._notReady = ["the daemon stops"]
        self.site.stopping = True
        left = Deferred.fromCoroutine(self._leave())
        left.addErrback(lambda failure: self.log.failure("the connections did not end", failure))
        return left.addCallback(lambda _: self._stopRoutes())

    async def _leave(self) -> None:
        drain = Drain(self.site, self._connections, self.reactor)
        await self._stopListening(listener for listener in self.listeners if listener.inherited)
        await drain.finish(self.config.drain)
        await self._stopListening(self.listeners)
        patience = [self.config.policies, *(factory.policies for factory in self._factories())]
        await drain.close(max(policies.closing_timeout for policies in patience))

    async def _stopListening(self, listeners: Iterable[Listener]) -> None:
        stopped = gatherResults([done for listener in listeners for done in listener.stop()], consumeErrors=True)
        await stopped.addErrback(lambda failure: self.log.failure("a listener did not stop", failure))

    def _stopRoutes(self) -> Deferred[Any]:
        for loop in self._beats:
            if loop.running:
                loop.stop()
        self._timer.stop()
        for number, handler in self._signals.items():
            signal.signal(number, handler)
        for listener in self.listeners:
            listener.close()
        if isinstance(self._ring, Ring):
            self._ring.stop()
        self._shortage.close()
        stopped = gatherResults([self._stopRoute(factory) for factory in self._factories()])
        return stopped.addCallback(self._unlock)

    def _unlock(self, result: Any) -> Any:
        if self._locks is not None:
            self._locks.close()
        return result

    def _stopRoute(self, factory: Factory) -> Deferred[Any]:
        stopped = maybeDeferred(factory.stopped).addTimeout(_STOPPING, self.reactor)
        return stopped.addErrback(
            lambda failure: self.log.failure("a route did not stop", failure, event="route.unstopped")
        )


def _lockFiles(config: Config, environ: Mapping[str, str]) -> Iterator[Path]:
    """The files to lock for the routes that store things."""
    for route in config.routes.values():
        for options in route.options.values():
            lockFiles = getattr(options, "lockFiles", None)
            if lockFiles is not None:
                yield from lockFiles(environ)


def _onlyIn(routes: Mapping[str, SiteRoute], others: Mapping[str, SiteRoute]) -> list[Factory]:
    """The factories of these routes that are not those of the others."""
    return [factory for key, route in routes.items() if others.get(key) is not route for factory in route.distinct()]
