"""What every backend of topics does: positions, history, last values, idempotency keys, members."""

from __future__ import annotations

import pytest

from tests.protocols.topics.backends import MakeTopics, Topics, texts
from tests.reactor import onReactor
from wsd.protocols.topics.backend import Acknowledgement
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.members import Member
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import OVERHEAD, TopicMessage
from wsd.protocols.topics.redis.backend import RedisBackend


class TestAPosition:
    @onReactor
    async def test_counts_the_messages_of_its_topic(self, make: MakeTopics) -> None:
        topics = await make()
        first, second, other = await topics.publish("1"), await topics.publish("2"), await topics.publish("1", "b")
        assert (first.position.offset, second.position.offset, other.position.offset) == (1, 2, 1)
        assert first.position.epoch == second.position.epoch != other.position.epoch

    @onReactor
    async def test_is_delivered_in_order(self, make: MakeTopics) -> None:
        topics = await make()
        for text in "123":
            await topics.publish(text)
        assert texts(topics.delivered) == ["1", "2", "3"]
        assert [publication.position.offset for publication in topics.delivered] == [1, 2, 3]


class TestTheHistory:
    @onReactor
    async def test_has_the_newest_in_their_order(self, make: MakeTopics) -> None:
        topics = await make(count=3)
        for text in "12345":
            await topics.publish(text)
        assert await topics.newest() == ["3", "4", "5"]
        assert await topics.newest(2) == ["4", "5"]
        assert await topics.newest(0) == []

    @onReactor
    async def test_is_bounded_in_bytes(self, make: MakeTopics) -> None:
        topics = await make(size=2 * (OVERHEAD + 10))
        for text in ("a" * 10, "b" * 10, "c" * 10):
            await topics.publish(text)
        assert await topics.newest() == ["b" * 10, "c" * 10]
        await topics.publish("d" * 11)
        assert await topics.newest() == ["d" * 11]

    @onReactor
    async def test_has_no_hole_behind_a_message_that_is_larger_than_it(self, make: MakeTopics) -> None:
        topics = await make(size=OVERHEAD + 10)
        before = (await topics.publish("1")).position
        await topics.publish("x" * 11)
        assert await topics.newest() == []
        assert not (await topics.since(before)).isComplete
        await topics.publish("3")
        assert await topics.newest() == ["3"]

    @onReactor
    async def test_is_bounded_in_age(self, make: MakeTopics) -> None:
        topics = await make(age=10)
        await topics.publish("1")
        topics.clock.advance(6)
        await topics.publish("2")
        topics.clock.advance(4)
        assert await topics.newest() == ["2"]

    @onReactor
    async def test_leaves_out_what_has_outlived_its_time_to_live(self, make: MakeTopics) -> None:
        topics = await make()
        await topics.publish("1", ttl=5.0)
        await topics.publish("2")
        topics.clock.advance(4.9)
        assert await topics.newest() == ["1", "2"]
        topics.clock.advance(0.1)
        assert await topics.newest() == ["2"]

    @onReactor
    async def test_may_be_none(self, make: MakeTopics) -> None:
        topics = await make(count=0)
        position = (await topics.publish("1")).position
        assert await topics.newest() == []
        assert (await topics.since(position)).isComplete
        await topics.publish("2")
        assert not (await topics.since(position)).isComplete


class TestResuming:
    @onReactor
    async def test_gives_what_came_behind_a_position(self, make: MakeTopics) -> None:
        topics = await make()
        positions = [(await topics.publish(text)).position for text in "123"]
        recovered = await topics.since(positions[0])
        assert texts(recovered.publications) == ["2", "3"]
        assert recovered.isComplete
        assert recovered.position == positions[2]
        assert (await topics.since(positions[2])).publications == []

    @onReactor
    async def test_is_complete_exactly_as_far_as_the_history_goes(self, make: MakeTopics) -> None:
        topics = await make(count=3)
        positions = [(await topics.publish(text)).position for text in "12345"]
        assert (await topics.since(positions[1])).isComplete
        assert texts((await topics.since(positions[1])).publications) == ["3", "4", "5"]
        recovered = await topics.since(positions[0])
        assert not recovered.isComplete
        assert texts(recovered.publications) == ["3", "4", "5"]

    @onReactor
    async def test_from_before_the_first_is_complete_while_all_is_kept(self, make: MakeTopics) -> None:
        topics = await make()
        start = (await topics.since(Position("unknown", 0))).position
        assert start.offset == 0
        await topics.publish("1")
        assert texts((await topics.since(start)).publications) == ["1"]
        assert (await topics.since(start)).isComplete

    @onReactor
    async def test_knows_another_epoch_and_the_future_as_gaps(self, make: MakeTopics) -> None:
        topics = await make()
        position = (await topics.publish("1")).position
        assert not (await topics.since(Position("0badf00d", 1))).isComplete
        assert not (await topics.since(position._replace(offset=2))).isComplete

    @onReactor
    async def test_goes_on_while_messages_with_a_time_to_live_are_left_out(self, make: MakeTopics) -> None:
        topics = await make()
        start = (await topics.publish("1")).position
        await topics.publish("2", ttl=1.0)
        await topics.publish("3")
        topics.clock.advance(1)
        recovered = await topics.since(start)
        assert texts(recovered.publications) == ["3"]
        assert recovered.isComplete

    @onReactor
    async def test_tells_a_gap_when_the_topic_was_dropped_for_others(self, make: MakeTopics) -> None:
        topics = await make(topics=2)
        position = (await topics.publish("1")).position
        await topics.publish("1", "b")
        await topics.publish("1", "c")
        assert not (await topics.since(position)).isComplete


