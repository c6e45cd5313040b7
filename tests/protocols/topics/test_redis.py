"""Topics on Redis: several daemons on one server, and a server that goes and comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from tests.protocols.topics.backends import Limits, Topics, onServer, texts
from tests.protocols.topics.redisserver import RedisServer, theServer
from tests.reactor import onReactor
from wsd.connection import newId
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.members import Member
from wsd.protocols.topics.publication import TopicMessage
from wsd.protocols.topics.redis.address import readAddress
from wsd.protocols.topics.redis.listening import RedisListening
from wsd.protocols.topics.redis.names import RedisNames

ROOMY = Limits(count=10_000, size=1 << 24, topics=100, onceCount=10_000, members=10)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of the test's own, to be killed."""
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def prefix() -> str:
    return f"{newId()}:"


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    for _ in range(6000):
        if holds():
            return
        await deferLater(reactor, 0.01)
    raise AssertionError("it never holds")


def offsets(topics: Topics, topic: str = "a") -> list[int]:
    return [publication.position.offset for publication in topics.delivered if publication.topic == topic]


class TestTwoDaemons:
    @onReactor
    async def test_hear_one_another(self, prefix: str) -> None:
        one, two = [await onServer(theServer(), ROOMY, prefix) for _ in range(2)]
        await one.publish("1", sender="s")
        await two.publish("2")
        await until(lambda: len(one.delivered) == len(two.delivered) == 2)
        assert texts(one.delivered) == texts(two.delivered) == ["1", "2"]
        assert two.delivered[0].position == one.delivered[0].position
        assert two.delivered[0].message.sender == "s"

    @onReactor
    async def test_share_last_values_history_and_idempotency_keys(self, prefix: str) -> None:
        one, two = [await onServer(theServer(), ROOMY, prefix) for _ in range(2)]
        first = await one.publish("1", key="k", once="o")
        second = await two.publish("1", key="k", once="o")
        assert (second.position, second.isDuplicate) == (first.position, True)
        assert await two.newest() == await two.last() == ["1"]

    @onReactor
    async def test_see_one_anothers_members_and_reach_them(self, prefix: str) -> None:
        one, two = [await onServer(theServer(), ROOMY, prefix) for _ in range(2)]
        await one.backend.enter("a", Member("here", "ann", "1"))
        await until(lambda: len(two.events) == 1)
        assert await two.members() == [Member("here", "ann", "1")]
        await two.backend.direct("a", "here", TopicMessage(b"hi"))
        await until(lambda: one.messages == [("a", "here", b"hi")])
        await one.backend.stop()
        await until(lambda: two.events == [("a", "join", "here"), ("a", "leave", "here")])

    @onReactor
    async def test_outlive_one_another(self, prefix: str) -> None:
        one, two = [await onServer(theServer(), ROOMY, prefix) for _ in range(2)]
        await one.backend.enter("a", Member("here"))
        daemon: Any = one.backend
        await daemon._link.stop()
        survivor: Any = two.backend
        await survivor._link.run("DEL", f"{prefix}p:{daemon._presence.daemon}")
        await survivor._beatOnce()
        await until(lambda: ("a", "leave", "here") in two.events)
        assert await two.members() == []


