"""The pool for blocking work: the threads are limited, and stopping takes limited time and blocks nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from gc import collect
from queue import SimpleQueue
from typing import Any
from weakref import ref

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from wsd.metrics import Metrics, ShareCounters
from wsd.policies.pool import PATIENCE, BlockingPool, JobTimedOut, PoolFull, PoolShare


class ThreadedClock(Clock):
    """A clock with `callFromThread`, whose calls the test waits for."""

    def __init__(self) -> None:
        super().__init__()
        self._called: SimpleQueue[Callable[[], Any]] = SimpleQueue()

    def callFromThread(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._called.put(partial(call, *arguments))

    def turn(self) -> None:
        self._called.get(timeout=30)()

    def until(self, met: Callable[[], Any]) -> None:
        while not met():
            self.turn()


class Hangs:
    """Work that lasts until it is told to end."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.end = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.end.wait(30)
        return "ended"


@pytest.fixture
def reactor() -> ThreadedClock:
    return ThreadedClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def pool(reactor: ThreadedClock, metrics: Metrics) -> Iterator[BlockingPool]:
    pool = BlockingPool(reactor, metrics)
    yield pool
    pool.close()


@pytest.fixture
def share(pool: BlockingPool) -> PoolShare:
    return pool.share("test", "/", threads=1)


@pytest.fixture
def counters(metrics: Metrics) -> ShareCounters:
    """The counters of the share "test"."""
    return metrics.share("test", "/")


@pytest.fixture
def hanging() -> Iterator[Callable[[PoolShare], tuple[Hangs, list[Any], Deferred[Any]]]]:
    """Begins work that hangs until the end of the test, or until it is told to end."""
    begun: list[Hangs] = []

    def begin(share: PoolShare) -> tuple[Hangs, list[Any], Deferred[Any]]:
        work = Hangs()
        begun.append(work)
        done = share.run(work)
        return work, resultOf(done), done

    yield begin
    for work in begun:
        work.end.set()


Begin = Callable[[PoolShare], tuple[Hangs, list[Any], Deferred[Any]]]


def resultOf(done: Deferred[Any]) -> list[Any]:
    """A list that gets the result of the Deferred."""
    results: list[Any] = []
    done.addBoth(results.append)
    return results


def errorOf(results: list[Any]) -> type[BaseException] | None:
    """The type of the exception with which a Deferred has failed."""
    (failure,) = results
    assert isinstance(failure, Failure)
    return failure.type