class TestLastValues:
    @onReactor
    async def test_are_the_newest_of_each_key(self, make: MakeTopics) -> None:
        topics = await make()
        await topics.publish("1", key="x")
        await topics.publish("2", key="y")
        await topics.publish("3", key="x")
        await topics.publish("4")
        assert await topics.last() == ["2", "3"]

    @onReactor
    async def test_are_removed_with_their_key(self, make: MakeTopics) -> None:
        topics = await make()
        await topics.publish("1", key="x")
        await topics.publish("null", key="x", isRemoval=True)
        assert await topics.last() == []
        assert texts(topics.delivered) == ["1", "null"]

    @onReactor
    async def test_are_those_of_all_topics_that_match(self, make: MakeTopics) -> None:
        topics = await make()
        for name in ("q/a", "q/b", "r"):
            await topics.publish(name, name, key="x")
        assert await topics.last("q/+") == ["q/a", "q/b"]
        assert await topics.last("r") == ["r"]

    @onReactor
    async def test_outlive_the_history(self, make: MakeTopics) -> None:
        topics = await make(count=1, age=1)
        await topics.publish("1", key="x")
        await topics.publish("2")
        topics.clock.advance(2)
        assert await topics.newest() == []
        assert await topics.last() == ["1"]

    @onReactor
    async def test_end_with_their_time_to_live(self, make: MakeTopics) -> None:
        topics = await make()
        await topics.publish("1", key="x", ttl=5.0)
        topics.clock.advance(5)
        assert await topics.last() == []

    @onReactor
    async def test_are_bounded_by_their_number(self, make: MakeTopics) -> None:
        topics = await make(keys=2)
        for key in ("x", "y", "x"):
            await topics.publish("1", key=key)
        with pytest.raises(TopicError, match="this topic has 2 last values, which is the limit"):
            await topics.publish("1", key="z")
        await topics.publish("null", key="x", isRemoval=True)
        await topics.publish("1", key="z")

    @onReactor
    async def test_whose_message_is_refused_are_not_delivered(self, make: MakeTopics) -> None:
        topics = await make(keys=0)
        with pytest.raises(TopicError):
            await topics.publish("1", key="x")
        assert topics.delivered == []
        assert (await topics.publish("2")).position.offset == 1


class TestAnIdempotencyKey:
    @onReactor
    async def test_lets_a_message_be_published_once(self, make: MakeTopics) -> None:
        topics = await make()
        first = await topics.publish("1", once="k")
        second = await topics.publish("1", once="k")
        assert second == Acknowledgement(first.position, isDuplicate=True)
        assert not first.isDuplicate
        assert texts(topics.delivered) == ["1"]

    @onReactor
    async def test_holds_within_its_topic(self, make: MakeTopics) -> None:
        topics = await make()
        await topics.publish("1", once="k")
        await topics.publish("1", "b", once="k")
        assert len(topics.delivered) == 2

    @onReactor
    async def test_is_forgotten_after_its_time(self, make: MakeTopics) -> None:
        topics = await make()
        await topics.publish("1", once="k")
        topics.clock.advance(29.9)
        await topics.publish("2", once="k")
        topics.clock.advance(0.1)
        await topics.publish("3", once="k")
        assert texts(topics.delivered) == ["1", "3"]

    @onReactor
    async def test_is_forgotten_when_there_are_too_many_newer(self, make: MakeTopics) -> None:
        topics = await make(onceCount=2)
        for once in ("k", "l", "m"):
            await topics.publish(once, once=once)
        await topics.publish("again", once="k")
        await topics.publish("again", once="m")
        assert texts(topics.delivered) == ["k", "l", "m", "again"]

    @onReactor
    async def test_is_not_used_up_by_a_message_that_was_refused(self, make: MakeTopics) -> None:
        topics = await make(keys=0)
        with pytest.raises(TopicError):
            await topics.publish("1", once="k", key="x")
        assert not (await topics.publish("1", once="k")).isDuplicate


