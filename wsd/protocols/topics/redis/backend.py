"""The Redis backend."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.connection import newId
from wsd.protocols.topics.backend import Acknowledgement, BackendReceiver, Bounds
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.members import Change, Member, PresenceEvent
from wsd.protocols.topics.names import isFilter, matches
from wsd.protocols.topics.position import Position, newEpoch, readPosition
from wsd.protocols.topics.publication import Publication, TopicMessage
from wsd.protocols.topics.redis import scripts
from wsd.protocols.topics.redis.address import RedisAddress
from wsd.protocols.topics.redis.follower import Follower
from wsd.protocols.topics.redis.link import LinkLost, RedisLink, ResponseError, Script
from wsd.protocols.topics.redis.listening import Levels, RedisListening
from wsd.protocols.topics.redis.wire import PRESENCE, bodyOf, marker, memberValue, readBody, readMember, readStamped
from wsd.protocols.topics.topic import Recovered, Retention

_T = TypeVar("_T")

_PUBLISH, _READ, _RENEW, _CLEAR = map(Script, (scripts.PUBLISH, scripts.READ, scripts.RENEW, scripts.CLEAR))
_ENTER, _LEAVE, _ALIVE, _DIRECT = map(Script, (scripts.ENTER, scripts.LEAVE, scripts.ALIVE, scripts.DIRECT))

_HEARTBEAT = 5.0
"""Seconds between two signs of life; Redis must answer, and this daemon's members stay."""

_LIFE = 20
"""Seconds after its last sign of life in which a daemon counts as there."""

_MOST_WAITING = 1000
"""Publishes that may wait while Redis is away."""

_PATIENCE = 30.0
"""Seconds that a publish may wait for Redis."""


