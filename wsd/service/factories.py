"""Builds the factories of routes, and asks their protocols what they need of the daemon: files, and one process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsd import protocols
from wsd.auth.authenticator import Authenticator
from wsd.config import Config, ConfigError, Route
from wsd.connection import Factory, Placement
from wsd.logs import describeError
from wsd.service.parts import SharedParts
from wsd.web.route import SiteRoute


@dataclass(frozen=True, slots=True)
class FactoryBuilder:
    """Builds factories, with the objects that all of them share."""

    parts: SharedParts
    serves: Callable[[Route], bool] = lambda route: True
    """Whether this process serves a route. The others are served by another worker, and have no factories here."""

    def factory(self, route: Route, name: str, subprotocols: tuple[str, ...] | None = None) -> Factory:
        """The factory of one protocol of a route. Any exception of the protocol becomes a ConfigError."""
        parts = self.parts
        try:
            return protocols.load(name)(
                route,
                route.options[name],
                parts.reactor,
                parts.timer,
                parts.metrics,
                subprotocols,
                plane=parts.plane,
                budget=parts.budget,
                pool=parts.pool,
                rates=parts.rates,
                tracing=parts.tracing,
            )
        except ConfigError as error:
            raise error.within(route.table) from error
        except (Exception, SystemExit) as error:
            raise ConfigError(f'the protocol "{name}" cannot be built: {describeError(error)}', route.table) from error

    def route(self, route: Route) -> SiteRoute:
        """A route with a factory for each of its protocols."""
        if not self.serves(route):
            return SiteRoute(route, {})
        if route.single is not None:
            return SiteRoute(route, {None: self.factory(route, route.single)}, self._authenticator(route))
        factories: dict[str | None, Factory] = {
            subprotocol: self.factory(route, name, (subprotocol,) if subprotocol else ())
            for subprotocol, name in route.protocol.items()
        }
        return SiteRoute(route, factories, self._authenticator(route))

    def _authenticator(self, route: Route) -> Authenticator | None:
        """What finds out who the clients of a route are. Raises ConfigError."""
        try:
            return self.parts.authenticators.of(route.auth)
        except ConfigError as error:
            raise error.within(route.table) from None


def placementOf(route: Route) -> Placement:
    """Which of several workers may serve a route: that of its protocols which binds the most. Raises ConfigError."""
    placements = {protocols.load(name).placementFor(options) for name, options in route.options.items()}
    return next((each for each in reversed(Placement) if each in placements), Placement.shared)


def lockFiles(
    config: Config, environ: Mapping[str, str], serves: Callable[[Route], bool] = lambda route: True
) -> Iterator[Path]:
    """The files to lock, as the options of the routes that this process serves name them."""
    for route in filter(serves, config.routes.values()):
        for options in route.options.values():
            yield from _lockFilesOf(options, environ)


def _lockFilesOf(options: Any, environ: Mapping[str, str]) -> Iterable[Path]:
    filesOf = getattr(options, "lockFiles", None)
    found: Iterable[Path] = () if filesOf is None else filesOf(environ)
    return found


def isExclusive(factory: Factory) -> bool:
    """Whether a factory uses files that no other process may use at the same time."""
    return any(True for _ in _lockFilesOf(factory.options, os.environ))
