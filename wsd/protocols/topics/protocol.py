"""topics: the route, and its WebSockets."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web.resource import IResource

from wsd.auth.bearer import BearerMethod
from wsd.auth.outcome import AuthenticatedUser, TokenError
from wsd.config import ConfigError, Route
from wsd.connection import Accept, Connection, Factory, Placement, Refused, Request
from wsd.frames.codes import CloseCode
from wsd.metrics import Cause
from wsd.protocols.topics.access import Access, permitted
from wsd.protocols.topics.choice import backendOf, limitsOf
from wsd.protocols.topics.enveloped import ENVELOPED, EnvelopedForm
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.hub import Hub
from wsd.protocols.topics.local import LocalBackend
from wsd.protocols.topics.messages import JSON, compact
from wsd.protocols.topics.moving import VERSION, restoreSubject, saveSubject
from wsd.protocols.topics.names import checkName
from wsd.protocols.topics.options import FILE, MEMORY, TopicsOptions
from wsd.protocols.topics.outbox import OutboxBounds, Outboxes, Slow
from wsd.protocols.topics.parts import TopicsParts
from wsd.protocols.topics.plain import PLAIN, PlainForm
from wsd.protocols.topics.publication import TopicMessage
from wsd.protocols.topics.query import patternOf, readQuery
from wsd.protocols.topics.resource import TopicResource
from wsd.protocols.topics.rules import Subject
from wsd.protocols.topics.streams import Streams
from wsd.protocols.topics.waiting import WaitingItems

_LARGE = 32 * 1024
"""Bytes of an envelope that is parsed at once, which takes a millisecond at most."""


class TopicConnection(Connection):
    """A client of topics, in the plain or the enveloped form."""

    factory: TopicsFactory
    _speaker: PlainForm | EnvelopedForm
    subject: Subject
    _isHeldForRoom = False
    _expiry: IDelayedCall | None = None

    async def opening(self, request: Request) -> Accept:
        """Refuse an invalid topic, a query that cannot be granted, and a client that may do nothing here."""
        subprotocol, parts = self.factory.choose(request.subprotocols), self.factory.parts
        try:
            self.subject = parts.access.subjectOf(request, request.queries, self.user)
            if subprotocol == ENVELOPED:
                self._speaker = EnvelopedForm(self, parts)
            else:
                topic, levels = patternOf(request.head.path.removeprefix(parts.below))
                query = await permitted(readQuery(request.queries, topic), topic, levels, self.subject, parts.access)
                self._speaker = PlainForm(self, parts.hub, topic, levels, query, parts.outboxes)
        except TopicError as error:
            raise Refused(error.status, error.sentence) from None
        return Accept(subprotocol)

    def opened(self) -> Awaitable[None] | None:
        """Begin to speak."""
        if self.factory.options.slow == Slow.latest:
            # What the kernel buffers cannot be replaced by something newer.
            self.keepFresh(self.factory.policies.low_water)
        self._endWithToken()
        return self._speaker.begin()

    def received(self, payload: bytes, isBinary: bool) -> Any:
        """A message of the client's. Of all clients, one has a large envelope parsed in each turn of the reactor."""
        if len(payload) > _LARGE and not isBinary and isinstance(self._speaker, EnvelopedForm):
            self.handleInTurn(len(payload), lambda: self._speaker.received(payload, isBinary))
            return None
        return self._speaker.received(payload, isBinary)

    def full(self) -> None:
        """Publications wait. In the enveloped form nothing is read while answers cannot be sent."""
        self._speaker.full()
        if isinstance(self._speaker, EnvelopedForm):
            self._isHeldForRoom = True
            self.hold()

    def drained(self) -> None:
        """There is room for what waits. That comes first: the answer to a message that is read then comes after it."""
        wasHeld, self._isHeldForRoom = self._isHeldForRoom, False
        self._speaker.drained()
        if wasHeld:
            self.release()

    def closed(self, code: int, reason: str) -> None:
        """Unsubscribe, and leave."""
        self._forgetToken()
        self._speaker.gone()

    # -- moving to a new process ----------------------------------------------------------------------------------

    @property
    def canMove(self) -> bool:
        """Whether nothing waits for the client, or is on its way."""
        return self._speaker.canMove

    def saveState(self) -> dict[str, Any]:
        """Who the client is, and what it has asked for."""
        return {"subject": saveSubject(self.subject), "speaker": self._speaker.save()}

    def restoreState(self, state: Any, version: int) -> None:
        """Subscribe again."""
        parts = self.factory.parts
        self.subject = restoreSubject(state["subject"], self.request)
        if self.subprotocol == ENVELOPED:
            self._speaker = enveloped = EnvelopedForm(self, parts)
            enveloped.resume(state["speaker"])
        else:
            topic, levels = patternOf(self.request.head.path.removeprefix(parts.below))
            query = replace(readQuery(self.request.queries, topic), role=state["speaker"]["role"])
            self._speaker = plain = PlainForm(self, parts.hub, topic, levels, query, parts.outboxes)
            plain.resume()
        self._endWithToken()

    # -- tokens ---------------------------------------------------------------------------------------------------

    def identityOf(self, token: str) -> AuthenticatedUser | None:
        """The user whom a new token authenticates; None if the route has not asked for one. Raises TopicError."""
        identity = self.request.identity
        if identity is None or identity.method != BearerMethod.name:
            return None
        try:
            return self.renewedBy(token)
        except TokenError as error:
            raise TopicError(error.code, error.sentence) from None

    def renew(self, subject: Subject, identity: AuthenticatedUser | None) -> None:
        """There is a new token."""
        self.subject = subject
        if identity is not None:
            self.useIdentity(identity)
        self._endWithToken()

    def _endWithToken(self) -> None:
        """Close the connection when its token expires."""
        self._forgetToken()
        claims = self.subject.claims
        if claims is not None:
            seconds = max(0.0, claims.expires - self.factory.parts.now())
            self._expiry = self.clock.callLater(seconds, self._expired)

    def _forgetToken(self) -> None:
        expiry, self._expiry = self._expiry, None
        if expiry is not None:
            expiry.cancel()

    def _expired(self) -> None:
        self._expiry = None
        error = TopicError("expired", "the token has expired; get a new one, and connect again")
        self.close(error.closeCode, error.sentence)

    def closeForMemory(self) -> None:
        """What waits for this client, and for others that are as slow, takes too much memory."""
        sentence = "the server has no memory left for a client that reads so slowly; try again later"
        self.close(CloseCode.TRY_AGAIN_LATER, sentence, Cause.memory)


