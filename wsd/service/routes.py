"""The daemon's routes: starts, replaces and stops them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.config import Config, Route
from wsd.config.prepared import PreparedChange
from wsd.config.state import Locks
from wsd.connection import Connection, Factory
from wsd.service.factories import FactoryBuilder, isExclusive, lockFiles
from wsd.web.route import SiteRoute
from wsd.web.starting import start

_STOPPING = 10.0
"""Seconds that a route may take to stop. After that it is abandoned."""


class FactoryKey(NamedTuple):
    """Names a factory: the route's key in the configuration, and the subprotocol if the route has one for each."""

    route: str
    subprotocol: str | None


class RouteTable:
    """The routes that are served, and replaced factories that still have connections."""

    log = Logger(namespace="wsd")

    def __init__(self, builder: FactoryBuilder) -> None:
        self.routes: Mapping[str, SiteRoute] = {}
        """The routes by their keys in the configuration."""
        self.retired: list[Factory] = []
        """Replaced factories that have not been stopped yet."""
        self.kept: dict[str, str] = {}
        """Why a route serves as before the last reload, by its key: the new one could not be started."""
        self.replaced: Callable[[], object] = lambda: None
        """Called when a route has taken the place of an old one after `replace`."""
        self.starting: Deferred[Any] = succeed(None)
        """Fires when each factory that the latest `replace` has started is ready, or has failed."""
        self._waiting: dict[str, SiteRoute] = {}
        """Routes that take the place of those of the same key when they have started."""
        self._builder = builder
        self._started: set[Factory] = set()
        """Factories that were started alone."""
        self._stopped: set[Factory] = set()
        """Factories that were stopped alone."""
        self._hasGarbage = False
        """Whether the last `stopUnused` has stopped something."""

    @property
    def factories(self) -> list[Factory]:
        """All factories, the replaced ones included."""
        return [*_factoriesOf(self.routes), *_factoriesOf(self._waiting), *self.retired]

    @property
    def connections(self) -> list[Connection]:
        """All WebSockets."""
        return [connection for factory in self.factories for connection in factory.connections]

    def build(self, routes: Mapping[str, Route]) -> dict[str, SiteRoute]:
        """
        The routes of a configuration. An unchanged route keeps its factories and their state.

        A route that could not start is built anew, since the cause may have been repaired. Raises ConfigError.
        """
        return {key: self._existing(key, route) or self._builder.route(route) for key, route in routes.items()}

    def _existing(self, key: str, route: Route) -> SiteRoute | None:
        """The route of this key if it is unchanged: that which serves, or that which takes its place soon."""
        for found in (self._waiting.get(key), self.routes.get(key)):
            if found is not None and found.route == route and not any(each.hasFailed for each in found.distinct()):
                return found
        return None

    def introduce(self, routes: Mapping[str, SiteRoute]) -> list[Factory]:
        """
        Call `meet` of each new factory with all others. Called only for factories that will be started.

        Returns the new factories.
        """
        known = self.factories
        new = [factory for factory in _factoriesOf(routes) if factory not in known]
        met: list[Factory] = []
        try:
            for factory in new:
                met.append(factory)
                factory.meet(known)
                known.append(factory)
        except BaseException:
            self.forget(met)
            raise
        return new

    @staticmethod
    def forget(factories: Iterable[Factory]) -> None:
        """The others know these factories, which are never started: nothing may be shared with them."""
        for factory in factories:
            factory.hasFailed = True

    def prepare(self, config: Config, locks: Locks | None, environ: Mapping[str, str]) -> PreparedChange:
        """
        Build the routes of a new configuration, which the change then serves, and lock their files.

        Without `locks`, no file is locked. Raises ConfigError.
        """
        routes = self.build(config.routes)
        locked = [] if locks is None else locks.take(lockFiles(config, environ, self._builder.serves))

        def abort(met: Iterable[Factory]) -> None:
            self.forget(met)
            if locks is not None:
                locks.release(locked)

        try:
            met = self.introduce(routes)
        except BaseException:
            abort(())
            raise
        return PreparedChange(lambda: self.replace(routes), lambda: abort(met))

    @property
    def named(self) -> dict[FactoryKey, Factory]:
        """The factories of the current routes, by what names them in a configuration."""
        return {
            FactoryKey(key, subprotocol): factory
            for key, route in self.routes.items()
            for subprotocol, factory in route.factories.items()
        }

    def start(self, exclusive: bool | None = None) -> Deferred[Any]:
        """
        Start all factories; with `exclusive` only those that lock files, or only all others.

        Fires when each has started or failed. Never fails itself.
        """
        chosen = (each for each in self.factories if exclusive is None or isExclusive(each) is exclusive)
        return gatherResults([start(factory) for factory in chosen if factory not in self._started])

    def startOne(self, factory: Factory) -> Deferred[Any]:
        """Start one factory, before or again after all others. Fires when it has started or failed."""
        self._stopped.discard(factory)
        self._started.add(factory)
        return start(factory)

    def stopOne(self, factory: Factory) -> Deferred[Any]:
        """Stop one factory before all others. Fires when it has stopped, failed or timed out."""
        stopped = self._stop(factory)
        self._stopped.add(factory)
        return stopped

    def replace(self, routes: Mapping[str, SiteRoute]) -> None:
        """
        Serve these routes from now on. Replaced factories keep their connections.

        A route that is new is served at once. One that takes the place of another does so when it has started, and
        never if it cannot start.
        """
        old, waiting = self.routes, self._waiting
        self._waiting = {key: route for key, route in routes.items() if _isAwaited(old.get(key), route)}
        self.routes = {**routes, **{key: old[key] for key in self._waiting}}
        self.kept = {}
        gone = [*_onlyIn(old, self.routes), *_onlyIn(waiting, self._waiting, self.routes)]
        begun = {key: route for key, route in routes.items() if route not in (old.get(key), waiting.get(key))}
        starting = [self._begin(key, route) for key, route in begun.items()]
        # One that has fired would be kept with its factories, and those before it, for as long as the daemon runs.
        before = [] if self.starting.called else [self.starting]
        self.starting = gatherResults([*before, *starting])
        self._leave(gone)

    def _begin(self, key: str, route: SiteRoute) -> Deferred[Any]:
        hasOther = key in self._waiting
        started = gatherResults([start(factory, hasOther) for factory in route.distinct()])
        return started.addCallback(lambda _: self._begun(key, route))

    def _begun(self, key: str, route: SiteRoute) -> None:
        """A route has started or failed: take the place of the old one, unless a reload has replaced it meanwhile."""
        if self._waiting.get(key) is not route:
            return
        del self._waiting[key]
        failed = [factory for factory in route.distinct() if factory.hasFailed]
        if failed:
            self.kept[key] = f"the reloaded route serves as before: {failed[0].unusable}"
            self.retired += route.distinct()
            return
        before = self.routes[key]
        self.routes = {**self.routes, key: route}
        self._leave(before.distinct())
        self.replaced()

    def _leave(self, factories: list[Factory]) -> None:
        """No request comes to these any more. They are stopped when their connections have ended."""
        self.retired += factories
        self._retire(factories)

    def retire(self) -> None:
        """No request comes to any route any more."""
        self._retire(_factoriesOf(self.routes))

    def _retire(self, factories: Iterable[Factory]) -> None:
        for factory in factories:
            try:
                factory.retired()
            except Exception:
                self.log.failure("a route could not finish its answers", Failure(), event="route.unstopped")

    def stopUnused(self) -> None:
        """Stop the replaced factories that have no connections left."""
        if self._hasGarbage:
            # Factories and what they have made, such as schemas of SOAP, refer to each other in circles: megabytes for
            # each reload, which Python collects only when a quarter of all objects is new.
            gc.collect()
        unused = [factory for factory in self.retired if not factory.connections]
        self._hasGarbage = bool(unused)
        self.retired = [factory for factory in self.retired if factory.connections]
        for factory in unused:
            self._stop(factory)

    def stop(self) -> Deferred[Any]:
        """Stop all factories. Fires when each has stopped, failed or timed out."""
        return gatherResults([self._stop(factory) for factory in self.factories])

    def _stop(self, factory: Factory) -> Deferred[Any]:
        if factory in self._stopped:
            return succeed(None)
        stopped = maybeDeferred(factory.stopped).addTimeout(_STOPPING, self._builder.parts.reactor)
        return stopped.addErrback(
            lambda failure: self.log.failure("a route could not be stopped", failure, event="route.unstopped")
        )

    def warnings(self) -> list[str]:
        """A sentence for each route that serves as before the last reload, since the new one could not be started."""
        return [f"{path}: {reason}" for path, reason in self.kept.items()]

    def faults(self) -> Iterator[str]:
        """A sentence for each factory that cannot serve now."""
        for path, route in self.routes.items():
            for factory in route.distinct():
                reason = factory.unusable or factory.ready()
                if reason is not None:
                    yield f"{path}: {reason}"


def _factoriesOf(routes: Mapping[str, SiteRoute]) -> Iterator[Factory]:
    for route in routes.values():
        yield from route.distinct()


def _onlyIn(routes: Mapping[str, SiteRoute], *others: Mapping[str, SiteRoute]) -> list[Factory]:
    """The factories of routes that no table of `others` has."""
    only = {key: route for key, route in routes.items() if all(each.get(key) is not route for each in others)}
    return list(_factoriesOf(only))


def _isAwaited(old: SiteRoute | None, new: SiteRoute) -> bool:
    """Whether the old route serves until the new one has started."""
    return old is not None and old is not new and not any(each.unusable or each.hasFailed for each in old.distinct())
