"""The enveloped form, topics.wsd.v1: many topics on one connection, with acknowledgements, presence and errors."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from wsd.connection import Prepared, newId
from wsd.frames.codes import CloseCode
from wsd.logs import ConnectionLog
from wsd.protocols.topics.audience import Direct
from wsd.protocols.topics.backend import Acknowledgement
from wsd.protocols.topics.encoding import encodeEnveloped
from wsd.protocols.topics.errors import SLOW, TopicError
from wsd.protocols.topics.inflight import InFlight
from wsd.protocols.topics.members import Member, PresenceEvent
from wsd.protocols.topics.messages import JSON, TopicRequest, line, memberFields, readRequest
from wsd.protocols.topics.names import checkFilter, checkName, isFilter
from wsd.protocols.topics.outbox import Outbox
from wsd.protocols.topics.parts import TopicsParts
from wsd.protocols.topics.publication import DirectMessage, Item, Publication, TopicMessage
from wsd.protocols.topics.replay import Beginning, Replay
from wsd.protocols.topics.rules import Action, Levels, Subject

ENVELOPED = "topics.wsd.v1"
"""The subprotocol."""


class EnvelopedSocket(Protocol):
    """The connection that speaks the enveloped form."""

    id: str
    frames: Any
    subject: Subject
    log: ConnectionLog

    @property
    def isFull(self) -> bool:
        """Whether there is no room to send."""

    def send(self, payload: Any) -> None:
        """Send a message."""

    def close(self, code: int, sentence: str) -> None:
        """Begin the closing handshake."""

    def hold(self) -> None:
        """Read nothing."""

    def release(self) -> None:
        """Read on."""

    def renew(self, subject: Subject) -> None:
        """There is a new token."""

    def countSkipped(self) -> None:
        """A message was not sent, since the client was too slow."""


class EnvelopedForm:
    """One client of topics.wsd.v1."""

    def __init__(self, socket: EnvelopedSocket, parts: TopicsParts) -> None:
        self._socket = socket
        self._hub = parts.hub
        self._access = parts.access
        self._most = parts.options.max_subscriptions
        self._member = newId()
        """What the other members call it."""
        self._outbox = Outbox(self, encodeEnveloped, parts.outboxBounds)
        self._subscribed: dict[str, tuple[str, ...]] = {}
        self._watched: dict[str, tuple[str, ...]] = {}
        self._present: set[str] = set()
        self._pending: TopicRequest | None = None
        """A request whose payload is the next message."""
        self._inFlight = InFlight(socket)
        self._skipped: dict[str, int] = {}
        """Messages that were skipped and not told of yet, by topic."""
        self._isGone = False
        self.direct: Direct | None = None

    def begin(self) -> None:
        """Nothing is subscribed to until the client says so."""
        self.direct = Direct(self._socket.id, self._socket.frames, encodeEnveloped)

    # -- the client asks ------------------------------------------------------------------------------------------

    def received(self, payload: bytes, isBinary: bool) -> Awaitable[None] | None:
        """A message of the client's."""
        request, self._pending = self._pending, None
        try:
            if isBinary:
                if request is None:
                    raise TopicError("bad_message", 'a binary message comes behind its envelope with "binary": true')
                return self._do(request, TopicMessage(payload, isBinary=True, mediaType=request.fields.get("type")))
            if request is not None:
                raise _of(request, TopicError("bad_message", "the payload, a binary message, is missing"))
            request = readRequest(payload.decode())
            if request.awaitsBinary:
                self._pending = request
                return None
            return self._do(request, _payloadOf(request))
        except TopicError as error:
            self._refuse(error)
            return None

    def _do(self, request: TopicRequest, payload: TopicMessage | None) -> Awaitable[None] | None:
        if request.name != "publish":
            return self._answer(request, payload)
        assert payload is not None
        try:
            decided = self._may(Action.publish, request.topic, checkName(request.topic))
        except TopicError as error:
            raise _of(request, error) from None
        if decided is None:
            self._publish(request, payload)
            return None
        decided.addCallback(lambda _: self._publish(request, payload))
        decided.addErrback(self._failed, request)
        return decided

    def _failed(self, failure: Failure, request: TopicRequest) -> None:
        error = failure.value
        if not isinstance(error, TopicError):
            failure.raiseException()
        self._refuse(_of(request, error))

    def _may(self, action: Action, topic: str, levels: Levels) -> Deferred[None] | None:
        return self._access.may(action, topic, levels, self._socket.subject)

    def _check(self, action: Action, topic: str, levels: Levels) -> Awaitable[None]:
        return self._access.check(action, topic, levels, self._socket.subject)

    async def _answer(self, request: TopicRequest, payload: TopicMessage | None) -> None:
        """Everything but a publish is done before the next message is read."""
        try:
            if request.name == "subscribe":
                await self._subscribe(request)
            elif request.name == "unsubscribe":
                self._unsubscribe(request)
            elif request.name == "enter":
                await self._enter(request)
            elif request.name == "leave":
                await self._leave(request)
            elif request.name == "members":
                await self._members(request)
            elif request.name == "token":
                await self._renew(request)
            else:
                assert payload is not None
                await self._direct(request, payload)
        except TopicError as error:
            self._refuse(_of(request, error))

    def _refuse(self, error: TopicError) -> None:
        self._socket.send(line("error", id=error.requestId, code=error.code, message=error.sentence))

    # -- subscribing ----------------------------------------------------------------------------------------------

    async def _subscribe(self, request: TopicRequest) -> None:
        topic, levels, fields = request.topic, self._checkSubscription(request), request.fields
        await self._check(Action.subscribe, topic, levels)
        if "since" in fields or fields.get("history") or fields.get("last"):
            await self._check(Action.history, topic, levels)
        if fields.get("presence"):
            await self._check(Action.presence, topic, levels)
        if self._isGone:
            return
        beginning = Beginning(topic, levels, fields.get("last", False), fields.get("history", 0), fields.get("since"))
        isNew = topic not in self._subscribed
        # What is awaited below may end after `gone`, which takes back what is noted by then.
        self._subscribed[topic] = levels
        self._outbox.hold()
        replay = members = None
        try:
            await self._hub.subscribe(self, levels)
            replay = await beginning.recover(self._hub.backend)
            if fields.get("presence") and not self._isGone:
                members = await self._watch(topic, levels)
            if not self._isGone:
                self._tellSubscribed(request, replay, members)
        except TopicError:
            if isNew:
                self._drop(topic)
            raise
        finally:
            found = () if replay is None or self._isGone else (replay.publications, replay.position)
            self._outbox.release(*found)

    def _checkSubscription(self, request: TopicRequest) -> tuple[str, ...]:
        topic = request.topic
        levels = checkFilter(topic) if isFilter(topic) else checkName(topic)
        if topic not in self._subscribed and len(self._subscribed) >= self._most:
            raise TopicError("too_many", f"this connection has {self._most} subscriptions, which is the limit")
        if isFilter(topic) and ("since" in request.fields or "history" in request.fields):
            raise TopicError("filter", "a filter has no history of its own; name a topic, or ask for last")
        return levels

    async def _watch(self, topic: str, levels: tuple[str, ...]) -> list[dict[str, object]] | None:
        self._watched[topic] = levels
        await self._hub.watch(self, levels)
        return None if isFilter(topic) else await self._memberList(topic)

    def _tellSubscribed(self, request: TopicRequest, replay: Replay, members: list[dict[str, object]] | None) -> None:
        fields: dict[str, object] = {"position": None if replay.position is None else str(replay.position)}
        if "since" in request.fields:
            fields["recovered"] = replay.recovered
            fields["gap"] = not replay.isComplete
        self._socket.send(line("subscribed", id=request.id, topic=request.topic, **fields, members=members))

    def _unsubscribe(self, request: TopicRequest) -> None:
        if request.topic not in self._subscribed:
            raise TopicError("not_subscribed", f"this connection does not subscribe to {request.topic[:80]!r}")
        self._drop(request.topic)
        self._socket.send(line("unsubscribed", id=request.id, topic=request.topic))

    def _drop(self, topic: str) -> None:
        levels = self._subscribed.pop(topic)
        self._hub.unsubscribe(self, levels)
        if self._watched.pop(topic, None) is not None:
            self._hub.unwatch(self, levels)

    # -- publishing -----------------------------------------------------------------------------------------------

    def _publish(self, request: TopicRequest, payload: TopicMessage) -> None:
        fields = request.fields
        message = replace(
            payload,
            key=fields.get("key"),
            isRemoval="key" in fields and payload.mediaType == JSON and payload.payload == b"null",
            ttl=fields.get("ttl"),
            once=fields.get("once"),
            sender=None if fields.get("echo") else self._socket.id,
        )
        done = self._hub.backend.publish(request.topic, message)
        self._inFlight.add(done)
        done.addCallbacks(self._published, self._failed, callbackArgs=(request,), errbackArgs=(request,))
        done.addErrback(self._broken)

    def _broken(self, failure: Failure) -> None:
        """An error of the server's own."""
        self._socket.log.failure("a publish failed", failure, event="connection.error")
        self._socket.close(CloseCode.INTERNAL_ERROR, "the server failed at this message; its log says why")

    def _published(self, result: Acknowledgement, request: TopicRequest) -> None:
        if request.id is not None:
            position, duplicate = str(result.position), result.isDuplicate or None
            self._socket.send(
                line("published", id=request.id, topic=request.topic, position=position, duplicate=duplicate)
            )

    async def _direct(self, request: TopicRequest, payload: TopicMessage) -> None:
        await self._check(Action.direct, request.topic, checkName(request.topic))
        message = replace(payload, sender=self._member)
        await self._hub.backend.direct(request.topic, request.fields["to"], message)
        self._socket.send(line("directed", id=request.id, topic=request.topic))

    # -- being present --------------------------------------------------------------------------------------------

    async def _enter(self, request: TopicRequest) -> None:
        topic = request.topic
        await self._check(Action.presence, topic, checkName(topic))
        if self._isGone:
            return
        isNew = topic not in self._present
        if isNew and len(self._present) >= self._most:
            raise TopicError("too_many", f"this connection is present at {self._most} topics, which is the limit")
        self._present.add(topic)
        try:
            await self._hub.enter(
                self, topic, Member(self._member, self._socket.subject.user, request.fields.get("state", "null"))
            )
        except TopicError:
            if isNew:
                self._present.discard(topic)
            raise
        self._socket.send(line("entered", id=request.id, topic=topic, member=self._member))

    async def _leave(self, request: TopicRequest) -> None:
        if request.topic not in self._present:
            raise TopicError("no_member", f"this connection is not present at {request.topic[:80]!r}")
        self._present.discard(request.topic)
        await self._hub.leave(request.topic, self._member)
        self._socket.send(line("left", id=request.id, topic=request.topic))

    async def _members(self, request: TopicRequest) -> None:
        await self._check(Action.presence, request.topic, checkName(request.topic))
        members = await self._memberList(request.topic)
        self._socket.send(line("members", id=request.id, topic=request.topic, members=members))

    async def _memberList(self, topic: str) -> list[dict[str, object]]:
        return [memberFields(member) for member in await self._hub.backend.members(topic)]

    # -- tokens ---------------------------------------------------------------------------------------------------

    async def _renew(self, request: TopicRequest) -> None:
        """A new token must let its bearer keep what it subscribes to, and where it is present."""
        subject = self._access.renewed(self._socket.subject, request.fields["token"])
        for action, topics in (
            (Action.subscribe, self._subscribed.items()),
            (Action.presence, [*self._watched.items(), *((topic, checkName(topic)) for topic in self._present)]),
        ):
            for topic, levels in topics:
                await self._access.check(action, topic, levels, subject)
        if self._isGone:
            return
        self._socket.renew(subject)
        self._socket.send(line("renewed", id=request.id))

    # -- the hub delivers -----------------------------------------------------------------------------------------

    def take(self, publication: Publication) -> None:
        """A publication of a topic that it subscribes to, while something waits."""
        if publication.message.sender != self._socket.id:
            self._outbox.put(publication)

    def takePresence(self, event: PresenceEvent) -> None:
        """A member has come, gone, or changed its state."""
        self._outbox.put(event)

    def takeDirect(self, direct: DirectMessage) -> None:
        """A message for this member alone."""
        self._outbox.put(direct)

    def full(self) -> None:
        """The connection has no room."""
        self._outbox.full()

    def drained(self) -> None:
        """The connection has room again."""
        self._outbox.drained()

    def gone(self) -> None:
        """The connection is closed or lost."""
        self._isGone = True
        for levels in self._subscribed.values():
            self._hub.unsubscribe(self, levels)
        for levels in self._watched.values():
            self._hub.unwatch(self, levels)
        for topic in self._present:
            self._hub.leave(topic, self._member)
        self._hub.unblock(self._socket.id)
        self._outbox.clear()

    # -- the outbox's connection ----------------------------------------------------------------------------------

    @property
    def isFull(self) -> bool:
        """Whether the connection has no room."""
        return self._socket.isFull

    def send(self, encoded: tuple[Prepared, ...], item: Item) -> None:
        """Send an item, and before it what was skipped."""
        self._tellSkipped()
        for message in encoded:
            self._socket.send(message)

    def _tellSkipped(self) -> None:
        for topic, count in self._skipped.items():
            self._socket.send(line("gap", topic=topic, skipped=count))
        self._skipped.clear()

    def blocked(self) -> None:
        """Items wait from now on."""
        self._hub.block(self._socket.id, self)

    def cleared(self) -> None:
        """Nothing waits any more."""
        self._tellSkipped()
        self._hub.unblock(self._socket.id)

    def skipped(self, item: Item) -> None:
        """An item is not sent: the next one tells."""
        self._skipped[item.topic] = self._skipped.get(item.topic, 0) + 1
        self._socket.countSkipped()

    def conflated(self, item: Item) -> None:
        """An item is not sent, since there is a newer one."""
        self._socket.countSkipped()

    def tooSlow(self, oldest: Item) -> None:
        """Too much waits: close."""
        self._socket.close(SLOW, "this client reads too slowly; resume each topic from its last position")


def _payloadOf(request: TopicRequest) -> TopicMessage | None:
    fields = request.fields
    if "data" in fields:
        return TopicMessage(fields["data"], isBinary=False, mediaType=JSON)
    if "text" in fields:
        return TopicMessage(fields["text"].encode(), isBinary=False, mediaType=fields.get("type"))
    return None


def _of(request: TopicRequest, error: TopicError) -> TopicError:
    """The error as the answer to this request."""
    error.requestId = request.id
    return error