def _accessOf(options: TopicsOptions, clock: IReactorTime) -> Access:
    try:
        return Access(options, clock)
    except ValueError as error:
        raise ConfigError(str(error)) from error


class TopicsFactory(Factory):
    """Topics below a route."""

    connection = TopicConnection
    sharesState = True
    about = MappingProxyType(
        {
            "en": "Publish and subscribe: every subscriber of a topic receives its messages.",
            "zh": "发布与订阅：主题的每个订阅者都会收到其中的消息。",
        }
    )
    takesTokenInQuery = True
    answersPreflight = True
    subprotocols = (ENVELOPED, PLAIN)
    Options = TopicsOptions

    @classmethod
    def placementFor(cls, options: TopicsOptions) -> Placement:
        """On Redis, workers are to each other as daemons are. A subclass may have state that is not there."""
        if options.backend == FILE:
            return Placement.pinned
        return Placement.shared if options.backend == MEMORY or cls is not TopicsFactory else Placement.free

    def __init__(
        self, route: Route, options: TopicsOptions, clock: IReactorTime, *arguments: Any, **named: Any
    ) -> None:
        super().__init__(route, options, clock, *arguments, **named)
        self.parts = TopicsParts(
            below=f"{route.path.rstrip('/')}/",
            origins=route.origins,
            maxMessage=self.policies.max_message,
            options=options,
            clock=clock,
            now=self.now,
            hub=Hub(backendOf(options, route.path, clock, self.now, self.pool, self.budget, self.tracing), self.plane),
            access=_accessOf(options, clock),
            streams=Streams(clock, self.now),
            outboxes=Outboxes(
                OutboxBounds(Slow(options.slow), options.slow_count, options.slow_size),
                WaitingItems(self.budget),
                self.counters,
            ),
        )

    def meet(self, others: Sequence[Factory]) -> None:
        """Topics, subscribers and members stay over a reload, unless they are kept somewhere else now."""
        for other in others:
            if isinstance(other, TopicsFactory) and other.place == self.place and not other.hasFailed:
                self.parts.hub = other.parts.hub
                return

    @property
    def place(self) -> tuple[str, ...]:
        """Where the topics are kept. Factories with the same place share their topics."""
        options = self.options
        if options.backend == FILE:
            return FILE, str(options.path(os.environ))
        return options.backend, options.redis_prefix, self.route.path

    def check(self) -> Iterable[str]:
        """Check that topics can be named. The backend is built already."""
        if not self.route.prefix:
            raise ConfigError(f'no topic can be named below this path; write route."{self.route.path}/*"')
        return ()

    def started(self) -> Deferred[None]:
        """Start the backend, or give it the limits of now."""
        hub = self.parts.hub
        hub.backend.configure(*limitsOf(self.options))
        return hub.start(self)

    # -- moving to a new process ----------------------------------------------------------------------------------

    @property
    def stateVersion(self) -> int:
        """Topics in Redis do not move: their clients reconnect, and go on at their last position."""
        return VERSION if isinstance(self.parts.hub.backend, LocalBackend) else 0

    def saveState(self) -> dict[str, Any]:
        """The members and, in memory, the topics. Nothing can be published here any more."""
        return self._local.saveState()

    def stateKept(self) -> None:
        """Topics stay here."""
        self._local.isMoving = False

    def restoreState(self, state: Any, version: int) -> None:
        """Go on with the topics and members of the process before."""
        self._local.restoreState(state)

    @property
    def _local(self) -> LocalBackend:
        backend: Any = self.parts.hub.backend
        assert isinstance(backend, LocalBackend)
        return backend

    def stateComplete(self) -> None:
        """Members whose connections have not arrived are gone: tell the others."""
        hub = self.parts.hub
        for topic, members in self._local.allMembers().items():
            for member in members:
                if not hub.isPresent(topic, member.id):
                    self._local.leave(topic, member.id)

    # -- for other protocols of the daemon --------------------------------------------------------------------------

    def subscribers(self, topic: str) -> int:
        """Returns how many of this process subscribe to a topic by its name."""
        return self.parts.hub.audiences().get(topic, 0)

    def publishJson(self, topic: str, values: Sequence[tuple[str | None, Any]]) -> Deferred[Any]:
        """
        Publish values to a topic, all or none. Each has a key, whose last value it becomes, or None.

        Fires when all are as safe as the backend promises. Fails with TopicError. No rule is asked.
        """
        checkName(topic)
        messages = [
            TopicMessage(compact(value), False, key, isRemoval=key is not None and value is None, mediaType=JSON)
            for key, value in values
        ]
        return self.parts.hub.backend.publishAll(topic, messages)

    # -- HTTP -----------------------------------------------------------------------------------------------------

    def page(self) -> str | None:
        """The list of topics is at the path without a name."""
        return (self.route.path.rstrip("/") or None) if self.route.prefix else None

    def resource(self) -> IResource:
        """Topics over HTTP."""
        return TopicResource(self.parts)

    def ready(self) -> str | None:
        """Why the backend cannot publish now."""
        return self.parts.hub.backend.ready()

    def retired(self) -> None:
        """End event streams and long polls; their clients connect again."""
        self.parts.streams.end()

    def stopped(self) -> Deferred[None]:
        """Stop the backend, unless another factory uses it."""
        return self.parts.hub.stop(self)
