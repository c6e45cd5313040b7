"""Members of topics at all daemons, and messages to one of them. A daemon that is away loses its members."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.connection import newId
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.members import Member
from wsd.protocols.topics.publication import TopicMessage
from wsd.protocols.topics.redis import scripts
from wsd.protocols.topics.redis.limits import RedisLimits, translated
from wsd.protocols.topics.redis.link import LinkLost, RedisLink, ResponseError, Script
from wsd.protocols.topics.redis.names import RedisNames
from wsd.protocols.topics.redis.wire import bodyOf, memberValue, readMember

_ENTER, _LEAVE, _ALIVE, _DIRECT = map(Script, (scripts.ENTER, scripts.LEAVE, scripts.ALIVE, scripts.DIRECT))

_LIFE = 20
"""Seconds after its last sign of life in which a daemon counts as there."""


class RedisPresence:
    """The members of this daemon, and what it knows of those of others."""

    log = Logger(namespace="wsd")

    def __init__(self, link: RedisLink, names: RedisNames, limits: RedisLimits, now: Callable[[], float]) -> None:
        self._link = link
        self._names = names
        self._limits = limits
        self._now = now
        self.daemon = newId()
        """This daemon, among those on the same Redis."""
        self._entered: dict[tuple[str, str], Member] = {}
        self._left: set[tuple[str, str]] = set()
        """Members that went while Redis was away, which does not know it yet."""

    async def resume(self) -> None:
        """Redis is there: tell it that this daemon is, and who has gone and come meanwhile."""
        await self.live()
        for topic, memberId in list(self._left):
            await self._leave(topic, memberId)
        for (topic, _), member in list(self._entered.items()):
            await self._enterAgain(topic, member)

    async def live(self) -> None:
        """Give a sign of life. Members of daemons that give none are gone."""
        keys = [self._names.key("p", self.daemon), self._names.daemons]
        await self._link.script(_ALIVE, keys, self.daemon, _LIFE, self._names.prefix)

    async def leaveAll(self) -> None:
        """All members of this daemon go."""
        for topic, memberId in list(self._entered):
            await self.leave(topic, memberId)

    def enter(self, topic: str, member: Member) -> Deferred[None]:
        """A member comes to a topic, or changes its state."""
        isNew = (topic, member.id) not in self._entered
        self._left.discard((topic, member.id))
        self._entered[topic, member.id] = member
        done = translated(self._enter(topic, member), self._limits)
        if isNew:
            done.addErrback(self._notEntered, topic, member)
        return done

    async def _enter(self, topic: str, member: Member) -> None:
        keys = [self._names.key("h", topic), self._names.key("t", self.daemon)]
        value = memberValue(member, self.daemon)
        most, channel = self._limits.bounds.members, self._names.channel(topic)
        await self._link.script(_ENTER, keys, member.id, value, most, topic, channel)

    async def _enterAgain(self, topic: str, member: Member) -> None:
        """Redis may have let others take the place while this daemon was away."""
        try:
            await self._enter(topic, member)
        except ResponseError:
            self._entered.pop((topic, member.id), None)
            self.log.warn("a member of {topic} was lost", event="topics.redis", topic=topic)

    def _notEntered(self, failure: Failure, topic: str, member: Member) -> Failure:
        self._entered.pop((topic, member.id), None)
        return failure

    def leave(self, topic: str, memberId: str) -> Deferred[None]:
        """A member goes. While Redis is away, Redis is told later."""
        self._entered.pop((topic, memberId), None)
        self._left.add((topic, memberId))
        done = Deferred.fromCoroutine(self._leave(topic, memberId))
        return done.addErrback(lambda failure: failure.trap(LinkLost, ResponseError) and None)

    async def _leave(self, topic: str, memberId: str) -> None:
        await self._link.script(_LEAVE, [self._names.key("h", topic)], memberId, self._names.channel(topic))
        self._left.discard((topic, memberId))

    async def members(self, topic: str) -> list[Member]:
        """Who is present at a topic, at all daemons."""
        found = await self._link.run("HGETALL", self._names.key("h", topic))
        return [readMember(memberId, value)[0] for memberId, value in zip(found[::2], found[1::2], strict=True)]

    async def direct(self, topic: str, memberId: str, message: TopicMessage) -> None:
        """Send a message to one member of a topic. Raises TopicError("no_member")."""
        data = b"\n".join((topic.encode(), memberId.encode(), bodyOf(message, self._now(), newId())))
        keys = [self._names.key("h", topic)]
        if not await self._link.script(_DIRECT, keys, memberId, self._names.channelOf(""), data):
            raise TopicError("no_member", f"no member {memberId[:40]!r} is present at this topic")
