"""The Redis backend."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.protocols.topics.backend import Acknowledgement, BackendReceiver, Bounds
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.members import Change, Member, PresenceEvent
from wsd.protocols.topics.position import Position, newEpoch
from wsd.protocols.topics.publication import Publication, TopicMessage
from wsd.protocols.topics.redis import scripts
from wsd.protocols.topics.redis.address import RedisAddress
from wsd.protocols.topics.redis.feed import RedisFeed
from wsd.protocols.topics.redis.limits import RedisLimits, translated
from wsd.protocols.topics.redis.link import LinkLost, RedisLink, ResponseError
from wsd.protocols.topics.redis.listening import Levels
from wsd.protocols.topics.redis.names import RedisNames
from wsd.protocols.topics.redis.presence import RedisPresence
from wsd.protocols.topics.redis.publishing import RedisPublishing
from wsd.protocols.topics.redis.reading import RedisReading
from wsd.protocols.topics.redis.wire import PRESENCE, readBody, readMember, readStamped
from wsd.protocols.topics.topic import Recovered, Retention
from wsd.traces.tracing import Tracing

if TYPE_CHECKING:
    from wsd.traces.tracer import Span

_HEARTBEAT = 5.0
"""Seconds between two signs of life; Redis must answer, and this daemon's members stay."""

_REMINDER = 60.0
"""Seconds until the log says again why Redis cannot be connected to, if the reason is the same."""