class TestPublishesAtOnce:
    @staticmethod
    def calls(topics: Topics) -> list[str]:
        """The topics of the calls that publish, from now on."""
        link: Any = topics.backend
        link, found = link._link, []
        script = link.script

        def recorded(which: Any, keys: list[str], *arguments: Any) -> Any:
            found.append(keys[0].rpartition(":")[2])
            return script(which, keys, *arguments)

        link.script = recorded
        return found

    def publish(self, topics: Topics, text: str, topic: str = "a", **fields: Any) -> Deferred[Any]:
        return topics.backend.publish(topic, TopicMessage(text.encode(), False, **fields))

    @onReactor
    async def test_share_a_call_for_each_topic_while_redis_answers(self, prefix: str) -> None:
        topics = await onServer(theServer(), ROOMY, prefix)
        calls = self.calls(topics)
        done = [self.publish(topics, str(number)) for number in range(5)]
        done += [
            self.publish(topics, "b", "b"),
            topics.backend.publishAll("a", [TopicMessage(b"5"), TopicMessage(b"6")]),
        ]
        *firsts, others, both = await gatherResults(done)
        assert calls == ["a", "a", "b"]
        assert [each.position.offset for each in (*firsts, *both)] == [1, 2, 3, 4, 5, 6, 7]
        assert others.position.offset == 1
        await topics.settle()
        assert [text for text in texts(topics.delivered) if text != "b"] == list("0123456")

    @onReactor
    async def test_are_refused_one_by_one(self, prefix: str) -> None:
        topics = await onServer(theServer(), Limits(keys=1), prefix)
        fired: list[Any] = []
        for text, key in (("1", None), ("2", "x"), ("3", None), ("4", "y"), ("5", None)):
            self.publish(topics, text, key=key).addBoth(fired.append)
        await until(lambda: len(fired) == 5)
        await topics.settle()
        assert texts(topics.delivered) == ["1", "2", "3", "5"]
        assert [each.value.code for each in fired if not hasattr(each, "position")] == ["full"]

    @onReactor
    async def test_share_calls_of_a_bounded_size(self, prefix: str) -> None:
        topics = await onServer(theServer(), ROOMY, prefix)
        calls = self.calls(topics)
        await gatherResults([self.publish(topics, str(number)) for number in range(251)])
        assert len(calls) == 4
        await topics.settle()
        assert texts(topics.delivered) == [str(number) for number in range(251)]


