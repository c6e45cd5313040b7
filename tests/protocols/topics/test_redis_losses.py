"""Redis that loses what it has acknowledged: no position is used twice, and every loss is told, whoever comes first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.protocols.topics.backends import Topics, onServer, texts
from tests.protocols.topics.redisserver import RedisServer
from tests.protocols.topics.test_redis import ROOMY, until
from tests.reactor import onReactor
from wsd.connection import newId
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.redis.lineage import Lineage, readLineage


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def prefix() -> str:
    return f"{newId()}:"


class Late:
    """A daemon that is connected to Redis again only when the test says so."""

    def __init__(self, topics: Topics) -> None:
        backend: Any = topics.backend
        self._backend, self._linked = backend, backend.linked
        self._isThere = False
        backend.linked = self._there

    def _there(self) -> None:
        self._isThere = True

    async def come(self) -> None:
        await until(lambda: self._isThere)
        self._linked()
        await until(lambda: self._backend.ready() is None)


async def again(topics: Topics) -> None:
    """Redis has gone, and is there again."""
    await until(lambda: topics.backend.ready() is not None)
    await until(lambda: topics.backend.ready() is None)


class TestARestartThatLostNothing:
    @onReactor
    async def test_makes_every_position_still_good(self, server: RedisServer, prefix: str) -> None:
        topics = await onServer(server, ROOMY, prefix)
        before = [(await topics.publish(text)).position for text in "12"]
        server.kill()
        server.start()
        await again(topics)
        after = [(await topics.publish(text)).position for text in "34"]
        assert [position.offset for position in (*before, *after)] == [1, 2, 3, 4]
        for count, position in enumerate((*before, *after), 1):
            found = await topics.since(position)
            assert (texts(found.publications), found.isComplete) == (list("1234"[count:]), True)
        assert [each.position for each in (await topics.backend.newest("a", 9)).publications] == [*before, *after]
        assert texts(topics.delivered) == ["1", "2", "3", "4"]
        assert topics.gaps == []

    @onReactor
    async def test_keeps_the_position_of_a_topic_without_messages(self, server: RedisServer, prefix: str) -> None:
        topics = await onServer(server, ROOMY, prefix)
        before = (await topics.backend.newest("a", 0)).position
        server.kill()
        server.start()
        await again(topics)
        assert (await topics.since(before)).isComplete
        await topics.publish("1")
        found = await topics.since(before)
        assert (texts(found.publications), found.isComplete) == (["1"], True)

    @onReactor
    async def test_gives_a_position_that_was_told_before_for_an_idempotency_key(
        self, server: RedisServer, prefix: str
    ) -> None:
        topics = await onServer(server, ROOMY, prefix)
        before = await topics.publish("1", once="o")
        server.kill()
        server.start()
        await again(topics)
        assert await topics.publish("1", once="o") == before.__class__(before.position, isDuplicate=True)


class TestARestartThatLostTheNewestMessages:
    async def lose(self, server: RedisServer, topics: Topics) -> list[Position]:
        """Publish 1, 2 and 3, of which 2 and 3 will be lost."""
        positions = [(await topics.publish("1")).position]
        server.save()
        positions += [(await topics.publish(text)).position for text in "23"]
        await until(lambda: len(topics.delivered) == 3)
        return positions

    @onReactor
    async def test_is_told_though_a_daemon_publishes_first_that_knows_nothing(
        self, server: RedisServer, prefix: str
    ) -> None:
        topics = await onServer(server, ROOMY, prefix)
        lost = await self.lose(server, topics)
        late = Late(topics)
        server.fallBack()
        other = await onServer(server, ROOMY, prefix)
        found = [(await other.publish(text)).position for text in "4567"]
        assert [position.offset for position in found] == [2, 3, 4, 5]
        assert not set(found) & set(lost)
        for position in lost[1:]:
            missed = await other.since(position)
            assert (texts(missed.publications), missed.isComplete) == (["4", "5", "6", "7"], False)
        kept = await other.since(lost[0])
        assert (texts(kept.publications), kept.isComplete) == (["4", "5", "6", "7"], True)
        await late.come()
        assert texts(topics.delivered) == ["1", "2", "3", "4", "5", "6", "7"]
        assert topics.gaps == [("a", found[-1])]

    @onReactor
    async def test_is_told_when_nobody_publishes(self, server: RedisServer, prefix: str) -> None:
        topics = await onServer(server, ROOMY, prefix)
        lost = await self.lose(server, topics)
        server.fallBack()
        await again(topics)
        assert topics.gaps == [("a", lost[0])]
        missed = await topics.since(lost[2])
        assert (missed.publications, missed.position, missed.isComplete) == ([], lost[0], False)
        await topics.publish("4")
        assert texts(topics.delivered) == ["1", "2", "3", "4"]

    @onReactor
    async def test_is_told_after_any_number_of_further_restarts(self, server: RedisServer, prefix: str) -> None:
        topics = await onServer(server, ROOMY, prefix)
        lost = await self.lose(server, topics)
        server.fallBack()
        await again(topics)
        for text in "45":
            await topics.publish(text)
            server.kill()
            server.start()
            await again(topics)
        assert not (await topics.since(lost[2])).isComplete
        found = await topics.since(lost[0])
        assert (texts(found.publications), found.isComplete) == (["4", "5"], True)

    @onReactor
    async def test_does_not_confuse_what_is_published_again_with_what_was_lost(
        self, server: RedisServer, prefix: str
    ) -> None:
        topics = await onServer(server, ROOMY, prefix)
        await self.lose(server, topics)
        server.fallBack()
        await again(topics)
        await topics.publish("2")
        assert await topics.newest() == ["1", "2"]


class TestWhatIsMissedBeyondTheHistory:
    @onReactor
    async def test_is_told_as_a_gap(self, server: RedisServer, prefix: str) -> None:
        topics, other = [await onServer(server, ROOMY, prefix) for _ in range(2)]
        await topics.publish("0")
        await until(lambda: len(topics.delivered) == 1)
        late = Late(topics)
        backend: Any = topics.backend
        backend._link.abort()
        await until(lambda: backend.ready() is not None)
        other.backend.configure(ROOMY.keep.__class__(2, 1 << 20, 60, 3), ROOMY.bounds)
        for text in "12345":
            await other.publish(text)
        await late.come()
        assert texts(topics.delivered) == ["0", "4", "5"]
        assert [topic for topic, _ in topics.gaps] == ["a"]

    @onReactor
    async def test_is_told_at_a_topic_that_only_a_filter_matches(self, server: RedisServer, prefix: str) -> None:
        topics, other = [await onServer(server, ROOMY, prefix) for _ in range(2)]
        late = Late(topics)
        backend: Any = topics.backend
        backend._link.abort()
        await until(lambda: backend.ready() is not None)
        other.backend.configure(ROOMY.keep.__class__(2, 1 << 20, 60, 3), ROOMY.bounds)
        for text in "12345":
            await other.publish(text, "long")
        await other.publish("1", "short")
        await late.come()
        assert sorted(texts(topics.delivered)) == ["1", "4", "5"]
        assert [topic for topic, _ in topics.gaps] == ["long"]


class TestAServerThatDoesNotSayWhoItIs:
    @onReactor
    async def test_makes_each_connection_begin_an_epoch_without_a_gap(self, prefix: str) -> None:
        server = RedisServer("--user", "default", "on", "nopass", "~*", "&*", "+@all", "-info")
        try:
            topics = await onServer(server, ROOMY, prefix)
            before = (await topics.publish("1")).position
            backend: Any = topics.backend
            backend._link.abort()
            await again(topics)
            after = (await topics.publish("2")).position
            assert (after.epoch != before.epoch, after.offset) == (True, 2)
            assert (await topics.since(before)).isComplete
            assert (texts(topics.delivered), topics.gaps) == (["1", "2"], [])
        finally:
            server.stop()


def test_a_lineage_knows_the_position_of_each_message() -> None:
    lineage = readLineage(b"c", 9, b"a:3 b:3 b2:7 ")
    assert lineage == Lineage("c", 9, (("a", 3), ("b", 3), ("b2", 7)))
    assert [str(lineage.at(offset)) for offset in (0, 3, 4, 7, 8)] == ["a-0", "a-3", "b2-4", "b2-7", "c-8"]
    assert lineage.position == Position("c", 9)
    good = [Position("a", 0), Position("a", 3), Position("b2", 7), Position("c", 9)]
    bad = [Position("a", 4), Position("b2", 8), Position("c", 10), Position("x", 1)]
    assert [lineage.has(position) for position in (*good, *bad)] == [True] * 4 + [False] * 4