class RedisBackend:
    """`wsd.protocols.topics.backend.Backend` on a Redis that other daemons may share."""

    log = Logger(namespace="wsd")

    def __init__(
        self,
        keep: Retention,
        bounds: Bounds,
        address: RedisAddress,
        prefix: str,
        reactor: Any,
        now: Callable[[], float],
        tracing: Tracing | None = None,
    ) -> None:
        """`prefix` begins all keys and channels. `now` is the time of day, which all daemons must agree on."""
        self._address = address
        self._tracing = tracing or Tracing()
        self._now = now
        self._limits = RedisLimits(keep, bounds)
        self._names = names = RedisNames(prefix)
        self._link = link = RedisLink(address, self, reactor)
        self._publishing = RedisPublishing(link, names, self._limits, now, self._traced)
        self._reading = RedisReading(link, names, self._limits, now)
        self._presence = RedisPresence(link, names, self._limits, now)
        self._feed = RedisFeed(link, names, self._reading, self._limits, self._notResumed)
        self._isReady = False
        self._reason: str | None = None
        """Why Redis could not be connected to at the last try."""
        self._toldAt = 0.0
        """When the log said so."""
        self._lostAt = now()
        self._heart = LoopingCall(self._beat)
        self._heart.clock = reactor

    def _traced(self, count: int) -> Span | None:
        """The span of a call that publishes so many messages, of any number of clients: in a trace of its own."""
        tracer, address = self._tracing.tracer, self._address
        if tracer is None:
            return None
        attributes: dict[str, str | int] = {
            "db.system.name": "redis",
            "db.operation.name": "EVALSHA",
            "db.namespace": str(address.database),
        }
        if address.name is None:
            # Otherwise these are the Sentinels, which name the server.
            attributes["server.address"], attributes["server.port"] = address.hosts[0]
        if count > 1:
            attributes["db.operation.batch.size"] = count
        return tracer.call("EVALSHA", attributes)

    def configure(self, keep: Retention, bounds: Bounds) -> None:
        """Limits that hold from now on."""
        self._limits.keep, self._limits.bounds = keep, bounds

    # -- life -----------------------------------------------------------------------------------------------------

    def start(self, receiver: BackendReceiver) -> Deferred[None]:
        """Connect. It does not wait for Redis, which may come later."""
        self._feed.receiver = receiver
        self._link.start()
        self._heart.start(_HEARTBEAT, now=False)
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Disconnect; members of this daemon leave."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._heart.running:
            self._heart.stop()
        await self._presence.leaveAll()
        self._feed.receiver, self._isReady = None, False
        self._publishing.suspend()
        await self._link.stop()
        # What was on its way waits as well, now that the link is gone.
        self._publishing.refuseAll()

    def ready(self) -> str | None:
        """Why nothing can be published."""
        if self._isReady:
            return None
        reason = "" if self._reason is None else f": {self._reason}"
        return f"Redis at {self._address} is not connected{reason}"

    def linked(self) -> None:
        """Redis is there: listen to everything again, make good what was missed, and publish what waits."""
        Deferred.fromCoroutine(self._resume()).addErrback(self._notResumed)

    async def _resume(self) -> None:
        # Before anything else on this connection: whoever uses a topic after it knows what the server may have lost.
        await self._link.run("EVAL", scripts.GENERATION, 1, self._names.generation, newEpoch())
        await self._link.listen("SUBSCRIBE", self._names.channelOf(self._presence.daemon))
        await self._feed.resume(self._lostAt - _HEARTBEAT)
        await self._presence.resume()
        self._isReady, self._reason = True, None
        self.log.info("connected to Redis at {address}", event="topics.redis", address=str(self._address))
        self._publishing.resume()
        await self._warn()

    def _notResumed(self, failure: Failure) -> None:
        if failure.check(ResponseError):
            self.notLinked(f"Redis refuses: {failure.getErrorMessage()}")
            self._link.abort()
        elif not failure.check(LinkLost, TopicError):
            self.log.failure("Redis sent an unexpected answer", failure, event="topics.redis")
            self._link.abort()

    async def _warn(self) -> None:
        """Say so if Redis may remove what is kept, to make room for others."""
        try:
            info = await self._link.run("INFO", "memory")
        except ResponseError:
            return
        for line in info.decode().splitlines():
            name, _, policy = line.partition(":")
            if name == "maxmemory_policy" and policy.startswith("allkeys-"):
                self.log.warn(
                    "{address} has the maxmemory-policy {policy} and may evict topics; set noeviction",
                    event="topics.redis",
                    address=str(self._address),
                    policy=policy,
                )

    def unlinked(self) -> None:
        """Redis is away."""
        if self._isReady:
            self._isReady = False
            self._lostAt = self._now()
            self._publishing.suspend()
            self.log.warn("disconnected from Redis at {address}", event="topics.redis", address=str(self._address))

    def notLinked(self, reason: str) -> None:
        """A try to connect has failed. The log says a new reason at once, and the same one once a minute."""
        now = self._now()
        if reason == self._reason and now - self._toldAt < _REMINDER:
            return
        self._reason, self._toldAt = reason, now
        self.log.warn(
            "cannot connect to {address}: {reason}", event="topics.redis", address=str(self._address), reason=reason
        )

    def _beat(self) -> Deferred[None]:
        self._publishing.refuseLate()
        done = Deferred.fromCoroutine(self._beatOnce()) if self._isReady else succeed(None)
        return done.addErrback(lambda failure: failure.trap(LinkLost, TopicError))

    async def _beatOnce(self) -> None:
        await self._presence.live()
        await self._link.ping()

    # -- what Redis tells -----------------------------------------------------------------------------------------

    def hearing(self) -> AbstractContextManager[None]:
        """A context for what comes in one piece."""
        receiver = self._feed.receiver
        return nullcontext() if receiver is None else receiver.gathering()

    def heard(self, pattern: bytes | None, channel: bytes, data: bytes) -> None:
        """A publication, a note about a member, or a message for a member here."""
        try:
            if channel == self._names.channelOf(self._presence.daemon):
                self._hearDirect(data)
                return
            topic = self._feed.topicOf(pattern, channel)
            if topic is None:
                return
            if data.startswith(PRESENCE):
                self._hearPresence(topic, data)
            else:
                self._feed.heard(readStamped(topic, data))
        except Exception:
            self.log.failure("a message from Redis cannot be read", Failure(), event="topics.redis")

    def _hearPresence(self, topic: str, data: bytes) -> None:
        change, memberId, value = data[len(PRESENCE) :].split(b"\n", 2)
        member, _ = readMember(memberId, value)
        if self._feed.receiver is not None:
            self._feed.receiver.presenceChanged(PresenceEvent(topic, Change(change.decode()), member))

    def _hearDirect(self, data: bytes) -> None:
        topic, memberId, body = data.split(b"\n", 2)
        message = readBody(topic.decode(), Position("-", 0), body).message
        if self._feed.receiver is not None:
            self._feed.receiver.directed(topic.decode(), memberId.decode(), message)

    # -- what callers ask for -------------------------------------------------------------------------------------

    def listen(self, pattern: Levels) -> Deferred[None]:
        """Fires when Redis has confirmed it. While Redis is away it fires at once: what comes later is made good."""
        return self._feed.listen(pattern)

    def unlisten(self, pattern: Levels) -> None:
        """Listen no more."""
        self._feed.unlisten(pattern)

    def publish(self, topic: str, message: TopicMessage) -> Deferred[Acknowledgement]:
        """Publish. While Redis is away a bounded number of messages waits."""
        return self.publishAll(topic, [message]).addCallback(lambda acknowledged: acknowledged[0])

    def publishAll(self, topic: str, messages: list[TopicMessage]) -> Deferred[list[Acknowledgement]]:
        """Publish several messages in one step: all of them, or none."""
        return self._publishing.publish(topic, messages)

    def newest(self, topic: str, count: int) -> Deferred[Recovered]:
        """The newest publications of a topic, at most `count`."""
        return translated(self._newest(topic, count), self._limits)

    async def _newest(self, topic: str, count: int) -> Recovered:
        found = await self._reading.newest(topic, count)
        await self._feed.reach(topic, found.position)
        return found

    def since(self, topic: str, position: Position) -> Deferred[Recovered]:
        """Everything behind a position, as far as it is kept."""
        return translated(self._since(topic, position), self._limits)

    async def _since(self, topic: str, position: Position) -> Recovered:
        found = await self._reading.since(topic, position)
        await self._feed.reach(topic, found.position)
        return found

    def last(self, pattern: Levels) -> Deferred[list[Publication]]:
        """The last values of all topics that a filter matches."""
        return translated(self._reading.last(pattern), self._limits)

    def names(self, count: int) -> Deferred[list[str]]:
        """The topics that were published to, the newest first, at most `count`."""
        return translated(self._reading.topics(count), self._limits)

    def clear(self, topic: str) -> Deferred[None]:
        """Drop history and last values of a topic."""
        return translated(self._reading.clear(topic), self._limits)

    def enter(self, topic: str, member: Member) -> Deferred[None]:
        """A member comes to a topic, or changes its state."""
        return self._presence.enter(topic, member)

    def leave(self, topic: str, memberId: str) -> Deferred[None]:
        """A member goes. While Redis is away, Redis is told later."""
        return self._presence.leave(topic, memberId)

    def members(self, topic: str) -> Deferred[list[Member]]:
        """Who is present at a topic, at all daemons."""
        return translated(self._presence.members(topic), self._limits)

    def direct(self, topic: str, memberId: str, message: TopicMessage) -> Deferred[None]:
        """Send a message to one member of a topic."""
        return translated(self._presence.direct(topic, memberId, message), self._limits)
