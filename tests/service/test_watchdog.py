"""The watchdog notices what holds the reactor, says where, and tells CPU time from waiting."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from websockets.sync.client import connect

from tests.daemon import runningDaemon
from wsd.metrics import Histogram
from wsd.service.watchdog import HELD, Hold, HoldReporter, Watchdog, stackOf


class ThreadReactor:
    """A reactor that makes the calls of other threads when it is told to."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]] = SimpleQueue()

    def callFromThread(self, call: Callable[..., Any], *given: Any) -> None:
        self._calls.put((call, given))

    def turn(self) -> None:
        """Wait for a call, and make it."""
        call, given = self._calls.get(timeout=30)
        call(*given)


def _compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(100))


def noticed(hold: Callable[[], object]) -> Hold:
    """What the watchdog says about a call that holds the reactor."""
    reactor = ThreadReactor()
    holds: list[Hold] = []
    watchdog = Watchdog(reactor, holds.append)
    watchdog.start()
    try:
        reactor.turn()
        hold()
        while not holds:
            reactor.turn()
    finally:
        watchdog.stop()
    return holds[0]


def test_a_call_that_computes_is_noticed_with_its_place_and_cpu_time() -> None:
    hold = noticed(lambda: _compute(0.4))
    assert hold.seconds >= hold.cpu > HELD
    assert re.search(r"service/test_watchdog\.py:\d+ _compute$", hold.stack)


def test_a_call_that_waits_uses_no_cpu_time() -> None:
    gate = threading.Event()
    hold = noticed(lambda: gate.wait(0.4))
    assert hold.seconds > HELD > hold.cpu
    assert hold.stack.endswith(" wait")


def test_turns_that_are_short_are_not_noticed() -> None:
    reactor = ThreadReactor()
    holds: list[Hold] = []
    watchdog = Watchdog(reactor, holds.append)
    watchdog.start()
    for _ in range(5):
        reactor.turn()
    watchdog.stop()
    assert holds == []


def test_the_stack_has_the_innermost_calls() -> None:
    def deep(left: int) -> str:
        return stackOf(sys._getframe()) if not left else deep(left - 1)

    calls = deep(40).split(" > ")
    assert len(calls) == 12
    assert all(call.endswith(" deep") for call in calls)


class TestTheReporter:
    def test_counts_each_and_logs_one_line_in_ten_seconds(self) -> None:
        clock, counted = Clock(), Histogram(1)
        reporter = HoldReporter(clock.seconds, counted)
        with capturedLogs() as events:
            for _ in range(3):
                reporter.held(Hold(0.5, 0.4, "a.py:1 f"))
            clock.advance(10)
            reporter.held(Hold(2.0, 0.4, "b.py:2 g"))
        assert [(event["event"], event["count"], event["stack"]) for event in events] == [
            ("reactor.held", 1, "a.py:1 f"),
            ("reactor.held", 3, "b.py:2 g"),
        ]
        assert counted.buckets() == [("1.0", 3), ("+Inf", 4)]


HOLDING = """
import time

def _compute():
    end = time.thread_time() + 0.5
    while time.thread_time() < end:
        pass

async def web_socket_do_extra_handshake(request):
    pass

async def web_socket_transfer_data(request):
    while (message := await request.ws_stream.receive_message()) is not None:
        _compute()
        await request.ws_stream.send_message(message)
"""


def test_a_daemon_whose_code_holds_it_fails_its_test(tmp_path: Path) -> None:
    (tmp_path / "hold_wsh.py").write_text(HOLDING)

    def run() -> None:
        with runningDaemon("-w", str(tmp_path)) as daemon:
            with connect(f"ws://localhost:{daemon.port()}/hold") as client:
                client.send("hello")
                assert client.recv() == "hello"
            daemon.waitFor("nobody was served for")

    with pytest.raises(AssertionError, match=r"the reactor was held: .*hold_wsh\.py:\d+ _compute"):
        run()
