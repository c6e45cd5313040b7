"""Threads for functions that block: one that hangs is replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import Queue
from threading import Event
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from wsd.protocols.soap.threads import Threads


class Turns(Clock):
    """A reactor as far as threads know it."""

    def __init__(self) -> None:
        super().__init__()
        self._due: Queue[Callable[[], object]] = Queue()

    def callFromThread(self, call: Callable[..., object], *arguments: Any) -> None:
        self._due.put(lambda: call(*arguments))

    def turn(self) -> None:
        """Wait for what a thread has to say."""
        self._due.get(timeout=10)()


class Hangs:
    """Work that lasts until it is told to end."""

    def __init__(self) -> None:
        self.begun = Event()
        self.end = Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.end.wait(10)
        return "ended"


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def threads(turns: Turns) -> Iterator[Threads]:
    threads = Threads(turns, 2)
    threads.start()
    yield threads
    threads.stop()


def result(done: Deferred[Any]) -> list[Any]:
    """What it has come to, in a list; an empty one while it has not."""
    results: list[Any] = []
    done.addBoth(results.append)
    return results


class TestWhatHangs:
    def test_it_is_cancelled_and_what_waits_is_done(self, threads: Threads, turns: Turns) -> None:
        hanging = [Hangs() for _ in range(2)]
        pending = [threads.run(each, {}) for each in hanging]
        for each in hanging:
            assert each.begun.wait(10)
        waiting = result(threads.run(lambda: "done", {}))
        assert waiting == []
        failures = [result(each) for each in pending]
        for done in pending:
            done.cancel()
        assert [failure.type for (failure,) in failures] == [CancelledError, CancelledError]
        while not waiting:
            turns.turn()
        assert waiting == ["done"]
        for each in hanging:
            each.end.set()

    def test_its_place_is_taken_back_when_it_ends(self, threads: Threads, turns: Turns) -> None:
        hangs = Hangs()
        pending = threads.run(hangs, {})
        assert hangs.begun.wait(10)
        pending.addErrback(lambda failure: failure.trap(CancelledError))
        pending.cancel()
        assert threads._pool.max == 3
        hangs.end.set()
        while threads._pool.max > 2:
            turns.turn()

    def test_what_has_not_begun_is_left_out(self, threads: Threads, turns: Turns) -> None:
        hanging = [Hangs() for _ in range(2)]
        pending = [result(threads.run(each, {})) for each in hanging]
        for each in hanging:
            assert each.begun.wait(10)
        late = Hangs()
        waiting = threads.run(late, {})
        (failed,) = [result(waiting)]
        waiting.cancel()
        assert isinstance(failed[0], Failure)
        for each in hanging:
            each.end.set()
        while not all(pending):
            turns.turn()
        done = result(threads.run(lambda: "next", {}))
        while not done:
            turns.turn()
        assert done == ["next"]
        assert not late.begun.is_set()

    def test_there_are_no_more_than_four_times_as_many(self, threads: Threads, turns: Turns) -> None:
        hanging = [Hangs() for _ in range(9)]
        for each in hanging[:8]:
            pending = threads.run(each, {})
            assert each.begun.wait(10)
            pending.addErrback(lambda failure: failure.trap(CancelledError))
            pending.cancel()
        assert threads._pool.max == 8
        last = threads.run(hanging[8], {})
        last.addErrback(lambda failure: failure.trap(CancelledError))
        last.cancel()
        assert not hanging[8].begun.is_set()
        for each in hanging:
            each.end.set()
