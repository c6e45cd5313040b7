"""The new process of an upgrade as the old one sees it: what it is told when the old one stops."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from wsd.processes.channel import ChannelMessage
from wsd.processes.conversation import NewSide, NotTakenOver


class Told(NewSide):
    """A new process, and what it was told."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        super().__init__(MemoryReactorClock(), self.near)

    def _howItEnded(self) -> str:
        return "it has ended"

    def said(self) -> bytes:
        self.far.setblocking(False)
        try:
            return self.far.recv(4096)
        except BlockingIOError:
            return b""


@pytest.fixture
def new() -> Any:
    made = Told()
    yield made
    made._channel.close()
    made.far.close()


def test_one_that_is_told_to_stop_is_asked_nothing_more(new: Told) -> None:
    new.stop("the daemon is stopping")
    assert b"stop" in new.said()
    failed: list[str] = []
    new.ask("listen", {}).addCallbacks(lambda _: None, lambda failure: failed.append(failure.getErrorMessage()))
    assert failed == ["the daemon is stopping"]
    assert new.said() == b""
    with pytest.raises(NotTakenOver, match="the daemon is stopping"):
        new.check()


def test_what_it_was_asked_before_it_still_confirms(new: Told) -> None:
    answers: list[ChannelMessage] = []
    new.ask("connections", {}).addCallback(answers.append)
    new.stop("the daemon is stopping")
    new._received(ChannelMessage("taken", {"failed": []}, b"", ()))
    assert [each.kind for each in answers] == ["taken"]


def test_it_has_stopped_when_its_channel_is_closed(new: Told) -> None:
    stopped = new.stop("the daemon is stopping")
    assert not stopped.called
    new._lost(None)  # type: ignore[arg-type]
    assert stopped.called


def test_it_is_hurried_only_if_it_was_told_to_stop(new: Told) -> None:
    new.hurry()
    assert new.said() == b""
    new.stop("the daemon is stopping")
    new.said()
    new.hurry()
    assert b"now" in new.said()