class TestWork:
    def test_has_a_thread_made_when_there_is_some(self, reactor: ThreadedClock, share: PoolShare) -> None:
        before = set(threading.enumerate())
        done = resultOf(share.run(threading.current_thread))
        reactor.until(lambda: done)
        assert set(threading.enumerate()) - before == set(done)

    def test_is_done_on_a_thread_and_its_result_told_on_the_reactors(
        self, reactor: ThreadedClock, share: PoolShare
    ) -> None:
        told: list[tuple[Any, Any]] = []
        done = share.run(threading.current_thread)
        done.addCallback(lambda thread: told.append((thread, threading.current_thread())))
        reactor.until(lambda: told)
        ((worked, heard),) = told
        assert worked is not threading.current_thread()
        assert heard is threading.current_thread()

    @pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
    def test_that_raises_fails_and_the_thread_goes_on(
        self, reactor: ThreadedClock, share: PoolShare, error: type[BaseException]
    ) -> None:
        def work() -> None:
            raise error

        failed = resultOf(share.run(work))
        reactor.until(lambda: failed)
        assert errorOf(failed) is error
        done = resultOf(share.run(lambda: "next"))
        reactor.until(lambda: done)
        assert done == ["next"]

    def test_takes_arguments_of_any_name(self, reactor: ThreadedClock, share: PoolShare) -> None:
        done = resultOf(share.run(dict, work=1, self=2))
        reactor.until(lambda: done)
        assert done == [{"work": 1, "self": 2}]

    def test_of_one_thread_is_done_in_order(self, reactor: ThreadedClock, share: PoolShare) -> None:
        order: list[int] = []
        results = [resultOf(share.run(order.append, number)) for number in range(100)]
        reactor.until(lambda: all(results))
        assert order == list(range(100))

    def test_begins_no_more_than_its_share_has_threads(
        self, reactor: ThreadedClock, share: PoolShare, counters: ShareCounters, hanging: Begin
    ) -> None:
        first, ended, _ = hanging(share)
        assert first.begun.wait(30)
        second, waiting, _ = hanging(share)
        assert (counters.threads, counters.waiting) == (1, 1)
        first.end.set()
        reactor.until(lambda: ended)
        assert second.begun.wait(30)
        assert (counters.threads, counters.waiting) == (1, 0)
        second.end.set()
        reactor.until(lambda: waiting)
        assert (counters.threads, counters.waiting, counters.timeouts) == (0, 0, 0)

    def test_is_refused_when_too_much_waits(self, pool: BlockingPool, hanging: Begin) -> None:
        share = pool.share("test", "/", threads=1, waiting=2)
        for _ in range(3):
            assert hanging(share)[1] == []
        assert errorOf(resultOf(share.run(int))) is PoolFull
        assert share.pending == 3

    def test_that_hangs_in_one_share_does_not_hold_up_another(
        self, reactor: ThreadedClock, pool: BlockingPool, share: PoolShare, hanging: Begin
    ) -> None:
        for _ in range(3):
            hanging(share)
        done = resultOf(pool.share("other", "/", threads=1).run(lambda: "done"))
        reactor.until(lambda: done)
        assert done == ["done"]

    def test_uses_threads_again(self, reactor: ThreadedClock, pool: BlockingPool) -> None:
        threads = set()
        for user in ("one", "two", "one"):
            done = resultOf(pool.share(user, "/", threads=2).run(threading.get_ident))
            while not done:
                reactor.turn()
            threads |= set(done)
        assert len(threads) == 1

    def test_is_not_kept_by_an_idle_thread(self, reactor: ThreadedClock, share: PoolShare) -> None:
        class Large:
            pass

        large = Large()
        kept = ref(large)
        done = resultOf(share.run(id, large))
        reactor.until(lambda: done)
        # The thread has let go of the first job when it has begun a second.
        again = resultOf(share.run(int))
        reactor.until(lambda: again)
        del large
        collect()
        assert kept() is None


class TestWorkThatHangs:
    def test_is_given_up_and_what_waits_is_done(
        self, reactor: ThreadedClock, pool: BlockingPool, hanging: Begin, counters: ShareCounters
    ) -> None:
        share = pool.share("test", "/", threads=2)
        both = [hanging(share) for _ in range(2)]
        waiting = resultOf(share.run(lambda: "done"))
        for _, failed, done in both:
            done.cancel()
            assert errorOf(failed) is CancelledError
        reactor.until(lambda: waiting)
        assert waiting == ["done"]
        assert counters.threads == 2
        assert counters.timeouts == 0

    def test_is_given_up_when_its_time_is_over(
        self, reactor: ThreadedClock, pool: BlockingPool, hanging: Begin, counters: ShareCounters
    ) -> None:
        share = pool.share("test", "/", threads=1, timeout=2.0)
        _, hung, _ = hanging(share)
        reactor.advance(1)
        waits = resultOf(share.run(lambda: "done"))
        reactor.advance(0.5)
        assert (hung, waits) == ([], [])
        reactor.advance(0.5)
        assert errorOf(hung) is JobTimedOut
        reactor.until(lambda: waits)
        assert waits == ["done"]
        assert counters.timeouts == 1
        assert reactor.getDelayedCalls() == []

    def test_leaves_time_to_what_is_done_in_time(self, reactor: ThreadedClock, pool: BlockingPool) -> None:
        done = resultOf(pool.share("test", "/", threads=1, timeout=2.0).run(lambda: "done"))
        reactor.until(lambda: done)
        assert reactor.getDelayedCalls() == []

    def test_gives_its_place_back_when_it_ends(self, reactor: ThreadedClock, share: PoolShare, hanging: Begin) -> None:
        work, _, done = hanging(share)
        done.cancel()
        assert share.limit == 2
        work.end.set()
        reactor.until(lambda: share.limit == 1)
        assert share.pending == 0

    def test_takes_no_more_than_four_times_the_threads(self, share: PoolShare, hanging: Begin) -> None:
        for _ in range(4):
            work, _, done = hanging(share)
            assert work.begun.wait(30)
            done.cancel()
        last, failed, done = hanging(share)
        assert share.limit == 4
        done.cancel()
        assert errorOf(failed) is CancelledError
        assert not last.begun.is_set()

    def test_that_has_not_begun_is_not_done(
        self, reactor: ThreadedClock, share: PoolShare, hanging: Begin, counters: ShareCounters
    ) -> None:
        first, _, _ = hanging(share)
        late, failed, done = hanging(share)
        done.cancel()
        assert errorOf(failed) is CancelledError
        assert counters.waiting == 0
        first.end.set()
        after = resultOf(share.run(lambda: "next"))
        reactor.until(lambda: after)
        assert not late.begun.is_set()


