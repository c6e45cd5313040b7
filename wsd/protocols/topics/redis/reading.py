"""What Redis keeps of topics: histories and last values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wsd.protocols.topics.names import isFilter, matches
from wsd.protocols.topics.position import Position, newEpoch
from wsd.protocols.topics.publication import Publication
from wsd.protocols.topics.redis import scripts
from wsd.protocols.topics.redis.limits import RedisLimits
from wsd.protocols.topics.redis.lineage import Lineage, readLineage
from wsd.protocols.topics.redis.link import RedisLink, Script
from wsd.protocols.topics.redis.listening import Levels
from wsd.protocols.topics.redis.names import RedisNames
from wsd.protocols.topics.redis.wire import readBody, readStamped
from wsd.protocols.topics.topic import Recovered

_READ, _CLEAR = Script(scripts.READ), Script(scripts.CLEAR)


@dataclass(frozen=True, slots=True)
class _Found:
    """What Redis has answered."""

    lineage: Lineage
    publications: list[Publication]
    behind: int | None
    """The offset that they follow; None if they are the newest."""


class RedisReading:
    """Reads topics. All methods raise LinkLost and ResponseError."""

    def __init__(self, link: RedisLink, names: RedisNames, limits: RedisLimits, now: Callable[[], float]) -> None:
        self._link = link
        self._names = names
        self._limits = limits
        self._now = now

    async def newest(self, topic: str, count: int) -> Recovered:
        """The newest publications of a topic, at most `count`."""
        found = await self._read(topic, count)
        return Recovered(self._fresh(found.publications), found.lineage.position, isComplete=True)

    async def since(self, topic: str, position: Position) -> Recovered:
        """
        Everything behind a position, as far as it is kept.

        If Redis has lost the message of that position, it is everything behind what Redis still had; if it does not
        know the epoch, it is the whole history.
        """
        found = await self._read(topic, max(1, self._limits.keep.count), position)
        lineage, missed = found.lineage, found.publications
        isComplete = found.behind is not None and lineage.has(position) and lineage.offset - found.behind <= len(missed)
        return Recovered(self._fresh(missed), lineage.position, isComplete)

    async def _read(self, topic: str, count: int, since: Position | None = None) -> _Found:
        keys = [*self._names.ofTopic(topic, "ms"), self._names.generation]
        # COUNT 0 is answered with nothing, not with an empty list.
        epoch, offset, earlier, entries, *behind = await self._link.script(
            _READ, keys, newEpoch(), scripts.IDLE, count, *(since or ())
        )
        lineage = readLineage(epoch, offset, earlier)
        publications = [
            readBody(topic, lineage.at(int(entry.partition(b"-")[0])), fields[1]) for entry, fields in entries or ()
        ]
        if not behind:
            publications.reverse()
        now, age = self._now(), self._limits.keep.age
        kept = [publication for publication in publications if now - publication.at < age]
        return _Found(lineage, kept, behind[0] if behind else None)

    def _fresh(self, publications: list[Publication]) -> list[Publication]:
        now = self._now()
        return [publication for publication in publications if not publication.isStale(now)]

    async def last(self, pattern: Levels) -> list[Publication]:
        """The last values of all topics that a filter matches."""
        name = "/".join(pattern)
        topics = [name]
        if isFilter(name):
            names = [each.decode() for each in await self._link.run("SMEMBERS", self._names.lasts)]
            topics = sorted(each for each in names if matches(pattern, tuple(each.split("/"))))
        found = []
        for topic in topics:
            values = (await self._link.run("HGETALL", self._names.key("l", topic)))[1::2]
            found += sorted((readStamped(topic, value) for value in values), key=lambda each: each.position.offset)
        return self._fresh(found)

    async def clear(self, topic: str) -> None:
        """Drop history and last values of a topic."""
        keys = [*self._names.ofTopic(topic, "msl"), self._names.lasts]
        await self._link.script(_CLEAR, keys, topic, scripts.IDLE)

    async def topics(self, count: int) -> list[str]:
        """The topics that were published to, the newest first, at most `count`."""
        found = await self._link.run("ZREVRANGE", self._names.topics, 0, count - 1)
        return [name.decode() for name in found]

    async def changedSince(self, since: float) -> list[str]:
        """The topics that were published to since a time of day."""
        found = await self._link.run("ZRANGEBYSCORE", self._names.topics, since, "+inf")
        return [name.decode() for name in found]
