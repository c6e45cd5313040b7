"""What all routes of a daemon share: its clock, its limits, its threads and its metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wsd.auth.authenticator import Authenticators
from wsd.config import Config, ConfigError
from wsd.frames import Plane
from wsd.frames import choose as choosePlane
from wsd.metrics import Metrics
from wsd.policies.budget import Budget
from wsd.policies.pool import BlockingPool
from wsd.policies.rates import Rates
from wsd.policies.timer import Timer


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


def makeParts(config: Config, reactor: Any, processes: int = 1) -> SharedParts:
    """Make them for a daemon whose memory is divided among so many processes. Raises ConfigError."""
    plane, timer = _planeOf(config), Timer(reactor)
    metrics = Metrics(plane.traffic)
    pool = BlockingPool(reactor, metrics)
    return SharedParts(
        reactor=reactor,
        plane=plane,
        timer=timer,
        metrics=metrics,
        budget=Budget(config.policies, reactor, processes),
        pool=pool,
        rates=Rates(timer),
        authenticators=Authenticators(reactor, pool, metrics),
    )


def _planeOf(config: Config) -> Plane:
    """The plane of frames that the configuration names. Raises ConfigError."""
    try:
        return choosePlane(config.frames)
    except ValueError as error:
        raise ConfigError(f"frames: {error}") from None
