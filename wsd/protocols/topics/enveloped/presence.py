"""Where a client of the enveloped form is present, and its messages to single members."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from wsd.connection import newId
from wsd.protocols.topics.enveloped.socket import EnvelopedSocket
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.members import Member
from wsd.protocols.topics.messages import TopicRequest, line, memberFields
from wsd.protocols.topics.names import checkName
from wsd.protocols.topics.parts import TopicsParts
from wsd.protocols.topics.publication import DirectMessage, TopicMessage
from wsd.protocols.topics.rules import Action


class EnvelopedPresence:
    """One client as a member of topics."""

    def __init__(
        self, socket: EnvelopedSocket, parts: TopicsParts, takeDirect: Callable[[DirectMessage], None]
    ) -> None:
        """`takeDirect` is given messages for this member alone."""
        self._socket = socket
        self._hub = parts.hub
        self._access = parts.access
        self._most = parts.options.max_subscriptions
        self._member = newId()
        """What the other members call it."""
        self.topics: set[str] = set()
        """Where it is present."""
        self._isGone = False
        self.takeDirect = takeDirect

    def gone(self) -> None:
        """The connection is closed or lost."""
        self._isGone = True
        for topic in self.topics:
            self._hub.leave(topic, self._member)

    def save(self) -> dict[str, object]:
        """Where it is present, and what it is called there."""
        return {"member": self._member, "topics": sorted(self.topics)}

    def resume(self, member: str, topics: Iterable[str]) -> None:
        """Be present again, in another process."""
        self._member = member
        self.topics.update(topics)
        for topic in self.topics:
            self._hub.arrive(self, topic, member)

    async def enter(self, request: TopicRequest) -> None:
        """Answer `enter`. Raises TopicError."""
        topic = request.topic
        await self._access.check(Action.presence, topic, checkName(topic), self._socket.subject)
        if self._isGone:
            return
        isNew = topic not in self.topics
        if isNew and len(self.topics) >= self._most:
            raise TopicError("too_many", f"this connection is present at {self._most} topics, which is the limit")
        self.topics.add(topic)
        try:
            await self._hub.enter(
                self, topic, Member(self._member, self._socket.subject.user, request.fields.get("state", "null"))
            )
        except TopicError:
            if isNew:
                self.topics.discard(topic)
            raise
        self._socket.send(line("entered", id=request.id, topic=topic, member=self._member))

    async def leave(self, request: TopicRequest) -> None:
        """Answer `leave`. Raises TopicError."""
        if request.topic not in self.topics:
            raise TopicError("no_member", f"this connection is not present at {request.topic[:80]!r}")
        self.topics.discard(request.topic)
        await self._hub.leave(request.topic, self._member)
        self._socket.send(line("left", id=request.id, topic=request.topic))

    async def members(self, request: TopicRequest) -> None:
        """Answer `members`. Raises TopicError."""
        topic = request.topic
        await self._access.check(Action.presence, topic, checkName(topic), self._socket.subject)
        members = [memberFields(member) for member in await self._hub.backend.members(topic)]
        self._socket.send(line("members", id=request.id, topic=topic, members=members))

    async def direct(self, request: TopicRequest, payload: TopicMessage) -> None:
        """Answer `direct`. Raises TopicError."""
        await self._access.check(Action.direct, request.topic, checkName(request.topic), self._socket.subject)
        message = replace(payload, sender=self._member)
        await self._hub.backend.direct(request.topic, request.fields["to"], message)
        self._socket.send(line("directed", id=request.id, topic=request.topic))
