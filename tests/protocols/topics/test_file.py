"""Topics in a file: batches, restarts, and a disk that fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from tests.protocols.topics.backends import InFile, Limits, Topics, started, texts
from tests.reactor import onReactor
from wsd.connection import CannotStart
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.publication import OVERHEAD, TopicMessage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "topics.sqlite"


class TestARestart:
    """Whatever was acknowledged is there again, also after the process was killed: nothing is written at the stop."""

    async def again(self, topics: Topics, path: Path, limits: Limits | None = None) -> Topics:
        made = InFile(path, limits, topics.clock)
        return await started(made.backend, made.clock)

    @onReactor
    async def test_keeps_positions_and_history(self, path: Path) -> None:
        made = InFile(path)
        topics = await started(made.backend, made.clock)
        positions = [(await topics.publish(text)).position for text in "1234567"]
        topics = await self.again(topics, path)
        assert await topics.newest() == ["3", "4", "5", "6", "7"]
        recovered = await topics.since(positions[3])
        assert (texts(recovered.publications), recovered.isComplete) == (["5", "6", "7"], True)
        assert not (await topics.since(positions[0])).isComplete
        assert (await topics.publish("8")).position == positions[-1]._replace(offset=8)

    @onReactor
    async def test_keeps_the_position_of_a_topic_that_nobody_published_to(self, path: Path) -> None:
        made = InFile(path)
        topics = await started(made.backend, made.clock)
        before = (await topics.backend.newest("a", 5)).position
        topics = await self.again(topics, path)
        recovered = await topics.since(before)
        assert (recovered.position, recovered.isComplete) == (before, True)
        await topics.publish("1")
        recovered = await topics.since(before)
        assert (texts(recovered.publications), recovered.isComplete) == (["1"], True)

    @onReactor
    async def test_keeps_everything_of_a_message(self, path: Path) -> None:
        made = InFile(path)
        topics = await started(made.backend, made.clock)
        message = TopicMessage(b"\0\xff", True, "k", False, 50.0, None, "image/png")
        await topics.backend.publish("größe/你好", message)
        topics = await self.again(topics, path)
        (kept,) = (await topics.backend.newest("größe/你好", 5)).publications
        assert kept.message == message
        assert await topics.backend.last(("#",)) == [kept] or (await topics.backend.last(("#",)))[0].message == message

    @onReactor
    async def test_keeps_last_values_and_what_was_removed(self, path: Path) -> None:
        made = InFile(path)
        topics = await started(made.backend, made.clock)
        await topics.publish("1", key="x")
        await topics.publish("2", key="y")
        await topics.publish("3", key="x")
        await topics.publish("", key="y", isRemoval=True)
        topics = await self.again(topics, path)
        assert await topics.last() == ["3"]

    @onReactor
    async def test_keeps_idempotency_keys_for_their_time(self, path: Path) -> None:
        made = InFile(path)
        topics = await started(made.backend, made.clock)
        first = await topics.publish("1", once="k")
        topics.clock.advance(20)
        topics = await self.again(topics, path)
        assert (await topics.publish("1", once="k")).position == first.position
        topics.clock.advance(10)
        assert not (await topics.publish("1", once="k")).isDuplicate

    @onReactor
    async def test_keeps_them_though_their_topic_was_dropped_for_others(self, path: Path) -> None:
        limits = Limits(topics=2)
        made = InFile(path, limits)
        topics = await started(made.backend, made.clock)
        first = await topics.publish("1", once="k")
        for topic in "bc":
            await topics.publish("1", topic)
        topics = await self.again(topics, path, limits)
        again = await topics.publish("1", once="k")
        assert (again.position, again.isDuplicate) == (first.position, True)

    @onReactor
    async def test_keeps_ages(self, path: Path) -> None:
        made = InFile(path, Limits(age=10))
        topics = await started(made.backend, made.clock)
        await topics.publish("1")
        topics.clock.advance(6)
        topics = await self.again(topics, path, Limits(age=10))
        await topics.publish("2")
        topics.clock.advance(4)
        assert await topics.newest() == ["2"]

    @onReactor
    async def test_keeps_what_is_cleared_cleared(self, path: Path) -> None:
        made = InFile(path)
        topics = await started(made.backend, made.clock)
        position = (await topics.publish("1", key="k")).position
        await topics.backend.clear("a")
        topics = await self.again(topics, path)
        assert await topics.newest() == await topics.last() == []
        assert (await topics.publish("2")).position == position._replace(offset=2)

    @onReactor
    async def test_keeps_no_more_than_the_limits(self, path: Path) -> None:
        limits = Limits(count=3, topics=2, total=5 * (OVERHEAD + 1))
        made = InFile(path, limits)
        topics = await started(made.backend, made.clock)
        for topic in "abc":
            for text in "1234":
                await topics.publish(text, topic)
        rows = sqlite3.connect(path).execute("SELECT topic, offset FROM message ORDER BY topic, offset").fetchall()
        assert rows == [("b", 3), ("b", 4), ("c", 2), ("c", 3), ("c", 4)]
        topics = await self.again(topics, path, limits)
        assert (await topics.newest(topic="b"), await topics.newest(topic="c")) == (["3", "4"], ["2", "3", "4"])
        assert await topics.newest(topic="a") == []

    @onReactor
    async def test_may_have_smaller_limits(self, path: Path) -> None:
        made = InFile(path)
        topics = await started(made.backend, made.clock)
        for text in "12345":
            await topics.publish(text)
        topics = await self.again(topics, path, Limits(count=2))
        assert await topics.newest() == ["4", "5"]


class ByHand:
    """A thread that does its jobs when the test says so."""

    def __init__(self) -> None:
        self._jobs: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def run(self, work: Callable[..., Any], /, *arguments: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self._jobs.append((lambda: work(*arguments), done))
        return done

    def stop(self) -> Deferred[None]:
        return maybeDeferred(lambda: None)

    def reopen(self) -> None:
        """It takes jobs anyway."""

    def work(self) -> int:
        """Do what is to be done now. Returns the number of jobs."""
        jobs, self._jobs = self._jobs, []
        for work, done in jobs:
            maybeDeferred(work).chainDeferred(done)
        return len(jobs)


class TestABatch:
    def start(self, path: Path, limits: Limits | None = None) -> tuple[Topics, ByHand]:
        made = InFile(path, limits)
        thread = ByHand()
        made.backend._thread = thread
        topics = Topics(made.backend, made.clock)
        made.backend.start(topics)
        while thread.work():
            pass
        return topics, thread

    def publish(self, topics: Topics, text: str, topic: str = "a") -> list[Any]:
        fired: list[Any] = []
        topics.backend.publish(topic, TopicMessage(text.encode(), False)).addBoth(fired.append)
        return fired

    def test_is_acknowledged_and_delivered_when_it_is_on_the_disk(self, path: Path) -> None:
        topics, thread = self.start(path)
        fired = self.publish(topics, "1")
        assert (fired, topics.delivered) == ([], [])
        thread.work()
        assert [each.position.offset for each in fired] == [1]
        assert texts(topics.delivered) == ["1"]

    def test_gathers_what_comes_while_another_is_written(self, path: Path) -> None:
        topics, thread = self.start(path)
        fired = [self.publish(topics, text) for text in "1234"]
        assert thread.work() == 1
        assert [len(each) for each in fired] == [1, 0, 0, 0]
        assert thread.work() == 1
        assert [each[0].position.offset for each in fired] == [1, 2, 3, 4]
        assert texts(topics.delivered) == ["1", "2", "3", "4"]
        assert thread.work() == 0

    def test_is_not_seen_before_it_is_on_the_disk(self, path: Path) -> None:
        topics, thread = self.start(path)
        self.publish(topics, "1")
        self.publish(topics, "2")
        read: list[Any] = []
        topics.backend.newest("a", 5).addCallback(read.append)
        self.publish(topics, "3")
        thread.work()
        assert read == []
        thread.work()
        assert texts(read[0].publications) == ["1", "2"]

    def test_may_drop_a_topic_and_make_it_anew(self, path: Path) -> None:
        topics, thread = self.start(path, Limits(topics=2))
        self.publish(topics, "old")
        while thread.work():
            pass
        # While the first of these is written, a stranger's topics push out "a", which comes again.
        fired = [self.publish(topics, "1", topic) for topic in ("b", "c", "d", "a")]
        while thread.work():
            pass
        assert [each[0].position.offset for each in fired] == [1, 1, 1, 1]
        assert topics.backend.ready() is None
        again, thread = self.start(path, Limits(topics=2))
        read: list[Any] = []
        again.backend.newest("a", 5).addCallback(read.append)
        assert texts(read[0].publications) == ["1"]

    def test_is_written_before_the_stop(self, path: Path) -> None:
        topics, thread = self.start(path)
        fired = [self.publish(topics, text) for text in "12"]
        stopped: list[Any] = []
        topics.backend.stop().addCallback(stopped.append)
        while thread.work():
            pass
        assert [each[0].position.offset for each in fired] == [1, 2]
        assert stopped == [None]
        (late,) = self.publish(topics, "3")
        assert late.value.code == "unavailable"

    def test_waits_within_bounds(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("wsd.protocols.topics.file._MOST_WAITING", 2)
        topics, thread = self.start(path)
        fired = [self.publish(topics, text) for text in "1234"]
        assert fired[3][0].value.code == "busy"
        while thread.work():
            pass
        assert texts(topics.delivered) == ["1", "2", "3"]


class TestADiskThatFails:
    @onReactor
    async def test_refuses_publishes_until_it_works_again(self, path: Path) -> None:
        made = InFile(path)
        topics = await started(made.backend, made.clock)
        await topics.publish("1")
        made.thread.before = fail
        with pytest.raises(TopicError, match="the message is not published: database or disk is full") as caught:
            await topics.publish("2", key="k", once="o")
        assert caught.value.code == "unavailable"
        assert topics.backend.ready() == "topics cannot be written: database or disk is full"
        with pytest.raises(TopicError, match="try again later"):
            await topics.newest()
        made.clock.advance(1)
        assert topics.backend.ready() is not None
        made.thread.before = lambda: None
        made.clock.advance(1)
        assert topics.backend.ready() is None
        assert texts(topics.delivered) == ["1"]
        again = await topics.publish("2", key="k", once="o")
        assert (again.position.offset, again.isDuplicate) == (2, False)
        assert await topics.newest() == ["1", "2"]

    @onReactor
    @pytest.mark.parametrize("content", [b"not a database" * 100, None], ids=["damaged", "a folder"])
    async def test_cannot_be_started_on(self, content: bytes | None, tmp_path: Path) -> None:
        path = tmp_path / "topics.sqlite"
        path.mkdir() if content is None else path.write_bytes(content)
        made = InFile(path)
        with pytest.raises(CannotStart, match=r"its store cannot be opened: (file is not a|unable to open) database"):
            await started(made.backend, made.clock)

    def test_that_works_again_at_the_stop_starts_nothing(self, path: Path) -> None:
        made = InFile(path)
        topics = Topics(made.backend, made.clock)
        topics.backend.start(topics)
        made.thread.before = fail
        topics.backend.publish("a", TopicMessage(b"1")).addErrback(lambda _: None)
        thread = ByHand()
        made.backend._thread, made.thread.before = thread, lambda: None
        made.clock.advance(1)
        topics.backend.stop()
        while thread.work():
            pass
        refused: list[Any] = []
        topics.backend.publish("a", TopicMessage(b"2")).addErrback(refused.append)
        assert [each.value.code for each in refused] == ["unavailable"]


def fail() -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_a_stopped_backend_holds_no_timer(path: Path) -> None:
    made = InFile(path)
    made.backend.start(Topics(made.backend, made.clock))
    made.thread.before = fail
    made.backend.publish("a", TopicMessage(b"1")).addErrback(lambda _: None)
    made.thread.before = lambda: None
    made.backend.stop()
    assert isinstance(made.clock, Clock)
    assert made.clock.getDelayedCalls() == []