class TestNames:
    @onReactor
    async def test_are_those_of_the_topics_that_were_published_to(self, make: MakeTopics) -> None:
        topics = await make()
        assert await topics.backend.names(10) == []
        for topic in ("a/b", "一", "c"):
            await topics.publish("1", topic)
        assert sorted(await topics.backend.names(10)) == ["a/b", "c", "一"]
        assert len(await topics.backend.names(2)) == 2


class TestClearing:
    @onReactor
    async def test_drops_what_is_kept_and_counts_on(self, make: MakeTopics) -> None:
        topics = await make()
        position = (await topics.publish("1", key="x")).position
        await topics.backend.clear("a")
        await topics.backend.clear("unknown")
        assert await topics.newest() == await topics.last() == []
        assert (await topics.since(position)).isComplete
        assert (await topics.publish("2")).position == position._replace(offset=2)


class TestSeveralMessagesAtOnce:
    async def publish(self, topics: Topics, *messages: TopicMessage) -> list[Acknowledgement]:
        return await topics.backend.publishAll("a", list(messages))

    @onReactor
    async def test_have_positions_one_behind_the_other(self, make: MakeTopics) -> None:
        topics = await make()
        acknowledged = await self.publish(
            topics, TopicMessage(b"1"), TopicMessage(b"2", once="k"), TopicMessage(b"2", once="k")
        )
        assert [each.position.offset for each in acknowledged] == [1, 2, 2]
        assert [each.isDuplicate for each in acknowledged] == [False, False, True]
        await topics.settle()
        assert texts(topics.delivered) == ["1", "2"]

    @onReactor
    async def test_are_delivered_together(self, make: MakeTopics) -> None:
        topics = await make()
        await self.publish(topics, TopicMessage(b"1"), TopicMessage(b"2"), TopicMessage(b"3"))
        await topics.settle()
        gathered = [texts(each) for each in topics.gathered if each]
        assert [each for together in gathered for each in together] == ["1", "2", "3"]
        # From Redis they may come in several pieces.
        assert len(gathered) == 1 or isinstance(topics.backend, RedisBackend)

    @onReactor
    async def test_are_published_all_or_not_at_all(self, make: MakeTopics) -> None:
        topics = await make(keys=1)
        with pytest.raises(TopicError):
            await self.publish(topics, TopicMessage(b"1", key="x"), TopicMessage(b"2", key="y"))
        assert topics.delivered == []
        await self.publish(
            topics, TopicMessage(b"1", key="x"), TopicMessage(b"", key="x", isRemoval=True), TopicMessage(b"2", key="y")
        )
        assert await topics.last() == ["2"]


class TestMembers:
    @onReactor
    async def test_come_change_and_go(self, make: MakeTopics) -> None:
        topics = await make()
        backend = topics.backend
        await backend.enter("a", Member("1", "ann", "0"))
        await backend.enter("a", Member("2"))
        await backend.enter("a", Member("1", "ann", "1"))
        assert await topics.members() == [Member("1", "ann", "1"), Member("2")]
        await backend.leave("a", "2")
        await backend.leave("a", "2")
        await topics.settle()
        assert topics.events == [("a", "join", "1"), ("a", "join", "2"), ("a", "update", "1"), ("a", "leave", "2")]
        assert await topics.members("b") == []

    @onReactor
    async def test_are_bounded_by_their_number(self, make: MakeTopics) -> None:
        topics = await make()
        for name in ("1", "2", "1"):
            await topics.backend.enter("a", Member(name))
        with pytest.raises(TopicError, match="2 members are present, which is the limit"):
            await topics.backend.enter("a", Member("3"))
        await topics.backend.enter("b", Member("3"))
        assert [member.id for member in await topics.members()] == ["1", "2"]

    @onReactor
    async def test_are_sent_messages_of_their_own(self, make: MakeTopics) -> None:
        topics = await make()
        await topics.backend.enter("a", Member("here"))
        await topics.backend.direct("a", "here", TopicMessage(b"1"))
        with pytest.raises(TopicError, match="no member 'gone' is present"):
            await topics.backend.direct("a", "gone", TopicMessage(b"2"))
        await topics.settle()
        assert topics.messages == [("a", "here", b"1")]