class TestTheStop:
    def test_without_work_is_at_once(self, reactor: ThreadedClock, share: PoolShare) -> None:
        done = resultOf(share.run(int))
        reactor.until(lambda: done)
        assert resultOf(share.stop()) == [None]
        assert reactor.getDelayedCalls() == []

    def test_of_a_share_that_was_never_used_is_at_once(self, share: PoolShare) -> None:
        assert resultOf(share.stop()) == [None]

    def test_waits_for_what_is_being_done_without_blocking(
        self, reactor: ThreadedClock, share: PoolShare, hanging: Begin
    ) -> None:
        work, done, _ = hanging(share)
        queued = resultOf(share.run(lambda: "queued"))
        stopped, again = resultOf(share.stop()), resultOf(share.stop())
        asked = resultOf(share.run(lambda: "asked"))
        assert (done, stopped, again) == ([], [], [])
        work.end.set()
        reactor.until(lambda: stopped)
        assert (done, queued, asked, again) == (["ended"], ["queued"], ["asked"], [None])
        assert reactor.getDelayedCalls() == []

    def test_does_not_wait_for_ever(self, reactor: ThreadedClock, share: PoolShare, hanging: Begin) -> None:
        _, done, _ = hanging(share)
        _, queued, _ = hanging(share)
        stopped = resultOf(share.stop())
        reactor.advance(PATIENCE - 0.1)
        assert stopped == []
        with capturedLogs() as events:
            reactor.advance(0.1)
        assert stopped == [None]
        assert (errorOf(done), errorOf(queued)) == (CancelledError, CancelledError)
        (event,) = [event for event in events if event.get("event") == "pool.left"]
        assert (event["count"], event["name"]) == (2, "test")

    def test_cancels_what_is_asked_for_after_it(self, share: PoolShare) -> None:
        share.stop()
        assert errorOf(resultOf(share.run(int))) is CancelledError

    def test_of_the_pool_is_at_once_and_ends_the_threads(
        self, reactor: ThreadedClock, pool: BlockingPool, share: PoolShare, hanging: Begin
    ) -> None:
        before = set(threading.enumerate())
        done = resultOf(pool.share("idle", "/", threads=1).run(int))
        reactor.until(lambda: done)
        work, failed, _ = hanging(share)
        assert work.begun.wait(30)
        threads = set(threading.enumerate()) - before
        pool.close()
        assert errorOf(failed) is CancelledError
        work.end.set()
        reactor.turn()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()

    def test_of_a_share_ends_threads_that_no_other_may_use(self, reactor: ThreadedClock, share: PoolShare) -> None:
        before = set(threading.enumerate())
        done = resultOf(share.run(int))
        reactor.until(lambda: done)
        (thread,) = set(threading.enumerate()) - before
        share.stop()
        thread.join(30)
        assert not thread.is_alive()


HANGS = """
import threading
from twisted.internet import reactor
from wsd.metrics import Metrics
from wsd.policies.pool import BlockingPool

share = BlockingPool(reactor, Metrics()).share("hangs", "/", threads=1)
reactor.callWhenRunning(share.run, threading.Event().wait)
reactor.callLater(0, reactor.stop)
reactor.run()
print("ended")
"""


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "ended\n"
