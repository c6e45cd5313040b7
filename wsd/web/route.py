"""A route of the site: its factories, who may use it, and what it answers over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted.web.resource import IResource

from wsd.auth.authenticator import Authenticator
from wsd.auth.outcome import AuthRequest
from wsd.config import Route
from wsd.connection import Factory
from wsd.head import Head, Refused
from wsd.policies.address import Peer, TlsInfo
from wsd.policies.negotiation import choose
from wsd.policies.origin import checkOrigin

if TYPE_CHECKING:
    from wsd.traces.tracer import Span


def checkUsable(factory: Factory) -> None:
    """Raises `Refused` (503) for a factory that has not started."""
    if factory.hasFailed:
        raise Refused(503, "this route could not be started; see the server's log")
    if factory.unusable is not None:
        raise Refused(503, "this route is starting; try again", [("Retry-After", "1")])


class SiteRoute:
    """One route of the configuration with its factories: one, or one for each subprotocol."""

    def __init__(
        self, route: Route, factories: Mapping[str | None, Factory], authenticator: Authenticator | None = None
    ) -> None:
        self.route = route
        self.origins = route.origins
        self.factories = factories
        for factory in factories.values():
            factory.authenticator = authenticator
        self._single = factories.get(None)
        """The factory for every subprotocol, None if there is one for each."""
        self.authenticator = authenticator
        """Finds out who a client is; None if everyone may connect."""
        if self._single is not None and self._single.authenticatesMessages:
            self.authenticator = None
        self._distinct = list({id(factory): factory for factory in factories.values()}.values())
        self._resources = {id(factory): factory.resource() for factory in self._distinct}

    def distinct(self) -> list[Factory]:
        """The factories, each of them once."""
        return self._distinct

    def select(self, offered: tuple[str, ...]) -> Factory:
        """
        Returns the factory for the subprotocols that a client offers.

        Raises `Refused`: 400 if there is none, 503 if it has not started.
        """
        factory = self._single or self._chosen(offered)
        if factory.unusable is not None or factory.hasFailed:
            checkUsable(factory)
        return factory

    def _chosen(self, offered: tuple[str, ...]) -> Factory:
        """Returns that of the subprotocol which is chosen among those of all factories."""
        available = tuple(name for name in self.factories if name)
        chosen = choose(offered, available, self.route.prefer)
        factory = self.factories.get(chosen or "")
        if factory is None or (chosen is None and self.route.require_subprotocol):
            raise Refused(400, f"this route supports only {', '.join(available)}; offer one in Sec-WebSocket-Protocol")
        return factory

    @property
    def protocols(self) -> list[str]:
        """The names of the route's protocols, sorted; of Python code only the name of the class, without its file."""
        names = (self.route.single, *self.route.protocol.values())
        return sorted({name.rpartition(":")[2] for name in names if name})

    def page(self) -> str | None:
        """The path of the route's page for people, None if it has none."""
        return next((page for factory in self.distinct() if (page := factory.page()) is not None), None)

    def paths(self) -> list[str] | None:
        """The paths at which WebSockets can be opened, None if every path below the route is one."""
        return self.distinct()[0].paths()

    def restate(self, refused: Refused) -> Refused:
        """The refusal with the status that the route's clients expect."""
        statuses = next(iter(self.factories.values())).statuses
        status = statuses.get(refused.status)
        return refused if status is None else Refused(status, refused.sentence, refused.headers)

    def authRequest(self, head: Head, peer: Peer, tls: TlsInfo | None, span: Span | None = None) -> AuthRequest:
        """What the authenticator is asked."""
        takesToken = any(factory.takesTokenInQuery for factory in self.distinct())
        return AuthRequest(head, peer, tls, takesToken, span=span)

    def readable(self, refused: Refused, head: Head, hosts: tuple[str, ...]) -> Refused:
        """The refusal, with the fields by which a page of an allowed origin may read it (CORS), if the route has it."""
        origin = head.headers.get("Origin")
        if origin is None or not all(factory.answersPreflight for factory in self.distinct()):
            return refused
        try:
            checkOrigin(origin, self.origins, head.host, hosts)
        except Refused:
            return refused
        fields = (
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Vary", "Origin"),
        )
        return Refused(refused.status, refused.sentence, [*refused.headers, *fields])

    def isOpenTo(self, head: Head) -> bool:
        """Whether a request over HTTP needs no authentication: a CORS preflight never has credentials (Fetch 4.8)."""
        names = head.headers
        isPreflight = head.method == "OPTIONS" and "Origin" in names and "Access-Control-Request-Method" in names
        return isPreflight and not head.hasBody and all(factory.answersPreflight for factory in self.distinct())

    def resource(self) -> IResource | None:
        """
        Returns the resource for HTTP: that of the first factory with one. None if the route has only WebSockets, or is
        served by another worker.

        Raises `Refused` (503) if that factory has not started or, without a resource, if no factory has.
        """
        for factory in self.distinct():
            resource = self._resources[id(factory)]
            if resource is not None:
                checkUsable(factory)
                return resource
        factories = self.distinct()
        if factories and all(factory.unusable for factory in factories):
            checkUsable(factories[0])
        return None
