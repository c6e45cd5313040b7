"""Tasks that are repeated while the daemon runs."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from wsd.service.periodic import PeriodicTasks


def test_a_task_is_called_at_once_and_until_they_are_stopped() -> None:
    clock, called = Clock(), []
    tasks = PeriodicTasks(clock)
    tasks.add(5, lambda: called.append(clock.seconds()))
    clock.pump([5, 5])
    tasks.stop()
    clock.pump([5, 5])
    assert called == [0, 5, 10]


def test_one_that_fails_is_logged_and_the_others_go_on() -> None:
    clock, called = Clock(), []
    tasks = PeriodicTasks(clock)
    with capturedLogs() as events:
        tasks.add(5, lambda: 1 // 0)
        tasks.add(5, lambda: called.append(1))
        clock.pump([5, 5])
    assert [event["log_failure"].type for event in events] == [ZeroDivisionError]
    assert called == [1, 1, 1]
    tasks.stop()
