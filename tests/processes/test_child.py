"""One worker as its parent sees it: when it is started again, and which answer belongs to which question."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure

from wsd.processes import supply as module
from wsd.processes.channel import ChannelMessage
from wsd.processes.child import Child, WorkerEnded
from wsd.processes.supply import ProcessSupply


class FakeProcess:
    """The process of a worker, and its channel, which keeps what it is sent."""

    pid = 7
    isRunning = True
    received: Any
    exited: Any

    def __init__(self) -> None:
        self.channel = self
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.signals: list[int] = []

    def send(self, kind: str, fields: dict[str, Any], body: bytes, descriptors: Sequence[int]) -> None:
        self.sent.append((kind, fields))

    def answer(self, question: int, **fields: object) -> None:
        self.received(ChannelMessage("answer", {"question": question, **fields}))

    def kill(self, number: int) -> None:
        self.signals.append(number)


class Children:
    """A worker. While `fault` is set, no process can be started, and while `full` is, it cannot be told anything."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.fault: OSError | None = None
        self.full: OSError | None = None
        self.processes: list[FakeProcess] = []
        self.ended = 0
        self.child = Child(self.clock, 1, self._new, self._started, lambda *_: None, self._ended)  # type: ignore[arg-type]

    def _new(self) -> FakeProcess:
        if self.fault is not None:
            raise self.fault
        self.processes.append(FakeProcess())
        return self.processes[-1]

    def _started(self, child: Child) -> None:
        if self.full is not None:
            raise self.full

    def _ended(self, child: Child) -> None:
        self.ended += 1

    def exit(self) -> None:
        self.processes[-1].exited(Failure(Exception()))


@pytest.fixture
def ours() -> Children:
    return Children()


class TestAProcessThatCannotBeStarted:
    def test_is_tried_again_later_and_later(self, ours: Children) -> None:
        ours.fault = OSError(12, "Cannot allocate memory")
        with capturedLogs() as events:
            ours.child.start()
            for wait in (0, 0.25, 0.5):
                ours.clock.advance(wait)
        assert [event["wait"] for event in events] == [0.0, 0.25, 0.5, 1.0]
        assert "Cannot allocate memory" in formatEvent(events[0])
        assert not ours.child.isRunning
        ours.fault = None
        ours.clock.advance(1)
        assert ours.child.isRunning

    def test_after_a_death_does_not_end_the_worker_for_good(self, ours: Children) -> None:
        ours.child.start()
        ours.fault = OSError(11, "Resource temporarily unavailable")
        ours.exit()
        ours.clock.advance(0)
        assert not ours.child.isRunning
        ours.fault = None
        ours.clock.advance(1)
        assert ours.child.isRunning

    def test_is_not_tried_again_once_the_daemon_stops(self, ours: Children) -> None:
        ours.fault = OSError(12, "Cannot allocate memory")
        ours.child.start()
        ours.child.stop()
        assert ours.clock.getDelayedCalls() == []

    def test_is_ended_if_it_cannot_be_told_what_to_serve(self, ours: Children) -> None:
        ours.full = OSError(24, "Too many open files")
        ours.child.start()
        assert ours.processes[0].signals == [signal.SIGKILL]
        ours.full = None
        ours.exit()
        ours.clock.advance(0)
        assert len(ours.processes) == 2
        assert ours.child.isRunning


class TestAProcessThatGivesNoSignOfLife:
    def test_is_killed_and_leaves_its_stacks(self, ours: Children) -> None:
        ours.child.start()
        ours.processes[0].received(ChannelMessage("alive", {}))
        for seconds in (30, 1, 2):
            ours.clock.advance(seconds)
            ours.child.killIfHung(None)
        assert ours.processes[0].signals == [signal.SIGABRT, signal.SIGKILL]

    def test_has_more_time_while_it_starts(self, ours: Children) -> None:
        ours.child.start()
        ours.clock.advance(180)
        ours.child.killIfHung(5)
        assert ours.processes[0].signals == []
        ours.clock.advance(1)
        ours.child.killIfHung(5)
        assert ours.processes[0].signals == [signal.SIGABRT]

    def test_is_killed_earlier_if_systemd_is_stricter(self, ours: Children) -> None:
        ours.child.start()
        ours.processes[0].received(ChannelMessage("serving", {}))
        ours.clock.advance(6)
        ours.child.killIfHung(5)
        assert ours.processes[0].signals == [signal.SIGABRT]


class TestAnAnswer:
    def ask(self, ours: Children, kind: str) -> list[Any]:
        """Ask. What is answered is in the list then."""
        answers: list[Any] = []
        asked: Deferred[ChannelMessage] = ours.child.ask(kind, {})
        asked.addCallbacks(
            lambda message: answers.append(message.fields["told"]), lambda failure: answers.append(failure.type)
        )
        return answers

    def test_is_that_to_its_question_also_if_another_was_asked_meanwhile(self, ours: Children) -> None:
        ours.child.start()
        step, takeBack = self.ask(ours, "step"), self.ask(ours, "takeback")
        questions = [fields["question"] for _, fields in ours.processes[0].sent]
        ours.processes[0].answer(questions[0], told="refused")
        assert (step, takeBack) == (["refused"], [])
        ours.processes[0].answer(questions[1], told="taken back")
        assert takeBack == ["taken back"]

    def test_does_not_come_from_a_process_that_has_ended(self, ours: Children) -> None:
        ours.child.start()
        first, second = self.ask(ours, "step"), self.ask(ours, "takeback")
        ours.exit()
        assert first == second == [WorkerEnded]
        assert self.ask(ours, "step") == [WorkerEnded]


def test_a_spare_that_cannot_be_started_is_tried_again_and_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [OSError(12, "Cannot allocate memory")] * 2

    def new(*_: Any) -> FakeProcess:
        if faults:
            raise faults.pop()
        return FakeProcess()

    monkeypatch.setattr(module, "WorkerProcess", new)
    supply = ProcessSupply(Clock(), [], {})
    with capturedLogs() as events:
        for _ in range(3):
            supply.keepSpare()
    assert [event["event"] for event in events] == ["worker.nospare"]
    assert supply._spare is supply.take()
