"""What this daemon hears of Redis: it listens to topics and filters, and makes good what it missed."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.python.failure import Failure

from wsd.protocols.topics.backend import BackendReceiver
from wsd.protocols.topics.names import isFilter
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import Publication
from wsd.protocols.topics.redis.follower import Follower
from wsd.protocols.topics.redis.limits import RedisLimits, translated
from wsd.protocols.topics.redis.link import LinkLost, RedisLink
from wsd.protocols.topics.redis.listening import Levels, RedisListening
from wsd.protocols.topics.redis.names import RedisNames
from wsd.protocols.topics.redis.reading import RedisReading
from wsd.protocols.topics.topic import Recovered


class RedisFeed:
    """The topics and filters that clients of this daemon subscribe to."""

    def __init__(
        self,
        link: RedisLink,
        names: RedisNames,
        reading: RedisReading,
        limits: RedisLimits,
        notListened: Callable[[Failure], None],
    ) -> None:
        """`notListened` is told why Redis does not let this daemon listen."""
        self._link = link
        self._reading = reading
        self._limits = limits
        self._notListened = notListened
        self._listening = RedisListening(names)
        self._pending: dict[Levels, list[Deferred[None]]] = {}
        """Topics and filters that Redis has not confirmed yet."""
        self._follower = Follower(self)
        self._settling = DeferredLock()
        """Held while it is found out from where on topics are followed, of which what was missed must come first."""
        self._early: list[Publication] | None = None
        """While what was missed is read: what comes meanwhile of topics that are not followed yet."""
        self.receiver: BackendReceiver | None = None

    def topicOf(self, pattern: bytes | None, channel: bytes) -> str | None:
        """The topic of a message; None if the message is not to be heard."""
        return self._listening.topicOf(pattern, channel)

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
        # If the link is lost meanwhile, `resume` confirms it.
        Deferred.fromCoroutine(self._listen(pattern, command, channels)).addErrback(self._notListened)
        return done

    async def _listen(self, pattern: Levels, command: str, channels: tuple[bytes, ...]) -> None:
        await self._link.listen(command, *channels)
        self._listening.confirm("/".join(pattern))
        await self._settling.run(lambda: Deferred.fromCoroutine(self._baseline(pattern)))
        self._confirm(pattern)

    async def _baseline(self, pattern: Levels) -> None:
        """From here on nothing of a topic is missed."""
        name = "/".join(pattern)
        if isFilter(name):
            return
        position = (await self._reading.newest(name, 0)).position
        if self._listening.hearsByFilter(name):
            # What was published before may still be on its way to the subscribers of the filter.
            await self._link.settled()
        self._follower.begin(name, position)

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

    # -- after a loss of the link ---------------------------------------------------------------------------------

    async def resume(self, since: float) -> None:
        """Redis is there again: listen to everything, and deliver what was missed. `since` is before it was away."""
        await self._settling.run(lambda: Deferred.fromCoroutine(self._resume(since)))

    async def _resume(self, since: float) -> None:
        self._early = []
        # What is subscribed to from now on asks Redis, and waits for its answer, by itself.
        pending = list(self._pending)
        names, commands = self._listening.names, self._listening.commands()
        for command, channels in commands:
            await self._link.listen(command, *channels)
        self._listening.confirm(*names)
        await self._catchUp(since)
        for levels in pending:
            if levels in self._pending:
                await self._baseline(levels)
                self._confirm(levels)

    async def _catchUp(self, since: float) -> None:
        """Deliver what was missed."""
        for topic in self._follower.topics:
            await self._follower.catchUp(topic)
        if self._listening.hasFilters:
            await self._catchUpFilters(since)
        early, self._early = self._early or [], None
        for publication in early:
            self._hear(publication.topic, publication)

    async def _catchUpFilters(self, since: float) -> None:
        """The same for topics that only a filter matches, and that were silent before."""
        for topic in await self._reading.changedSince(since):
            if self._follower.positionOf(topic) is not None or not self._listening.hears(topic):
                continue
            found = await self._reading.newest(topic, self._limits.keep.count)
            missed = [publication for publication in found.publications if publication.at >= since]
            self._follower.begin(topic, found.position)
            if len(missed) == len(found.publications) and not (missed and missed[0].position.offset == 1):
                # What the history does not have any more may have been published meanwhile as well.
                self.lost(topic, found.position)
            for publication in missed:
                self.deliver(publication)

    # -- hearing --------------------------------------------------------------------------------------------------

    def heard(self, publication: Publication) -> None:
        """A publication has come by its channel."""
        self._hear(publication.topic, publication)

    def _hear(self, topic: str, publication: Publication) -> None:
        if self._early is not None and self._follower.positionOf(topic) is None:
            self._early.append(publication)
        elif tuple(topic.split("/")) not in self._pending or self._listening.hearsByFilter(topic):
            # Before its baseline, a topic that is subscribed to by name is heard for filters alone.
            self._follower.arrived(publication)

    async def reach(self, topic: str, position: Position) -> None:
        """Deliver everything up to a position that was read."""
        await self._follower.reach(topic, position)

    # -- what the follower asks for -------------------------------------------------------------------------------

    def missed(self, topic: str, position: Position) -> Deferred[Recovered]:
        """Everything behind a position, as far as it is kept."""
        return translated(self._reading.since(topic, position), self._limits)

    def deliver(self, publication: Publication) -> None:
        """The next publication of a topic."""
        if self.receiver is not None:
            self.receiver.published(publication)

    def lost(self, topic: str, position: Position) -> None:
        """Messages of a topic before this position are lost."""
        if self.receiver is not None:
            self.receiver.lost(topic, position)
