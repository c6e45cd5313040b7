"""What is subscribed to while a daemon finds its way back to Redis."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import Publication, TopicMessage
from wsd.protocols.topics.redis.feed import RedisFeed
from wsd.protocols.topics.redis.names import RedisNames
from wsd.protocols.topics.topic import Recovered

PATTERN, CHANNEL = b"c:*", b"c:a"
"""Of the filter `#` and the topic `a`."""


class _Link:
    """A link whose commands are confirmed by the test."""

    isUp = False

    def __init__(self) -> None:
        self.commands: list[tuple[str, Deferred[None]]] = []

    def listen(self, command: str, *channels: bytes) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        self.commands.append((command, done))
        return done

    def confirm(self, command: str) -> None:
        """Redis confirms the oldest of these commands."""
        index = [each for each, _ in self.commands].index(command)
        self.commands.pop(index)[1].callback(None)

    def settled(self) -> Deferred[None]:
        return succeed(None)


def message(offset: int) -> Publication:
    return Publication("a", Position("e", offset), TopicMessage(b"1"), at=1.0)


class _Reading:
    """A Redis in which the topic `a` has had two messages. It answers when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[None]] = []

    async def newest(self, name: str, count: int) -> Recovered:
        self.waiting.append(Deferred())
        await self.waiting[-1]
        return Recovered([message(1), message(2)][:count], Position("e", 2), isComplete=True)

    async def changedSince(self, since: float) -> list[str]:
        self.waiting.append(Deferred())
        await self.waiting[-1]
        return ["a"]

    def answer(self, which: int = 0) -> None:
        """Answer one of the questions that wait, in the order in which they were asked."""
        self.waiting.pop(which).callback(None)

    def answerAll(self, which: int = 0) -> None:
        """Answer questions until none waits: the oldest first, or with -1 the newest."""
        while self.waiting:
            self.answer(which)


class _Receiver:
    def __init__(self) -> None:
        self.offsets: list[int] = []

    def published(self, publication: Publication) -> None:
        self.offsets.append(publication.position.offset)

    def lost(self, topic: str, position: Position) -> None:
        raise AssertionError(position)


@pytest.fixture
def link() -> _Link:
    return _Link()


@pytest.fixture
def reading() -> _Reading:
    return _Reading()


@pytest.fixture
def receiver() -> _Receiver:
    return _Receiver()


@pytest.fixture
def feed(link: _Link, reading: _Reading, receiver: _Receiver) -> RedisFeed:
    """A feed that listens to everything, and is about to resume."""
    given: Any = link
    read: Any = reading
    told: Any = receiver
    limits: Any = SimpleNamespace(keep=SimpleNamespace(count=10))
    feed = RedisFeed(given, RedisNames(""), read, limits, lambda failure: failure.raiseException())
    feed.receiver = told
    feed.listen(("#",))
    link.isUp = True
    return feed


class TestASubscriptionDuringAResume:
    def test_is_heard_by_a_filter_until_redis_has_confirmed_its_name(
        self, feed: RedisFeed, link: _Link, reading: _Reading
    ) -> None:
        resumed = Deferred.fromCoroutine(feed.resume(0))
        feed.listen(("a",))
        link.confirm("PSUBSCRIBE")
        reading.answerAll()
        assert resumed.called
        assert feed.topicOf(PATTERN, CHANNEL) == "a"
        link.confirm("SUBSCRIBE")
        assert feed.topicOf(PATTERN, CHANNEL) is None
        assert feed.topicOf(None, CHANNEL) == "a"

    def test_holds_only_when_redis_has_confirmed_it(self, feed: RedisFeed, link: _Link, reading: _Reading) -> None:
        Deferred.fromCoroutine(feed.resume(0))
        listening = feed.listen(("a",))
        link.confirm("PSUBSCRIBE")
        reading.answerAll()
        assert not listening.called
        link.confirm("SUBSCRIBE")
        reading.answerAll()
        assert listening.called

    @pytest.mark.parametrize("which", [0, -1], ids=["the oldest", "the newest"])
    @pytest.mark.parametrize("early", [(), (1, 2)], ids=["while away", "meanwhile"])
    def test_neither_loses_nor_doubles_what_a_filter_missed(
        self, feed: RedisFeed, link: _Link, reading: _Reading, receiver: _Receiver, early: tuple[int, ...], which: int
    ) -> None:
        """Whether it was published while Redis was away or during the resume, whichever question is answered first."""
        Deferred.fromCoroutine(feed.resume(0))
        link.confirm("PSUBSCRIBE")
        listening = feed.listen(("a",))
        link.confirm("SUBSCRIBE")
        for offset in early:
            feed.heard(message(offset))
        reading.answerAll(which)
        feed.heard(message(3))
        assert listening.called
        assert receiver.offsets == [1, 2, 3]


def test_a_link_that_is_lost_during_a_resume_and_comes_back_brings_everything_once(
    feed: RedisFeed, link: _Link, reading: _Reading, receiver: _Receiver
) -> None:
    first, second = (Deferred.fromCoroutine(feed.resume(0)) for _ in range(2))
    while not second.called:
        if link.commands:
            link.confirm("PSUBSCRIBE")
        if reading.waiting and not link.commands:
            reading.answer()
    assert first.called
    assert receiver.offsets == [1, 2]