class TestAServerThatIsKilled:
    @onReactor
    async def test_loses_and_doubles_nothing(self, server: RedisServer, prefix: str) -> None:
        one, two = [await onServer(server, ROOMY, prefix) for _ in range(2)]
        acknowledged: list[int] = []
        waiting: list[Deferred[Any]] = []
        for number in range(600):
            done = one.backend.publish("a", TopicMessage(b"%d" % number))
            done.addCallback(lambda found: acknowledged.append(found.position.offset))
            waiting.append(done)
            if number in (200, 400):
                await deferLater(reactor, 0.005)
                server.kill()
                server.start()
        await gatherResults(waiting)
        await until(lambda: len(two.delivered) >= 600 and len(one.delivered) >= 600)
        assert sorted(acknowledged) == list(range(1, 601))
        for topics in (one, two):
            assert offsets(topics) == list(range(1, 601))
            assert sorted(int(text) for text in texts(topics.delivered)) == list(range(600))

    @onReactor
    async def test_is_waited_for_within_bounds(
        self, server: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wsd.protocols.topics.redis.publishing._MOST_WAITING", 3)
        topics = await onServer(server, ROOMY, prefix)
        server.kill()
        await until(lambda: topics.backend.ready() is not None)
        assert topics.backend.ready() == f"Redis at redis://127.0.0.1:{server.port}/0 is not connected"
        fired: list[Any] = []
        for number in range(4):
            topics.backend.publish("a", TopicMessage(b"%d" % number)).addBoth(fired.append)
        assert [each.value.code for each in fired] == ["unavailable"]
        with pytest.raises(TopicError, match="Redis is not connected; try again later"):
            await topics.newest()
        server.start()
        await until(lambda: len(fired) == 4)
        assert [each.position.offset for each in fired[1:]] == [1, 2, 3]
        await until(lambda: texts(topics.delivered) == ["0", "1", "2"])

    @onReactor
    async def test_is_not_waited_for_longer_than_a_while(self, server: RedisServer, prefix: str) -> None:
        topics = await onServer(server, ROOMY, prefix)
        server.kill()
        await until(lambda: topics.backend.ready() is not None)
        fired: list[Any] = []
        topics.backend.publish("a", TopicMessage(b"1")).addBoth(fired.append)
        backend: Any = topics.backend
        topics.clock.advance(29)
        backend._beat()
        assert fired == []
        topics.clock.advance(1)
        backend._beat()
        assert [each.value.code for each in fired] == ["unavailable"]

    @onReactor
    async def test_takes_subscribers_meanwhile(self, server: RedisServer, prefix: str) -> None:
        other = await onServer(server, ROOMY, prefix)
        topics = await onServer(server, ROOMY, prefix)
        topics.backend.unlisten(("#",))
        server.kill()
        await until(lambda: topics.backend.ready() is not None)
        await topics.backend.listen(("b",))
        server.start()
        await until(lambda: topics.backend.ready() is None and other.backend.ready() is None)
        await other.publish("1", "b")
        await until(lambda: texts(topics.delivered) == ["1"])

    @onReactor
    async def test_answers_nothing_before_both_connections_are_there(
        self, server: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A subscriber with a position would miss what is published between the answer and the resume."""
        topics = await onServer(server, ROOMY, prefix)
        link: Any = topics.backend._link  # type: ignore[attr-defined]
        late: list[Any] = []

        def hold(connection: Any) -> None:
            """The listening connection comes when the test says so."""
            if connection is None:
                link._listenerChanged(None)
            else:
                late.append(connection)

        monkeypatch.setattr(link._factories[1], "_changed", hold)
        server.kill()
        await until(lambda: topics.backend.ready() is not None)
        server.start()
        await until(lambda: link._commands is not None and bool(late))
        await topics.backend.listen(("a",))
        with pytest.raises(TopicError, match="Redis is not connected; try again later"):
            await topics.newest()
        link._listenerChanged(late[-1])
        await until(lambda: topics.backend.ready() is None)
        assert await topics.newest() == []

    @onReactor
    async def test_takes_subscribers_while_it_is_caught_up_with(self, server: RedisServer, prefix: str) -> None:
        other, topics = [await onServer(server, ROOMY, prefix) for _ in range(2)]
        backend: Any = topics.backend
        backend.unlisten(("#",))
        listening: list[Deferred[None]] = []
        catchUp = backend._feed._catchUp

        async def andListen(since: float) -> None:
            await catchUp(since)
            listening.append(backend.listen(("b",)))

        backend._feed._catchUp = andListen
        backend._link.abort()
        await until(lambda: backend.ready() is not None)
        await until(lambda: backend.ready() is None)
        await listening[0]
        await other.publish("1", "b")
        await until(lambda: texts(topics.delivered) == ["1"])

    @onReactor
    async def test_that_lost_everything_begins_a_new_epoch(self, server: RedisServer, prefix: str) -> None:
        topics = await onServer(server, ROOMY, prefix)
        before = (await topics.publish("1")).position
        backend: Any = topics.backend
        await backend._link.run("FLUSHALL")
        after = (await topics.publish("2")).position
        assert after.epoch != before.epoch
        assert after.offset == 1
        await until(lambda: texts(topics.delivered) == ["1", "2"])
        assert not (await topics.since(before)).isComplete


class TestMembersWhileRedisIsAway:
    @onReactor
    async def test_may_leave(self, server: RedisServer, prefix: str) -> None:
        one, two = [await onServer(server, ROOMY, prefix) for _ in range(2)]
        for member in ("here", "gone"):
            await one.backend.enter("a", Member(member))
        server.kill()
        await until(lambda: one.backend.ready() is not None)
        await one.backend.leave("a", "gone")
        server.start()
        await until(lambda: one.backend.ready() is None and two.backend.ready() is None)
        assert await two.members() == [Member("here")]

    @onReactor
    async def test_may_lose_their_place(self, server: RedisServer, prefix: str) -> None:
        topics = await onServer(server, ROOMY, prefix)
        await topics.backend.enter("a", Member("here"))
        backend: Any = topics.backend
        await backend._link.run("DEL", f"{prefix}h:a")
        for number in range(ROOMY.members):
            await backend._link.run("HSET", f"{prefix}h:a", f"other{number}", '{"p":"x","u":null,"s":"null"}')
        backend._link.abort()
        await until(lambda: topics.backend.ready() is not None)
        await until(lambda: topics.backend.ready() is None)
        assert len(await topics.members()) == ROOMY.members


class TestAnErrorOfRedis:
    @onReactor
    async def test_is_unavailable(self, prefix: str) -> None:
        topics = await onServer(theServer(), ROOMY, prefix)
        backend: Any = topics.backend
        for kind in "mhl":
            await backend._link.run("SET", f"{prefix}{kind}:b", "no hash")
        await topics.backend.leave("b", "x")
        asked: list[Deferred[Any]] = [
            topics.backend.newest("b", 5),
            topics.backend.members("b"),
            topics.backend.last(("b",)),
            topics.backend.publish("b", TopicMessage(b"1")),
        ]
        for each in asked:
            with pytest.raises(TopicError, match="Redis refuses: "):
                await each


class TestStopping:
    @onReactor
    async def test_leaves_no_publish_without_an_answer(self, server: RedisServer, prefix: str) -> None:
        topics = await onServer(server, ROOMY, prefix)
        server.pause()
        fired: list[Any] = []
        topics.backend.publish("a", TopicMessage(b"1")).addBoth(fired.append)
        await topics.backend.stop()
        server.resume()
        assert [each.value.code for each in fired] == ["unavailable"]


class TestAMessageThatTheChannelLost:
    @onReactor
    async def test_is_read_from_the_stream(self, prefix: str) -> None:
        one, two = [await onServer(theServer(), ROOMY, prefix) for _ in range(2)]
        await one.publish("1")
        await until(lambda: len(two.delivered) == 1)
        backend: Any = two.backend
        heard, backend._link._events = backend._link._events, _Deaf()
        for text in "234":
            await one.publish(text)
        await two.settle()
        backend._link._events = heard
        await one.publish("5")
        await until(lambda: len(two.delivered) == 5)
        assert offsets(two) == [1, 2, 3, 4, 5]


class TestAMessageThatTheChannelBringsLate:
    @onReactor
    async def test_comes_before_the_answer_that_has_it(self, prefix: str) -> None:
        """Otherwise whoever resumes is sent it twice: with what was missed, and when the channel brings it."""
        one, two = [await onServer(theServer(), ROOMY, prefix) for _ in range(2)]
        first = await one.publish("1")
        await until(lambda: len(two.delivered) == 1)
        backend: Any = two.backend
        late: list[Any] = []
        events, backend._link._events = backend._link._events, _Deaf(late)
        for text in "23":
            await one.publish(text)
        await two.settle()
        assert texts((await two.since(first.position)).publications) == ["2", "3"]
        assert texts(two.delivered) == ["1", "2", "3"]
        backend._link._events = events
        for message in late:
            events.heard(*message)
        assert texts(two.delivered) == ["1", "2", "3"]


class _Deaf:
    """Hears nothing, but keeps what there was to hear."""

    def __init__(self, kept: list[Any] | None = None) -> None:
        self.kept = [] if kept is None else kept

    def heard(self, *message: object) -> None:
        self.kept.append(message)


class TestListening:
    @pytest.mark.parametrize(
        ("filters", "channels"),
        [
            (["a"], ["a"]),
            (["a/+"], ["a/b", "a/b/c"]),
            (["a/#"], ["a", "a/b", "a/b/c", "ab"]),
            (["a", "#", "a/#"], ["a", "b", "a/b"]),
            (["a/*/?"], ["a/*/?", "a/b/c"]),
            (["+/[x]"], ["a/[x]", "a/x"]),
        ],
    )
    @onReactor
    async def test_hears_what_matches_once(self, filters: list[str], channels: list[str], prefix: str) -> None:
        sender, topics = [await onServer(theServer(), ROOMY, prefix) for _ in range(2)]
        topics.backend.unlisten(("#",))
        for pattern in filters:
            await topics.backend.listen(tuple(pattern.split("/")))
        for channel in channels:
            await sender.publish("1", channel)
        await topics.settle()
        listening = RedisListening(RedisNames(""))
        for pattern in filters:
            listening.add(tuple(pattern.split("/")))
        await deferLater(reactor, 0.05)
        assert [publication.topic for publication in topics.delivered] == [
            channel for channel in channels if listening.hears(channel)
        ]

    @onReactor
    async def test_by_a_filter_misses_nothing_while_a_name_is_being_subscribed_to(self, prefix: str) -> None:
        other, topics = [await onServer(theServer(), ROOMY, prefix) for _ in range(2)]
        backend: Any = topics.backend
        confirmed: Deferred[None] = Deferred()
        listen = backend._link.listen

        async def late(*arguments: Any) -> Any:
            await confirmed
            return await listen(*arguments)

        backend._link.listen = lambda *arguments: Deferred.fromCoroutine(late(*arguments))
        listening = topics.backend.listen(("b",))
        for text in "12":
            await other.publish(text, "b")
        await topics.settle()
        confirmed.callback(None)
        await listening
        await other.publish("3", "b")
        await until(lambda: texts(topics.delivered) == ["1", "2", "3"])

    @onReactor
    async def test_by_a_filter_misses_nothing_that_comes_after_the_position_of_a_name(self, prefix: str) -> None:
        other, topics = [await onServer(theServer(), ROOMY, prefix) for _ in range(2)]
        late: list[Any] = []
        backend: Any = topics.backend
        link = backend._link
        events, settled, listen = link._events, link.settled, link.listen

        async def thenPublish(*arguments: Any) -> Any:
            answer = await listen(*arguments)
            link._events = _Deaf(late)
            for text in "12":
                await other.publish(text, "b")
            await settled()
            return answer

        async def bringLate() -> None:
            link._events = events
            for message in late:
                events.heard(*message)
            await settled()

        link.settled = bringLate
        link.listen = lambda *arguments: Deferred.fromCoroutine(thenPublish(*arguments))
        await topics.backend.listen(("b",))
        await other.publish("3", "b")
        await until(lambda: texts(topics.delivered) == ["1", "2", "3"])

    @onReactor
    async def test_to_several_channels_is_confirmed_for_each(self, prefix: str) -> None:
        """The confirmation of one channel is not taken for the answer to the next command."""
        topics = await onServer(theServer(), ROOMY, prefix)
        backend: Any = topics.backend
        channels = [f"{prefix}c:{number}".encode() for number in range(5)]
        asked = [backend._link.listen("SUBSCRIBE", *channels), backend._link.listen("PSUBSCRIBE", b"x")]
        several, (one,) = await gatherResults(asked)
        assert [each[1] for each in several] == channels
        assert one[1] == b"x"

    @onReactor
    async def test_ends(self, prefix: str) -> None:
        topics = await onServer(theServer(), ROOMY, prefix)
        await topics.backend.listen(("a",))
        topics.backend.unlisten(("#",))
        topics.backend.unlisten(("a",))
        await topics.publish("1")
        assert topics.delivered == []
        await topics.backend.listen(("a",))
        await topics.publish("2")
        assert texts(topics.delivered) == ["2"]


class TestAnAddress:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("redis://localhost", "redis://localhost:6379/0"),
            ("redis://:secret@10.0.0.1:7000/3", "redis://10.0.0.1:7000/3"),
            ("rediss://wsd:s%40@redis.example", "rediss://redis.example:6379/0"),
            ("redis://[::1]:6380/1", "redis://::1:6380/1"),
            ("redis+sentinel://a,b:26380/mymaster/2", "redis+sentinel://a:26379,b:26380/mymaster/2"),
        ],
    )
    def test_is_read(self, text: str, shown: str) -> None:
        assert str(readAddress(text)) == shown
        assert readAddress("rediss://wsd:s%40@redis.example").password == "s@"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("http://localhost", "is not the URL of a Redis"),
            ("redis://:secret@", "has an invalid host"),
            ("redis://a,b", "for Sentinels write redis+sentinel://"),
            ("redis+sentinel://a", "has no master name"),
            ("redis://a/x", "does not end with the number of a database"),
            ("redis://a:70000", "has an invalid host"),
        ],
    )
    def test_that_is_none_is_refused_without_its_password(self, text: str, said: str) -> None:
        with pytest.raises(ValueError, match="'") as caught:
            readAddress(text)
        assert said in str(caught.value)
        assert "secret" not in str(caught.value)
