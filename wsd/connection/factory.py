"""Factory: builds the connections of one route, under the route's policies, as long as the route exists."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource

from wsd.auth.authenticator import Authenticator
from wsd.config import Policies, Route
from wsd.connection.connection import Connection
from wsd.connection.metering import Metered
from wsd.connection.placement import Placement
from wsd.frames import Plane
from wsd.frames import choose as choosePlane
from wsd.frames.contexts import DeflateContextCache
from wsd.frames.handler import FrameLimits
from wsd.frames.prepared import Prepared
from wsd.head import Refused
from wsd.metrics import Metrics, RouteCounters
from wsd.policies.budget import Budget, MemoryUse
from wsd.policies.instances import shareNames
from wsd.policies.memory import trimHeap
from wsd.policies.meter import Meter
from wsd.policies.negotiation import choose
from wsd.policies.pool import BlockingPool
from wsd.policies.rates import Rates, hasRates
from wsd.policies.timer import Timer
from wsd.policies.turns import Turns
from wsd.resources import Slots
from wsd.traces.tracing import Tracing

NAMES = (
    *("connected", "transport", "_wire", "id", "log", "request", "peer", "tls", "user", "data", "_Opening__refuse"),
    *("_Engine__held", "openedAt", "_opening", "_Opening__hasNoRoom", "_Engine__state", "frames", "send"),
    *("_takenAt", "_pingAt", "due"),
)
"""The attributes of an open connection, besides those of its protocol."""


@dataclass(frozen=True)
class NoOptions:
    """The options of a protocol without keys of its own."""


class CannotStart(Exception):
    """
    Raised by `Factory.started`, with the cause in a few words and the file concerned.

    The log shows both. /readyz shows only the cause: its readers need not know the paths of files.
    """

    def __init__(self, cause: str, file: str | None = None) -> None:
        super().__init__(cause if file is None else f"{file}: {cause}")
        self.cause = cause


class Factory(WebSocketServerFactory):
    """
    The base class of a protocol's factory. There is one factory for each route.

    A protocol sets `connection`, and may set `subprotocols` and `Options` (a frozen dataclass of the route's keys) and
    override the hooks below.
    """

    connection: ClassVar[type[Connection]] = Connection
    subprotocols: ClassVar[tuple[str, ...]] = ()
    Options: ClassVar[type[Any]] = NoOptions
    about: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """What the route is for, in one sentence: by language, "en" and "zh". The home page shows it."""
    placement: ClassVar[Placement] = Placement.shared
    """
    Which of several workers may serve the route: docs/processes.md.

    The default is right for every protocol, but it uses one core. A subclass must set it again, as it may add state.
    """
    takesTokenInQuery: ClassVar[bool] = False
    """Whether the authentication method "bearer" accepts a token in the query, for clients that can only set a URL."""
    answersPreflight: ClassVar[bool] = False
    """Whether `resource` answers a CORS preflight, which has no credentials, without doing or telling anything else."""
    authenticatesMessages = False
    """
    Whether the protocol finds out itself who has sent each message, by `authenticator`.

    If so, everyone may open a WebSocket and request `resource`. It must be known after the constructor. In a route with
    several protocols it has no effect.
    """
    now = staticmethod(time.time)
    """The time of day in seconds since 1970, which tokens expire by."""
    statuses: ClassVar[Mapping[int, int]] = MappingProxyType({})
    """Maps statuses of refused opening handshakes to those that this protocol's clients expect instead."""

    authenticator: Authenticator | None = None
    """
    What finds out who the clients of the route are; None if everyone may connect.

    The route sets it after the constructor has returned. If the protocol `authenticatesMessages`, it judges those.
    """
    unusable: str | None = None
    """Why the route accepts no clients. The daemon sets it while the route starts, and keeps it if the start fails."""
    hasFailed = False
    """Whether the start failed. If so, the next reload replaces the factory."""

    def __init__(
        self,
        route: Route,
        options: Any,
        clock: IReactorTime,
        timer: Timer,
        metrics: Metrics,
        subprotocols: tuple[str, ...] | None = None,
        plane: Plane | None = None,
        budget: Budget | None = None,
        pool: BlockingPool | None = None,
        rates: Rates | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        super().__init__(reactor=clock)
        self.route = route
        self.policies: Policies = route.policies
        self.options = options
        self.clock = clock
        self.timer = timer
        self.metrics = metrics
        self.counters: RouteCounters = metrics.route(route.path)
        self.budget = budget = budget or Budget(route.policies, clock)
        meter = Meter(budget, MemoryUse.contexts)
        self.deflateContexts = DeflateContextCache(
            timer, trimHeap, self.counters.compressed, meter.put, lambda: budget.isTight
        )
        meter.relieve = self.deflateContexts.relieve
        self.turns = Turns(clock)
        self.pool = pool or BlockingPool(clock, metrics)
        self.rates = rates or Rates(timer)
        self.tracing = tracing or Tracing()
        self.spoken = self._spoken(subprotocols)
        self.connections: set[Connection] = set()
        self.plane = plane or choosePlane("auto")
        self.protocol: Any = self._connectionClass()
        self.frameLimits = FrameLimits(
            self.counters.traffic,
            self.maxMessage,
            self.policies.max_frame or self.maxMessage,
            self.policies.max_unsent,
            self.connection.streams,
            self.connection.takesWhole,
            self.protocol.answers,
        )

    def _connectionClass(self) -> Any:
        """The route's own class of connections, with what all of them share: Autobahn would copy it into each."""
        # In one call, since a call without allowNullOrigin resets it to False.
        self.setProtocolOptions(
            maxMessagePayloadSize=self.maxMessage,
            maxFramePayloadSize=self.policies.max_frame or self.maxMessage,
            failByDrop=False,
            echoCloseCodeReason=True,
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            allowNullOrigin=True,
        )
        shared = {name: getattr(self, name) for name in self.connection.CONFIG_ATTRS}
        layers = (Metered, self.connection) if hasRates(self.policies) else (self.connection,)
        kind = type(self.connection.__name__, layers, {**shared, "factory": self})
        shareNames(kind, NAMES)
        return kind

    def setSessionParameters(self, *parameters: Any) -> None:
        """Do nothing: Autobahn would set parts of a URL, some under the names of our hooks. A route has no URL."""

    def _spoken(self, given: tuple[str, ...] | None) -> tuple[str, ...]:
        if given is not None:
            return given
        return self.subprotocols if self.route.subprotocols is None else self.route.subprotocols

    @property
    def maxMessage(self) -> int:
        """The largest message in bytes. A streaming protocol may override the policy's limit."""
        return self.policies.max_message

    def build(self) -> Connection:
        """Returns a new connection of this route, without a transport."""
        connection: Connection = self.protocol()
        return connection

    def choose(self, offered: tuple[str, ...]) -> str | None:
        """
        Returns the subprotocol by the route's order of preference (RFC 6455 4.2.2), or None.

        Raises `Refused` (400) if there is none in common and the route requires one.
        """
        chosen = choose(offered, self.spoken, self.route.prefer) if offered else None
        if chosen is None and self.route.require_subprotocol:
            raise Refused(
                400, f"this route supports only {', '.join(self.spoken)}; offer one in Sec-WebSocket-Protocol"
            )
        return chosen

    def prepare(self, payload: bytes | str, isBinary: bool = True) -> Prepared:
        """Returns a message framed for many connections, for `Connection.send`. A str is text."""
        if isinstance(payload, str):
            return Prepared(payload.encode(), False)
        return Prepared(payload, isBinary)

    @classmethod
    def placementFor(cls, options: Any) -> Placement:
        """Returns the placement of a route with these options, before its factory is built; by default `placement`."""
        placement: Placement = vars(cls).get("placement", Placement.shared)
        return placement

    # -- moving to a new process ----------------------------------------------------------------------------------

    @property
    def stateVersion(self) -> int:
        """
        The version of what this protocol's `saveState` returns; raise it whenever that changes.

        With 0, the default, an upgrade closes the connections of the route with 1012, so that clients reconnect. With
        any other number, it moves them to the new process, if that process can read this version.
        """
        return 0

    @property
    def readableVersions(self) -> Sequence[int]:
        """The versions that `restoreState` can read, of the factory and of its connections."""
        return (self.stateVersion,)

    sharesState: ClassVar[bool] = False
    """
    Whether what one connection does concerns the others, or requests over HTTP.

    If so, an upgrade stops all connections of the route at the same moment, and lets them go on when all have arrived.
    Otherwise it moves a few at a time.
    """

    def saveState(self) -> Any:
        """
        Called in an upgrade if `sharesState`: return what the connections share, as JSON values and bytes.

        All connections of the route are stopped then. Nothing may change what was returned: from now on, refuse
        requests over HTTP that would.
        """
        return None

    def restoreState(self, state: Any, version: int) -> None:
        """Called in an upgrade after `started`, and before any connection arrives, with what `saveState` returned."""

    def stateComplete(self) -> None:
        """Called in the new process when all connections of the route that could be moved have arrived."""

    def stateKept(self) -> None:
        """Called in the old process after `saveState` if the upgrade has failed: the route serves on here."""

    # -- hooks ----------------------------------------------------------------------------------------------------

    def meet(self, others: Sequence[Factory]) -> None:
        """Called before `started` with the factories of the daemon's other routes. Later ones are added to `others`."""

    def check(self) -> Iterable[str]:
        """
        Check what the route needs, without starting it. Returns warnings.

        `wsd check` calls it after `meet`, and after the method `check` of the options, if they have one. Raises
        ValueError or ConfigError with one sentence if the route could not serve. Nothing may be written.
        """
        return ()

    def started(self) -> Deferred[Any] | None:
        """
        Called when the daemon starts: open files, threads, connections. It listens once the Deferred has fired.

        An exception, or a failure of the Deferred, affects only this route, which then answers 503. `CannotStart` and
        OSError are logged in one line, other exceptions with a traceback.
        """
        return None

    def retired(self) -> None:
        """
        No request comes here any more: the daemon begins to stop, or a reload has replaced or removed the route.

        Answers over HTTP that do not end by themselves are to end now; the daemon waits for them. WebSockets are closed
        by the daemon when it stops, and stay open after a reload.
        """

    def stopped(self) -> Deferred[Any] | None:
        """Called when the daemon has stopped and no connection is left; also after a failed start."""
        return None

    def resource(self) -> IResource | None:
        """Returns the resource for HTTP requests at and under the route, None if it is for WebSockets only."""
        return None

    def page(self) -> str | None:
        """Returns the path of the page for people that `resource` serves, None if there is none."""
        return None

    def paths(self) -> list[str] | None:
        """Returns the paths at which WebSockets can be opened, None if every path below the route is one."""
        return None if self.route.prefix else [self.route.path]

    def wellKnown(self) -> Mapping[bytes, IResource]:
        """Returns resources for /.well-known/ by name (RFC 8615)."""
        return {}

    def slots(self) -> Slots | None:
        """Returns where other routes can have files stored, None if this route stores none."""
        return None

    def ready(self) -> str | None:
        """Returns why this route cannot serve now, which makes /readyz answer 503, or None."""
        return None
