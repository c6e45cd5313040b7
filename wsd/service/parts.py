"""What all routes of a daemon share: its clock, its limits, its threads and its metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wsd.auth.authenticator import Authenticators
from wsd.config import Config, ConfigError, Policies
from wsd.frames import Plane
from wsd.frames import choose as choosePlane
from wsd.metrics import Metrics
from wsd.policies.budget import Budget
from wsd.policies.pool import BlockingPool
from wsd.policies.rates import Rates
from wsd.policies.timer import Timer
from wsd.service.multiprocess import Membership
from wsd.traces.tracing import Tracing


@dataclass(frozen=True, slots=True)
class SharedParts:
    """The objects of which a daemon has one each."""

    reactor: Any
    plane: Plane
    timer: Timer
    metrics: Metrics
    budget: Budget
    pool: BlockingPool
    rates: Rates
    authenticators: Authenticators
    tracing: Tracing


def makeParts(config: Config, reactor: Any, membership: Membership | None = None) -> SharedParts:
    """Make them for a daemon, which may be one of several workers. Raises ConfigError."""
    plane, timer = _planeOf(config), Timer(reactor)
    metrics = Metrics(plane.traffic)
    pool = BlockingPool(reactor, metrics)
    number, makeRates = (None, _makeRates) if membership is None else (membership.number, membership.makeRates)
    return SharedParts(
        reactor=reactor,
        plane=plane,
        timer=timer,
        metrics=metrics,
        budget=Budget(config.policies, reactor, 1 if membership is None else config.workers),
        pool=pool,
        rates=makeRates(config.policies, timer),
        authenticators=Authenticators(reactor, pool, metrics),
        tracing=Tracing(reactor, metrics.spans, number),
    )


def _makeRates(policies: Policies, timer: Timer) -> Rates:
    return Rates(timer)


def _planeOf(config: Config) -> Plane:
    """The plane of frames that the configuration names. Raises ConfigError."""
    try:
        return choosePlane(config.frames)
    except ValueError as error:
        raise ConfigError(f"frames: {error}") from None
