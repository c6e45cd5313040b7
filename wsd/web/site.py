"""The site: finds the route or page that answers at a path."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource, Resource, getChildForRequest

from wsd.config import Policies
from wsd.connection.access import clientFields, pathOf
from wsd.head import Head, Refused, decodedPath
from wsd.logs import ConnectionLog
from wsd.metrics import Metrics
from wsd.policies.address import Peer, TlsInfo, Trust
from wsd.policies.admission import Admission
from wsd.policies.budget import Budget
from wsd.policies.subject import checkClient
from wsd.policies.timer import Timer
from wsd.traces.tracing import Tracing
from wsd.web.attempts import Attempts
from wsd.web.known import KnownOpenings
from wsd.web.route import SiteRoute

if TYPE_CHECKING:
    from wsd.traces.tracer import Span

_REFUSED = "refused {line} from {peer} with {status}: {sentence}"


class WebSocketOnly(Resource):
    """A route that answers only WebSockets: 426 to any other request (RFC 9110 15.5.22)."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        """Raises `Refused` (426)."""
        raise Refused(
            426,
            "this is a WebSocket: connect with new WebSocket(...), or send Upgrade: websocket",
            [("Upgrade", "websocket"), ("Connection", "Upgrade")],
        )


class SiteConnection(Protocol):
    """A connection of the site, as `Drain` needs it."""

    transport: Any

    @property
    def isNew(self) -> bool:
        """Whether the connection is new and unused; its request may be on the way."""

    @property
    def isBusy(self) -> bool:
        """Whether something is being answered."""

    def end(self) -> None:
        """End the connection, unless an answer is pending."""


class PassesOn(Protocol):
    """Passes connections on to the worker that serves the routes which this one does not serve."""

    def check(self) -> None:
        """Raises `Refused` (503) if it cannot be reached."""

    def passOn(self, transport: Any, data: bytes) -> Any:
        """Pass a connection on with what was read of it. Returns who gets its further data, None if nobody does."""


PROBES = ("/healthz", "/readyz", "/metrics")
"""The pages that every worker answers for all of them."""


class Site:
    """
    All routes and pages, and what all connections share.

    `pages` are the daemon's own HTTP resources by exact path, `folders` those by prefix, and `defaults` those for exact
    paths at which no route answers. `tlsOf` returns what the TLS handshake of a transport agreed on, or None without
    TLS.
    """

    def __init__(
        self,
        routes: Iterable[SiteRoute],
        policies: Policies,
        hosts: tuple[str, ...],
        trust: Trust,
        clock: IReactorTime,
        timer: Timer,
        admission: Admission,
        metrics: Metrics,
        tlsOf: Callable[[Any], TlsInfo | None],
        tracing: Tracing | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.configure(policies, hosts, trust)
        self.clock = clock
        self.timer = timer
        self.admission = admission
        self.metrics = metrics
        self.tlsOf = tlsOf
        self.tracing = tracing or Tracing()
        self.budget = budget
        """The memory in which the bodies of requests count."""
        self.doors: set[SiteConnection] = set()
        """The open connections."""
        self.pages: dict[str, IResource] = {}
        self.folders: dict[str, IResource] = {}
        self.defaults: dict[str, IResource] = {}
        self.attempts = Attempts(clock)
        """Why the newest connections of the daemon's own pages failed."""
        self.stopping = False
        self.passing: PassesOn | None = None
        """What passes connections on to the worker that serves the other routes; None if this one serves all."""
        self._webSocketOnly = WebSocketOnly()
        self.replaceRoutes(routes)

    def configure(self, policies: Policies, hosts: tuple[str, ...], trust: Trust) -> None:
        """Apply these to new connections and requests."""
        self.policies = policies
        self.hosts = hosts
        self.trust = trust
        self._forgetHeads()

    def _forgetHeads(self) -> None:
        self.known = KnownOpenings()
        self.version = object()
        """Replaced whenever a head that was admitted could be refused, or the other way round."""

    def replaceRoutes(self, routes: Iterable[SiteRoute]) -> None:
        """Serve these routes from now on. Open connections keep their factories."""
        self._forgetHeads()
        self.routes = list(routes)
        paths = [(decodedPath(route.route.path), route) for route in self.routes]
        self._exact = {path: route for path, route in paths if not route.route.prefix}
        prefixes = [(f"{path.rstrip('/')}/", route) for path, route in paths if route.route.prefix]
        self._prefixes = sorted(prefixes, key=lambda pair: len(pair[0]), reverse=True)
        self._hasAuth = any(route.authenticator is not None for route in self.routes)

    def routeFor(self, path: str) -> SiteRoute | None:
        """The route of a path: the exact one, else the longest prefix, else the one without a trailing slash."""
        path = decodedPath(path)
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        prefixed = next((route for prefix, route in self._prefixes if path.startswith(prefix)), None)
        return prefixed or self._exact.get(path.removesuffix("/"))

    def trace(self, head: Head, peer: Peer) -> Span | None:
        """Begin the span of a request; None while traces are off, and for probes, of which there would be too many."""
        tracer, path = self.tracing.tracer, decodedPath(head.path)
        if tracer is None or (path in PROBES and not head.isUpgrade):
            return None
        return tracer.serve(head, peer, self._patternOf(path, head.isUpgrade))

    def _patternOf(self, path: str, isUpgrade: bool) -> str | None:
        """The path as the configuration has it, or that of a page of the daemon; None if nothing is there."""
        if not isUpgrade and path in self.pages:
            return path
        route = self.routeFor(path)
        if route is not None:
            return f"{route.route.path.rstrip('/')}/*" if route.route.prefix else route.route.path
        return next((f"{folder}*" for folder in self.folders if path.startswith(folder)), None)

    def checkServing(self) -> None:
        """Raises `Refused` (503) while the daemon stops."""
        if self.stopping:
            raise Refused(503, "the server is shutting down; try again", [("Retry-After", "1")])

    def isElsewhere(self, head: Head, isMarked: bool) -> bool:
        """
        Whether another worker answers a request, if there are several: that of its route, or of a page of the daemon.

        So does a handshake that a page has marked, since the page asks that worker what became of it.
        """
        route = self.routeFor(head.path)
        if head.isUpgrade:
            return isMarked or (route is not None and not route.factories)
        path = decodedPath(head.path)
        if path in PROBES:
            return False
        if path in self.pages or path.startswith((*self.folders, "/.well-known/")):
            return True
        answering = self._answering(path)
        # What answers over HTTP below a route may be served by another worker, although `/*` is served by this one.
        return answering is None or answering.resource() is None

    def guardOf(self, head: Head) -> SiteRoute | None:
        """The route whose authentication a request over HTTP must pass. None for open ones, and pages of the daemon."""
        if not self._hasAuth:
            return None
        path = decodedPath(head.path)
        if path in self.pages and (path != "/" or self.hasConsole):
            route = self._exact.get(path)
        elif path.startswith(tuple(self.folders)) or self._wellKnown(path) is not None:
            return None
        else:
            route = self._answering(path)
        return None if route is None or route.authenticator is None or route.isOpenTo(head) else route

    def resourceFor(self, request: Any) -> IResource:
        """The resource for an HTTP request. Raises `Refused`: 404, 403, and 503 while the daemon stops."""
        path = decodedPath(request.head.path)
        page = self.pages.get(path)
        if page is not None and (path != "/" or self.hasConsole):
            if path in self._exact:
                checkClient(request.tls, self._exact[path].route.clients)
            return page
        self.checkServing()
        for prefix, folder in self.folders.items():
            if path.startswith(prefix):
                return self._under(folder, request, prefix)
        wellKnown = self._wellKnown(path)
        if wellKnown is not None:
            return wellKnown
        route, owner = self.routeFor(request.head.path), self._answering(path)
        if owner is not None:
            checkClient(request.tls, owner.route.clients)
        resource = owner.resource() if owner is not None else None
        if resource is not None and owner is not None:
            return self._under(resource, request, owner.route.path.rstrip("/") + "/")
        if route is None and path in self.defaults:
            return self.defaults[path]
        if route is None:
            raise Refused(404, f"there is nothing at {request.head.path[:80]}")
        return self._webSocketOnly

    @property
    def hasConsole(self) -> bool:
        """Whether there is a console: there is none without a route for exactly `/`."""
        return "/" in self._exact

    def _answering(self, path: str) -> SiteRoute | None:
        """
        The route that answers a request over HTTP at a path that is decoded already: its own, or the one that owns it.

        Where both are, the longer one: below /blob are its files, although a WebSocket there may be for the route `/*`.
        """
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        route, owner = self.routeFor(path), self._ownerOf(path) or self._pageAt(path)
        if route is None or owner is None:
            return route or owner
        return max(route, owner, key=lambda each: len(each.route.path.rstrip("/")))

    def _ownerOf(self, path: str) -> SiteRoute | None:
        """The route of the paths below `path`, or the nearest exact route above it; its protocol answers HTTP."""
        listing = dict(self._prefixes).get(f"{path}/")
        if listing is not None and listing.resource() is not None:
            return listing
        parts = path.split("/")
        for end in range(len(parts) - 1, 1, -1):
            route = self._exact.get("/".join(parts[:end]))
            if route is not None and route.resource() is not None:
                return route
        return None

    def _pageAt(self, path: str) -> SiteRoute | None:
        """The route with a prefix whose page is at `path`, just above all paths of the route."""
        return next((route for prefix, route in self._prefixes if prefix == f"{path}/" and route.page() == path), None)

    def _wellKnown(self, path: str) -> IResource | None:
        if not path.startswith("/.well-known/"):
            return None
        name = path.removeprefix("/.well-known/").encode()
        for route in self.routes:
            for factory in route.distinct():
                resource = None if factory.unusable else factory.wellKnown().get(name)
                if resource is not None:
                    return resource
        return None

    @staticmethod
    def _under(resource: IResource, request: Any, prefix: str) -> IResource:
        """The resource's child for the part of the path below the prefix."""
        depth = prefix.rstrip("/").count("/")
        parts = request.postpath or []
        request.prepath, request.postpath = parts[:depth], parts[depth:]
        found: IResource = getChildForRequest(resource, request)
        return found

    def tlsOfClient(self, transport: Any) -> TlsInfo | None:
        """What the TLS of a client agreed on: its handshake with a trusted proxy, or with this daemon."""
        facts = getattr(transport, "facts", None)
        return self.tlsOf(transport) if facts is None or facts.tls is None else facts.tls

    def refused(
        self,
        log: ConnectionLog,
        head: Head | None,
        who: Peer | str,
        refused: Refused,
        tls: TlsInfo | None = None,
        user: str | None = None,
    ) -> None:
        """Log and count a request that was refused: this is its access line."""
        self.metrics.refusal(refused.status)
        if head is not None and head.isUpgrade:
            self.metrics.handshake(str(refused.status))
        log.info(
            _REFUSED if log.traceId is None else _REFUSED + "; trace_id {trace_id}",
            event="request.refused",
            line=_withoutQuery(head)[:200] if head is not None else "a request",
            status=refused.status,
            sentence=refused.sentence,
            **({"method": head.method[:200], "path": pathOf(head)} if head is not None else {}),
            **(clientFields(who, tls, user) if isinstance(who, Peer) else {"peer": who}),
        )


def _withoutQuery(head: Head) -> str:
    """The request line without its query, which may hold a secret."""
    return head.line.replace(f"?{head.query}", "?...", 1) if head.query else head.line