class _Publish:
    """Messages that are on their way to Redis, or wait for it."""

    __slots__ = ("done", "isRetry", "messages", "since", "topic", "uids")

    def __init__(self, topic: str, messages: list[TopicMessage], since: float) -> None:
        self.topic = topic
        self.messages = messages
        self.uids = [newId() for _ in messages]
        self.since = since
        self.isRetry = False
        """Whether Redis may have published it already."""
        self.done: Deferred[list[Acknowledgement]] = Deferred()


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
    ) -> None:
        """`prefix` begins all keys and channels. `now` is the time of day, which all daemons must agree on."""
        self._keep = keep
        self._bounds = bounds
        self._address = address
        self._prefix = prefix
        self._reactor = reactor
        self._now = now
        self._daemon = newId()
        self._link = RedisLink(address, self, reactor)
        self._listening = RedisListening(prefix)
        self._pending: dict[Levels, list[Deferred[None]]] = {}
        """Topics and filters that Redis has not confirmed yet."""
        self._follower = Follower(self, self._deliver)
        self._queue: deque[_Publish] = deque()
        self._entered: dict[tuple[str, str], Member] = {}
        self._left: set[tuple[str, str]] = set()
        """Members that went while Redis was away, which does not know it yet."""
        self._receiver: BackendReceiver | None = None
        self._isReady = False
        self._early: list[Publication] | None = None
        """While what was missed is read: what comes meanwhile of topics that are not followed yet."""
        self._lostAt = now()
        self._heart = LoopingCall(self._beat)
        self._heart.clock = reactor

    def configure(self, keep: Retention, bounds: Bounds) -> None:
        """Limits that hold from now on."""
        self._keep, self._bounds = keep, bounds

    # -- life -----------------------------------------------------------------------------------------------------

    def start(self, receiver: BackendReceiver) -> Deferred[None]:
        """Connect. It does not wait for Redis, which may come later."""
        self._receiver = receiver
        self._link.start()
        self._heart.start(_HEARTBEAT, now=False)
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Disconnect; members of this daemon leave."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._heart.running:
            self._heart.stop()
        for topic, memberId in list(self._entered):
            await self.leave(topic, memberId)
        self._receiver, self._isReady = None, False
        await self._link.stop()
        # What was on its way waits as well, now that the link is gone.
        self._refuseWaiting(lambda publish: True)

    def ready(self) -> str | None:
        """Why nothing can be published."""
        return None if self._isReady else f"Redis at {self._address} is not connected"

    def linked(self) -> None:
        """Redis is there: listen to everything again, make good what was missed, and publish what waits."""
        Deferred.fromCoroutine(self._resume()).addErrback(self._notResumed)

    async def _resume(self) -> None:
        link, self._early = self._link, []
        await link.listen("SUBSCRIBE", self._channelOf(self._daemon))
        for command, channels in self._listening.all():
            await link.listen(command, *channels)
        await self._catchUp()
        for levels in list(self._pending):
            await self._baseline(levels)
            self._confirm(levels)
        await self._beatOnce()
        for topic, memberId in list(self._left):
            await self._leave(topic, memberId)
        for (topic, _), member in list(self._entered.items()):
            await self._enterAgain(topic, member)
        self._isReady = True
        self.log.info("linked to {address}", event="topics.redis", address=str(self._address))
        self._sendWaiting()
        await self._warn()

    def _notResumed(self, failure: Failure) -> None:
        if not failure.check(LinkLost, TopicError):
            self.log.failure("Redis answers otherwise than it should", failure, event="topics.redis")
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
                    "{address} has the maxmemory-policy {policy}, and may remove topics; set noeviction",
                    event="topics.redis",
                    address=str(self._address),
                    policy=policy,
                )

    def unlinked(self) -> None:
        """Redis is away."""
        if self._isReady:
            self._isReady = False
            self._lostAt = self._now()
            self.log.warn("lost the link to {address}", event="topics.redis", address=str(self._address))

    def _beat(self) -> Deferred[None]:
        self._refuseWaiting(lambda publish: self._now() - publish.since >= _PATIENCE)
        done = Deferred.fromCoroutine(self._beatOnce()) if self._isReady else succeed(None)
        return done.addErrback(lambda failure: failure.trap(LinkLost, TopicError))

    async def _beatOnce(self) -> None:
        keys = [self._key("p", self._daemon), f"{self._prefix}daemons"]
        await self._link.script(_ALIVE, keys, self._daemon, _LIFE, self._prefix)
        await self._link.ping()

    # -- names in Redis -------------------------------------------------------------------------------------------

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}{kind}:{name}"

    def _keys(self, topic: str, kinds: str) -> list[str]:
        return [self._key(kind, topic) for kind in kinds]

    def _channelOf(self, daemon: str) -> bytes:
        return f"{self._prefix}d:{daemon}".encode()

    # -- listening ------------------------------------------------------------------------------------------------

    def listen(self, pattern: Levels) -> Deferred[None]:
        """Fires when Redis has confirmed it. While Redis is away it fires at once: what comes later is made good."""
        done: Deferred[None] = Deferred()
        if pattern in self._pending and self._link.isUp:
            self._pending[pattern].append(done)
            return done
        if self._listening.has(pattern):
            return succeed(None)
        command, channels = self._listening.add(pattern)
        if not self._link.isUp:
            self._pending[pattern] = []
            return succeed(None)
        self._pending[pattern] = [done]
        # If the link is lost meanwhile, `_resume` confirms it.
        Deferred.fromCoroutine(self._listen(pattern, command, channels)).addErrback(self._notResumed)
        return done

    async def _listen(self, pattern: Levels, command: str, channels: tuple[bytes, ...]) -> None:
        await self._link.listen(command, *channels)
        await self._baseline(pattern)
        self._confirm(pattern)

    async def _baseline(self, pattern: Levels) -> None:
        """From here on nothing of a topic is missed."""
        name = "/".join(pattern)
        if not isFilter(name):
            self._follower.begin(name, (await self._read(name, "newest", 0)).position)

    def _confirm(self, pattern: Levels) -> None:
        for done in self._pending.pop(pattern, ()):
            done.callback(None)

    def unlisten(self, pattern: Levels) -> None:
        """Listen no more."""
        self._confirm(pattern)
        command = self._listening.remove(pattern)
        for topic in self._follower.topics:
            if not self._listening.hears(topic):
                self._follower.end(topic)
        if command is not None and self._link.isUp:
            self._link.listen(command[0], *command[1]).addErrback(lambda failure: failure.trap(LinkLost))

    async def _catchUp(self) -> None:
        """Make good what was missed while the link was lost."""
        for topic in self._follower.topics:
            await self._follower.catchUp(topic)
        if self._listening.hasFilters:
            await self._catchUpFilters()
        early, self._early = self._early or [], None
        for publication in early:
            self._hearPublication(publication.topic, publication)

    async def _catchUpFilters(self) -> None:
        """The same for topics that only a filter matches, and that were silent before."""
        since = self._lostAt - _HEARTBEAT
        for name in await self._link.run("ZRANGEBYSCORE", f"{self._prefix}topics", since, "+inf"):
            topic = name.decode()
            if self._follower.positionOf(topic) is None and self._listening.hears(topic):
                found = await self._read(topic, "newest", self._keep.count)
                missed = [publication for publication in found.publications if publication.at >= since]
                self._follower.begin(topic, found.position)
                for publication in missed:
                    self._deliver(publication)

    def heard(self, pattern: bytes | None, channel: bytes, data: bytes) -> None:
        """A publication, a note about a member, or a message for a member here."""
        try:
            if channel == self._channelOf(self._daemon):
                self._hearDirect(data)
                return
            topic = self._listening.topicOf(pattern, channel)
            if topic is None:
                return
            if data.startswith(PRESENCE):
                self._hearPresence(topic, data)
            else:
                self._hearPublication(topic, readStamped(topic, data))
        except Exception:
            self.log.failure("a message of Redis cannot be read", Failure(), event="topics.redis")

    def _hearPublication(self, topic: str, publication: Publication) -> None:
        if self._early is not None and self._follower.positionOf(topic) is None:
            self._early.append(publication)
        elif tuple(topic.split("/")) not in self._pending:
            self._follower.arrived(publication)

    def _hearPresence(self, topic: str, data: bytes) -> None:
        change, memberId, value = data[len(PRESENCE) :].split(b"\n", 2)
        member, _ = readMember(memberId, value)
        if self._receiver is not None:
            self._receiver.presenceChanged(PresenceEvent(topic, Change(change.decode()), member))

    def _hearDirect(self, data: bytes) -> None:
        topic, memberId, body = data.split(b"\n", 2)
        message = readBody(topic.decode(), Position("-", 0), body).message
        if self._receiver is not None:
            self._receiver.directed(topic.decode(), memberId.decode(), message)

    def _deliver(self, publication: Publication) -> None:
        if self._receiver is not None:
            self._receiver.published(publication)

    # -- publishing -----------------------------------------------------------------------------------------------

    def publish(self, topic: str, message: TopicMessage) -> Deferred[Acknowledgement]:
        """Publish. While Redis is away a bounded number of messages waits."""
        return self.publishAll(topic, [message]).addCallback(lambda acknowledged: acknowledged[0])

    def publishAll(self, topic: str, messages: list[TopicMessage]) -> Deferred[list[Acknowledgement]]:
        """Publish several messages in one step: all of them, or none."""
        publish = _Publish(topic, messages, self._now())
        if self._isReady:
            self._send(publish)
        elif len(self._queue) < _MOST_WAITING:
            self._queue.append(publish)
        else:
            return fail(_unavailable())
        return publish.done

    def _send(self, publish: _Publish) -> None:
        now, keep, bounds = self._now(), self._keep, self._bounds
        arguments: list[Any] = []
        for message, uid in zip(publish.messages, publish.uids, strict=True):
            body = bodyOf(message, now, uid)
            key, once = message.key or "", message.once or ""
            arguments += [body, message.size, key, int(message.isRemoval), once, marker(uid)]
        done = self._link.script(
            _PUBLISH,
            [*self._keys(publish.topic, "msloq"), f"{self._prefix}topics", f"{self._prefix}lasts"],
            repr(now),
            newEpoch(),
            keep.count,
            keep.size,
            repr(keep.age),
            keep.keys,
            repr(bounds.onceAge),
            bounds.onceCount,
            self._listening.channel(publish.topic),
            publish.topic,
            scripts.IDLE,
            int(publish.isRetry),
            bounds.topics,
            self._prefix,
            *arguments,
        )
        done.addCallbacks(self._published, self._notPublished, callbackArgs=(publish,), errbackArgs=(publish,))
        done.addErrback(publish.done.errback)

    def _published(self, answers: list[list[Any]], publish: _Publish) -> None:
        publish.done.callback(
            [Acknowledgement(readPosition(position.decode()), bool(known)) for position, known in answers]
        )

    def _notPublished(self, failure: Failure, publish: _Publish) -> None:
        if failure.check(LinkLost):
            # The answers that were lost come in their order, and so does what is sent again.
            publish.isRetry = True
            self._queue.append(publish)
            self._sortWaiting()
        else:
            assert isinstance(failure.value, Exception)
            publish.done.errback(_errorOf(failure.value, self._keep, self._bounds))

    def _sortWaiting(self) -> None:
        """What may have been published already goes first."""
        self._queue = deque(sorted(self._queue, key=lambda publish: not publish.isRetry))

    def _sendWaiting(self) -> None:
        waiting, self._queue = self._queue, deque()
        for publish in waiting:
            self._send(publish)

    def _refuseWaiting(self, isRefused: Callable[[_Publish], bool]) -> None:
        refused = [publish for publish in self._queue if isRefused(publish)]
        if refused:
            self._queue = deque(publish for publish in self._queue if publish not in refused)
        for publish in refused:
            publish.done.errback(_unavailable())

    # -- reading --------------------------------------------------------------------------------------------------

    async def _read(self, topic: str, how: str, number: int) -> Recovered:
        """Everything behind an offset, or the newest so many: without what is too old. Raises what the link does."""
        epoch, offset, entries = await self._link.script(
            _READ, self._keys(topic, "ms"), newEpoch(), scripts.IDLE, how, number
        )
        # COUNT 0 is answered with nothing, not with an empty list.
        entries = entries or []
        if how == "newest":
            entries.reverse()
        position = Position(epoch.decode(), int(offset))
        now = self._now()
        publications = [
            readBody(topic, Position(position.epoch, int(entry.partition(b"-")[0])), fields[1])
            for entry, fields in entries
        ]
        kept = [publication for publication in publications if now - publication.at < self._keep.age]
        return Recovered(kept, position, isComplete=True)

    def newest(self, topic: str, count: int) -> Deferred[Recovered]:
        """The newest publications of a topic, at most `count`."""
        return self._translate(self._newest(topic, count))

    async def _newest(self, topic: str, count: int) -> Recovered:
        found = await self._read(topic, "newest", count)
        await self._follower.reach(topic, found.position)
        return self._fresh(found, isComplete=True)

    def since(self, topic: str, position: Position) -> Deferred[Recovered]:
        """Everything behind a position, as far as it is kept."""
        return self._translate(self._since(topic, position))

    async def _since(self, topic: str, position: Position) -> Recovered:
        found = await self._missed(topic, position)
        await self._follower.reach(topic, found.position)
        return found

    def missed(self, topic: str, position: Position) -> Deferred[Recovered]:
        """The same for the follower, which delivers it."""
        return self._translate(self._missed(topic, position))

    async def _missed(self, topic: str, position: Position) -> Recovered:
        found = await self._read(topic, "since", position.offset)
        if position.epoch != found.position.epoch or position.offset > found.position.offset:
            return self._fresh(await self._read(topic, "newest", max(1, self._keep.count)), isComplete=False)
        missed = found.position.offset - position.offset
        return self._fresh(found, isComplete=missed <= len(found.publications))

    def _fresh(self, found: Recovered, isComplete: bool) -> Recovered:
        now = self._now()
        fresh = [publication for publication in found.publications if not publication.isStale(now)]
        return Recovered(fresh, found.position, isComplete)

    def last(self, pattern: Levels) -> Deferred[list[Publication]]:
        """The last values of all topics that a filter matches."""
        return self._translate(self._last(pattern))

    async def _last(self, pattern: Levels) -> list[Publication]:
        name = "/".join(pattern)
        topics = [name]
        if isFilter(name):
            names = [each.decode() for each in await self._link.run("SMEMBERS", f"{self._prefix}lasts")]
            topics = sorted(each for each in names if matches(pattern, tuple(each.split("/"))))
        found = []
        for topic in topics:
            values = (await self._link.run("HGETALL", self._key("l", topic)))[1::2]
            found += sorted((readStamped(topic, value) for value in values), key=lambda each: each.position.offset)
        now = self._now()
        return [publication for publication in found if not publication.isStale(now)]

    def clear(self, topic: str) -> Deferred[None]:
        """Drop history and last values of a topic."""
        keys = [*self._keys(topic, "msl"), f"{self._prefix}lasts"]
        return self._translate(self._done(_CLEAR, keys, topic, scripts.IDLE))

    async def renew(self, topic: str, position: Position) -> Position:
        """Redis has lost what was delivered here: begin a new epoch."""
        epoch, offset = await self._link.script(
            _RENEW, self._keys(topic, "ms"), position.epoch, position.offset, newEpoch()
        )
        self.log.warn("Redis has lost messages of {topic}", event="topics.redis", topic=topic)
        return Position(epoch.decode(), int(offset))

    # -- members --------------------------------------------------------------------------------------------------

    def enter(self, topic: str, member: Member) -> Deferred[None]:
        """A member comes to a topic, or changes its state."""
        isNew = (topic, member.id) not in self._entered
        self._left.discard((topic, member.id))
        self._entered[topic, member.id] = member
        done = self._translate(self._enter(topic, member))
        if isNew:
            done.addErrback(self._notEntered, topic, member)
        return done

    async def _enter(self, topic: str, member: Member) -> None:
        keys = [self._key("h", topic), self._key("t", self._daemon)]
        channel = self._listening.channel(topic)
        value = memberValue(member, self._daemon)
        await self._link.script(_ENTER, keys, member.id, value, self._bounds.members, topic, channel)

    async def _enterAgain(self, topic: str, member: Member) -> None:
        """Redis may have let others take the place while this daemon was away."""
        try:
            await self._enter(topic, member)
        except ResponseError:
            self._entered.pop((topic, member.id), None)
            self.log.warn("a member of {topic} has lost its place", event="topics.redis", topic=topic)

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
        await self._link.script(_LEAVE, [self._key("h", topic)], memberId, self._listening.channel(topic))
        self._left.discard((topic, memberId))

    def members(self, topic: str) -> Deferred[list[Member]]:
        """Who is present at a topic, at all daemons."""
        return self._translate(self._membersOf(topic))

    async def _membersOf(self, topic: str) -> list[Member]:
        found = await self._link.run("HGETALL", self._key("h", topic))
        return [readMember(memberId, value)[0] for memberId, value in zip(found[::2], found[1::2], strict=True)]

    def direct(self, topic: str, memberId: str, message: TopicMessage) -> Deferred[None]:
        """Send a message to one member of a topic."""
        return self._translate(self._direct(topic, memberId, message))

    async def _direct(self, topic: str, memberId: str, message: TopicMessage) -> None:
        data = b"\n".join((topic.encode(), memberId.encode(), bodyOf(message, self._now(), newId())))
        keys = [self._key("h", topic)]
        if not await self._link.script(_DIRECT, keys, memberId, f"{self._prefix}d:", data):
            raise TopicError("no_member", f"no member {memberId[:40]!r} is present at this topic")

    async def _done(self, script: Script, keys: list[str], *arguments: Any) -> None:
        await self._link.script(script, keys, *arguments)

    def _translate(self, asked: Coroutine[Any, Any, _T]) -> Deferred[_T]:
        """What was asked of Redis; it fails with TopicError."""
        return Deferred.fromCoroutine(self._translated(asked))

    async def _translated(self, asked: Coroutine[Any, Any, _T]) -> _T:
        try:
            return await asked
        except (LinkLost, ResponseError) as error:
            raise _errorOf(error, self._keep, self._bounds) from None


def _unavailable() -> TopicError:
    return TopicError("unavailable", "Redis is not connected; try again later")


def _errorOf(error: Exception, keep: Retention, bounds: Bounds) -> Exception:
    if isinstance(error, LinkLost):
        return _unavailable()
    if str(error).startswith("FULL keys"):
        return TopicError("full", f"this topic has {keep.keys} last values, which is the limit; remove a key")
    if str(error).startswith("FULL members"):
        return TopicError("too_many", f"{bounds.members} members are present, which is the limit")
    if isinstance(error, ResponseError):
        return TopicError("unavailable", f"Redis refuses: {error}")
    return error
