"""Topics in memory: what they come to all together."""

from __future__ import annotations

import pytest

from tests.protocols.topics.backends import Limits, Topics, inMemory
from tests.reactor import onReactor
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.memory import MemoryBackend
from wsd.protocols.topics.publication import OVERHEAD, Publication


def backendOf(topics: Topics) -> MemoryBackend:
    assert isinstance(topics.backend, MemoryBackend)
    return topics.backend


class TestAllTopicsTogether:
    @onReactor
    async def test_drop_the_oldest_histories_beyond_their_bytes(self) -> None:
        topics = await inMemory(Limits(total=3 * (OVERHEAD + 1)))
        for name in ("a", "b", "a", "b"):
            await topics.publish("x", name)
        assert await topics.newest(topic="a") == ["x"]
        assert await topics.newest(topic="b") == ["x", "x"]
        assert backendOf(topics).size == 3 * (OVERHEAD + 1)

    @onReactor
    async def test_refuse_a_last_value_beyond_their_bytes(self) -> None:
        topics = await inMemory(Limits(total=2 * (OVERHEAD + 2) + 100))
        await topics.publish("1", key="x")
        await topics.publish("2", key="y")
        with pytest.raises(TopicError, match="use all memory"):
            await topics.publish("3", key="z")
        await topics.publish("4" * 90, key="y")
        assert await topics.last() == ["1", "4" * 90]

    @onReactor
    async def test_count_their_bytes_exactly(self) -> None:
        topics = await inMemory(Limits(count=2, keys=2))
        for number, key in enumerate(("x", None, "y", None, "x")):
            await topics.publish("1" * number, key=key)
            await topics.publish("1" * number, "b", key=key, isRemoval=number > 2)
        backend = backendOf(topics)
        assert backend.size == sum(topic.size for topic in backend._topics.values())
        for name in ("a", "b"):
            await backend.clear(name)
        assert backend.size == 0

    @onReactor
    async def test_forget_an_empty_topic_before_one_with_history_and_never_one_with_last_values(self) -> None:
        topics = await inMemory(Limits(topics=3))
        await topics.publish("1", "kept", key="x")
        await topics.publish("1", "old")
        await topics.newest(topic="empty")
        await topics.publish("1", "new")
        assert list(backendOf(topics)._topics) == ["kept", "old", "new"]
        await topics.publish("1", "newer")
        assert list(backendOf(topics)._topics) == ["kept", "new", "newer"]

    @onReactor
    async def test_refuse_a_topic_when_all_others_have_last_values(self) -> None:
        topics = await inMemory(Limits(topics=1))
        await topics.publish("1", "kept", key="x")
        with pytest.raises(TopicError, match="this route has 1 topics, which is the limit"):
            await topics.publish("1", "new")


class TestLastValues:
    @onReactor
    async def test_cost_a_publish_nothing_unless_they_have_a_time_to_live(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        topics = await inMemory(Limits(keys=100))
        for number in range(50):
            await topics.publish("1", key=str(number), ttl=60.0 if number < 3 else None)
        asked: list[Publication] = []
        isStale = Publication.isStale

        def ask(publication: Publication, now: float) -> bool:
            asked.append(publication)
            return isStale(publication, now)

        monkeypatch.setattr(Publication, "isStale", ask)
        await topics.publish("2", key="40")
        assert [each.message.key for each in asked] == ["0", "1", "2"]
        topics.clock.advance(61)
        await topics.publish("3", key="41")
        assert backendOf(topics)._topics["a"].keyCount == 47
