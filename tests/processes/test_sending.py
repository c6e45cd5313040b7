"""Connections are passed on in batches: each batch counts, whatever happens to the next."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from wsd.processes import sending as module
from wsd.processes.channel import ChannelMessage
from wsd.processes.conversation import NotTakenOver
from wsd.processes.sending import ConnectionSender

KEY: Any = "key"


class Recorded:
    """A connection that remembers what becomes of it."""

    descriptor = 0

    def __init__(self, size: int) -> None:
        self.saved = {"unsent": bytes(size)}
        self.fate = "waits"

    def confirm(self) -> None:
        assert self.fate == "waits"
        self.fate = "there"

    def takeBack(self) -> None:
        assert self.fate == "waits"
        self.fate = "here"


class Sends:
    """A sender, and the new process, which answers when the test says so."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.asked: list[Deferred[ChannelMessage]] = []
        daemon: Any = SimpleNamespace(routes=SimpleNamespace(named={KEY: SimpleNamespace(stateVersion=1)}))
        new: Any = SimpleNamespace(ask=self._ask)
        self.sender = ConnectionSender(daemon, self.clock, new)

    def _ask(self, *_: Any) -> Deferred[ChannelMessage]:
        self.asked.append(Deferred())
        return self.asked[-1]

    def answer(self, *failed: int) -> None:
        self.asked[-1].callback(ChannelMessage("taken", {"failed": list(failed)}))


@pytest.fixture
def sends() -> Sends:
    return Sends()


def test_what_is_confirmed_stays_there_if_the_next_batch_fails(sends: Sends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH_SIZE", 300)
    leaving: Any = [Recorded(200) for _ in range(4)]
    moved = Deferred.fromCoroutine(sends.sender.move(KEY, leaving, 0.0))
    sends.clock.advance(0.25)
    sends.answer()
    assert [each.fate for each in leaving] == ["there", "there", "waits", "waits"]
    failures: list[Any] = []
    moved.addErrback(failures.append)
    sends.asked[-1].errback(NotTakenOver("it has crashed"))
    assert failures[0].check(NotTakenOver)
    sends.sender.takeBack()
    assert [each.fate for each in leaving] == ["there", "there", "here", "here"]
    assert (sends.sender.count, sends.sender.pause) == (2, 0.25)


def test_what_cannot_be_resumed_there_continues_here(sends: Sends) -> None:
    leaving: Any = [Recorded(1) for _ in range(3)]
    Deferred.fromCoroutine(sends.sender.move(KEY, leaving, 0.0))
    sends.answer(1)
    assert [each.fate for each in leaving] == ["there", "here", "there"]


def test_what_is_held_is_neither_confirmed_nor_taken_back_here(sends: Sends) -> None:
    leaving: Any = [Recorded(1) for _ in range(module.BATCH + 1)]
    kept: list[Any] = []
    Deferred.fromCoroutine(sends.sender.hold(KEY, leaving)).addCallback(kept.extend)
    sends.answer(0)
    sends.answer(0)
    assert kept == [leaving[0], leaving[-1]]
    sends.sender.takeBack()
    assert {each.fate for each in leaving} == {"waits"}


def test_what_a_slow_process_has_been_sent_is_left_to_it(sends: Sends) -> None:
    leaving: Any = [Recorded(1)]
    Deferred.fromCoroutine(sends.sender.move(KEY, leaving, 0.0)).addErrback(lambda failure: None)
    sends.asked[-1].errback(NotTakenOver("the new process did not answer within 30 seconds"))
    sends.sender.forget()
    sends.sender.takeBack()
    assert leaving[0].fate == "there"
