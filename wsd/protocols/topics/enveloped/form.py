"""The enveloped form of one connection: it reads what the client asks for, publishes, and answers with errors."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

from twisted.python.failure import Failure

from wsd.frames.codes import CloseCode
from wsd.protocols.topics.backend import Acknowledgement
from wsd.protocols.topics.enveloped.feed import EnvelopedFeed
from wsd.protocols.topics.enveloped.presence import EnvelopedPresence
from wsd.protocols.topics.enveloped.socket import EnvelopedSocket
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.inflight import InFlight
from wsd.protocols.topics.messages import JSON, TopicRequest, line, readRequest
from wsd.protocols.topics.names import checkName
from wsd.protocols.topics.parts import TopicsParts
from wsd.protocols.topics.publication import TopicMessage
from wsd.protocols.topics.rules import Action

ENVELOPED = "topics.wsd.v1"
"""The subprotocol."""


class EnvelopedForm:
    """One client of topics.wsd.v1."""

    def __init__(self, socket: EnvelopedSocket, parts: TopicsParts) -> None:
        self._socket = socket
        self._hub = parts.hub
        self._access = parts.access
        self._feed = EnvelopedFeed(socket, parts)
        self._presence = EnvelopedPresence(socket, parts, self._feed.takeDirect)
        self._pending: TopicRequest | None = None
        """A request whose payload is the next message."""
        self._inFlight = InFlight(socket)
        self._isGone = False

    def begin(self) -> None:
        """Nothing is subscribed to until the client says so."""
        self._feed.begin()

    def full(self) -> None:
        """The connection has no room."""
        self._feed.full()

    def drained(self) -> None:
        """The connection has room again."""
        self._feed.drained()

    def gone(self) -> None:
        """The connection is closed or lost."""
        self._isGone = True
        self._feed.gone()
        self._presence.gone()

    # -- moving to a new process ----------------------------------------------------------------------------------

    @property
    def canMove(self) -> bool:
        """Whether nothing waits for the client, or is on its way."""
        return self._feed.canMove and not len(self._inFlight)

    def save(self) -> dict[str, Any]:
        """What the client has asked for so far."""
        pending = self._pending
        asked = None if pending is None else [pending.name, pending.id, pending.topic, pending.fields]
        return {"feed": self._feed.save(), "presence": self._presence.save(), "pending": asked}

    def resume(self, saved: dict[str, Any]) -> None:
        """Go on in another process."""
        self._feed.resume(**saved["feed"])
        self._presence.resume(**saved["presence"])
        if saved["pending"] is not None:
            name, number, topic, fields = saved["pending"]
            self._pending = TopicRequest(name, {**fields, "id": number, "topic": topic})

    # -- the client asks ------------------------------------------------------------------------------------------

    def received(self, payload: bytes, isBinary: bool) -> Awaitable[None] | None:
        """A message of the client's."""
        request, self._pending = self._pending, None
        try:
            if isBinary:
                if request is None:
                    raise TopicError("bad_message", 'a binary message must follow its envelope with "binary": true')
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
            decided = self._access.may(Action.publish, request.topic, checkName(request.topic), self._socket.subject)
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

    async def _answer(self, request: TopicRequest, payload: TopicMessage | None) -> None:
        """Everything but a publish is done before the next message is read."""
        try:
            if request.name == "subscribe":
                # A client that sends unacknowledged messages again, and then resumes, knows its own among the replayed.
                await self._inFlight.landed()
                await self._feed.subscribe(request)
            elif request.name == "unsubscribe":
                self._feed.unsubscribe(request)
            elif request.name == "enter":
                await self._presence.enter(request)
            elif request.name == "leave":
                await self._presence.leave(request)
            elif request.name == "members":
                await self._presence.members(request)
            elif request.name == "token":
                await self._renew(request)
            else:
                assert payload is not None
                await self._presence.direct(request, payload)
        except TopicError as error:
            self._refuse(_of(request, error))

    def _refuse(self, error: TopicError) -> None:
        self._socket.send(line("error", id=error.requestId, code=error.code, message=error.sentence))

    # -- publishing -----------------------------------------------------------------------------------------------

    def _publish(self, request: TopicRequest, payload: TopicMessage) -> None:
        fields = request.fields
        message = replace(
            payload,
            key=fields.get("key"),
            isRemoval="key" in fields and not payload.isBinary and payload.payload == b"null",
            ttl=fields.get("ttl"),
            once=fields.get("once"),
            sender=None if fields.get("echo") else self._socket.id,
        )
        done = self._hub.backend.publish(request.topic, message)
        done.addCallbacks(self._published, self._failed, callbackArgs=(request,), errbackArgs=(request,))
        done.addErrback(self._broken)
        self._inFlight.add(done)

    def _broken(self, failure: Failure) -> None:
        """An error of the server's own."""
        self._socket.log.failure("a publish failed", failure, event="connection.error")
        self._socket.close(CloseCode.INTERNAL_ERROR, "an internal error occurred; see the server's log")

    def _published(self, result: Acknowledgement, request: TopicRequest) -> None:
        if request.id is not None:
            position, duplicate = str(result.position), result.isDuplicate or None
            self._socket.send(
                line("published", id=request.id, topic=request.topic, position=position, duplicate=duplicate)
            )

    # -- tokens ---------------------------------------------------------------------------------------------------

    async def _renew(self, request: TopicRequest) -> None:
        """A new token must let its bearer keep what it subscribes to, and where it is present."""
        token = request.fields["token"]
        identity = self._socket.identityOf(token)
        subject = self._access.renewed(self._socket.subject, token, identity)
        for action, topics in (
            (Action.subscribe, self._feed.subscribed.items()),
            (
                Action.presence,
                [*self._feed.watched.items(), *((topic, checkName(topic)) for topic in self._presence.topics)],
            ),
        ):
            for topic, levels in topics:
                await self._access.check(action, topic, levels, subject)
        if self._isGone:
            return
        self._socket.renew(subject, identity)
        self._socket.send(line("renewed", id=request.id))


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
