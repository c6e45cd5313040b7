"""What a connection needs of its transport and of its factory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.interfaces import IReactorTime

from wsd.config import Policies, Route
from wsd.frames import Plane
from wsd.frames.contexts import DeflateContextCache
from wsd.frames.handler import FrameLimits
from wsd.metrics import Metrics, RouteCounters
from wsd.policies.budget import Budget
from wsd.policies.rates import Rates
from wsd.policies.timer import Timer
from wsd.policies.turns import Turns

if TYPE_CHECKING:
    from wsd.auth.authenticator import Authenticator


class WsdTransport(Protocol):
    """What wsd's own transports have beyond Twisted's interfaces."""

    unsent: int
    """Bytes that were written to the transport and that the kernel has not taken."""

    def written(self) -> int:
        """Returns the number of bytes written since the connection began."""

    def acknowledged(self) -> int:
        """Returns the number of these bytes that have reached the peer."""

    def limitKernelBuffer(self, size: int) -> None:
        """Let the kernel buffer at most `size` unsent bytes."""

    def tellUnsent(self, tell: Callable[[int], None]) -> None:
        """Call `tell` with the number of unsent bytes: now, and whenever it changes, until the connection is lost."""

    copies: bool
    """Whether writing copies large data."""

    def setReceiver(self, receiver: Any) -> None:
        """Deliver what is read to `receiver.dataReceived` from now on, bypassing all protocols in between."""


class ForeignTransport:
    """Any other transport: it does not report how many bytes are unsent, only when they are too many."""

    unsent = 0
    copies = True

    def written(self) -> int:
        """Unknown."""
        return 0

    def acknowledged(self) -> int:
        """Unknown."""
        return 0

    def limitKernelBuffer(self, size: int) -> None:
        """Not possible."""

    def tellUnsent(self, tell: Callable[[int], None]) -> None:
        """Unknown."""

    def setReceiver(self, receiver: Any) -> None:
        """Not needed: the connection's `dataReceived` passes on what is read."""


class RouteFactory(Protocol):
    """The part of `wsd.connection.Factory` that a connection needs."""

    clock: IReactorTime
    now: Callable[[], float]
    options: Any
    policies: Policies
    timer: Timer
    metrics: Metrics
    counters: RouteCounters
    budget: Budget
    rates: Rates
    turns: Turns
    plane: Plane
    frameLimits: FrameLimits
    deflateContexts: DeflateContextCache
    connections: set[Any]
    route: Route
    authenticator: Authenticator | None

    def choose(self, offered: tuple[str, ...]) -> str | None:
        """Returns the subprotocol by the route's order of preference."""
