"""The parent joins what all workers say: it answers when all have, or after a while."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from wsd.metrics import ReloadCounters
from wsd.processes.gathering import Gathering


class FakeChild:
    """A worker that keeps what it is sent."""

    isServing = True
    restarts = 0
    told: Any = None
    kept = ()

    def __init__(self, number: int) -> None:
        self.number = number
        self.sent: list[tuple[str, Any]] = []

    def send(self, kind: str, fields: dict[str, Any]) -> None:
        self.sent.append((kind, fields.get("question")))


class Gathers:
    """Two workers, and what gathers their answers."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.children: Any = [FakeChild(number) for number in range(2)]
        self.gathering = Gathering(self.clock, self.children, ReloadCounters())

    def ask(self, question: int) -> None:
        self.gathering.ask(self.children[0], question)

    def answer(self, *numbers: int) -> None:
        for number in numbers:
            self.gathering.discard(self.children[number])

    @property
    def answered(self) -> list[int]:
        """The questions that were answered."""
        return [question for kind, question in self.children[0].sent if kind == "gathered"]


@pytest.fixture
def gathers() -> Gathers:
    return Gathers()


def test_a_question_is_answered_when_all_have_answered(gathers: Gathers) -> None:
    gathers.ask(1)
    assert [child.sent for child in gathers.children] == [[("ask", None)]] * 2
    gathers.answer(0)
    assert gathers.answered == []
    gathers.answer(1)
    assert gathers.answered == [1]


def test_a_worker_that_does_not_answer_is_not_waited_for(gathers: Gathers) -> None:
    gathers.ask(1)
    gathers.answer(0)
    gathers.clock.advance(0.5)
    assert gathers.answered == [1]


def test_a_later_question_has_its_own_time(gathers: Gathers) -> None:
    gathers.ask(1)
    gathers.answer(0, 1)
    gathers.clock.advance(0.4)
    gathers.ask(2)
    gathers.clock.advance(0.2)
    assert gathers.answered == [1]
    gathers.clock.advance(0.3)
    assert gathers.answered == [1, 2]
