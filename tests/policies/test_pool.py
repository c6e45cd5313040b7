"""Pools of threads: what blocks runs there, and their end is bounded and holds up nobody."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from wsd.policies.pool import PATIENCE, Pool


class Reactor(Clock):
    """A clock, and calls from threads, which the test waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.calls_: SimpleQueue[Callable[[], Any]] = SimpleQueue()

    def callFromThread(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.calls_.put(lambda: call(*arguments))

    def until(self, met: Callable[[], Any]) -> None:
        while not met():
            self.calls_.get(timeout=30)()


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def pool(reactor: Reactor) -> Iterator[Pool]:
    pool = Pool(reactor, 1, "test")
    pool.start()
    yield pool
    pool.end()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What blocks until it is opened; at the end of the test it is."""
    gate = threading.Event()
    yield gate
    gate.set()


def test_a_thread_is_made_when_there_is_work(reactor: Reactor, pool: Pool) -> None:
    assert not pool.threads
    done: list[object] = []
    pool.run(lambda: None).addCallback(done.append)
    reactor.until(lambda: done)
    assert len(pool.threads) == 1


def test_work_is_done_on_a_thread_and_its_result_told_on_the_reactors(reactor: Reactor, pool: Pool) -> None:
    told: list[tuple[Any, Any]] = []
    pool.run(threading.current_thread).addCallback(lambda thread: told.append((thread, threading.current_thread())))
    reactor.until(lambda: told)
    ((worked, heard),) = told
    assert worked is not threading.current_thread()
    assert heard is threading.current_thread()


def test_what_it_raises_too(reactor: Reactor, pool: Pool) -> None:
    failed: list[Failure] = []
    pool.run(int, "one").addErrback(failed.append)
    reactor.until(lambda: failed)
    assert failed[0].check(ValueError)


def test_an_end_without_work_is_at_once(reactor: Reactor, pool: Pool) -> None:
    ended: list[None] = []
    pool.end().addCallback(ended.append)
    assert ended == [None]
    assert reactor.getDelayedCalls() == []


def test_one_that_was_never_started_ends_at_once(reactor: Reactor) -> None:
    ended: list[None] = []
    Pool(reactor, 1, "idle").end().addCallback(ended.append)
    assert ended == [None]


def test_an_end_waits_for_what_is_being_done_without_blocking(
    reactor: Reactor, pool: Pool, gate: threading.Event
) -> None:
    done: list[Any] = []
    ended: list[None] = []
    pool.run(gate.wait).addCallback(done.append)
    pool.run(lambda: "queued").addCallback(done.append)
    pool.end().addCallback(ended.append)
    assert (done, ended) == ([], [])
    gate.set()
    reactor.until(lambda: ended)
    assert done == [True, "queued"]
    assert reactor.getDelayedCalls() == []


def test_but_not_for_ever(reactor: Reactor, pool: Pool, gate: threading.Event) -> None:
    ended: list[None] = []
    pool.run(gate.wait)
    pool.end().addCallback(ended.append)
    reactor.advance(PATIENCE - 0.1)
    assert ended == []
    with capturedLogs() as events:
        reactor.advance(0.1)
    assert ended == [None]
    (event,) = [event for event in events if event.get("event") == "pool.left"]
    assert (event["count"], event["name"]) == (1, "test")


def test_what_is_asked_for_after_the_end_is_cancelled(reactor: Reactor, pool: Pool) -> None:
    pool.end()
    failed: list[Failure] = []
    pool.run(int).addErrback(failed.append)
    reactor.until(lambda: failed)
    assert failed[0].check(CancelledError)


HANGS = """
import threading
from twisted.internet import reactor
from wsd.policies.pool import Pool

pool = Pool(reactor, 1, "hangs")
pool.start()
reactor.callWhenRunning(pool.run, threading.Event().wait)
reactor.callLater(0, reactor.stop)
reactor.run()
print("ended")
"""


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "ended\n"
