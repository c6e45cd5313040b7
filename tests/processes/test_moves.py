"""The steps of an upgrade, if the new process ends in the middle of one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from wsd.processes.conversation import NewSide, NotTakenOver
from wsd.processes.moves import Moves

KEY: Any = "key"


class NoProcess(NewSide):
    """The new side of an upgrade, without a process."""

    def _endProcess(self) -> None:
        pass

    def _howItEnded(self) -> str:
        return "the new process has ended"


class Upgraded:
    """A daemon with one route that has a file, and a connection that takes its time to close."""

    def __init__(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        near, self.far = socket.socketpair()
        self.new = NoProcess(self.reactor, near)
        self.restarted: list[Any] = []
        routes = SimpleNamespace(named={}, startOne=self._startOne, stopOne=self._stopOne)
        self.daemon: Any = SimpleNamespace(running=True, routes=routes, rebuild=self.restarted.append)
        self.factory: Any = SimpleNamespace(connections={"one"}, unusable=None)
        self.moves = Moves(self.daemon, self.reactor, self.new)  # type: ignore[arg-type]
        self.moves._exclusive = {KEY: self.factory}  # type: ignore[dict-item]
        self.closing: Deferred[None] = Deferred()

    def _startOne(self, factory: Any) -> Deferred[None]:
        self.restarted.append(factory)
        return succeed(None)

    def _stopOne(self, factory: Any) -> Deferred[None]:
        return self.closing


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upgraded]:
    upgraded = Upgraded()

    async def close(factories: Any) -> None:
        await upgraded.closing

    monkeypatch.setattr(upgraded.moves, "_closeAll", close)
    yield upgraded
    upgraded.new.kill()
    upgraded.far.close()


def failed(step: Deferred[None]) -> str:
    """Why a step has failed."""
    failures: list[Failure] = []
    step.addErrback(failures.append)
    (failure,) = failures
    assert failure.check(NotTakenOver)
    return failure.getErrorMessage()


def test_it_closes_no_more_connections_for_a_process_that_has_ended(ours: Upgraded) -> None:
    step = Deferred.fromCoroutine(ours.moves.empty())
    assert ours.factory.unusable
    assert not step.called
    ours.new.kill("the daemon is stopping")
    assert failed(step) == "the daemon is stopping"
    assert ours.closing.called, "cancelled"
    Deferred.fromCoroutine(ours.moves.takeBack())
    assert ours.factory.unusable is None


def test_it_closes_none_for_a_process_that_has_ended_before(ours: Upgraded) -> None:
    ours.far.close()
    ours.new._lost(Failure(Exception()))
    assert failed(Deferred.fromCoroutine(ours.moves.empty())) == "the new process has ended"
    assert not ours.closing.called


@pytest.mark.parametrize("running", [True, False], ids=["serves on", "stops"])
def test_files_are_used_again_unless_the_daemon_stops(
    ours: Upgraded, running: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsd.processes.moves.isExclusive", lambda factory: True)
    Deferred.fromCoroutine(ours.moves._passFiles([ours.factory], [ours.factory]))
    ours.closing.callback(None)
    ours.daemon.running = running
    with capturedLogs() as events:
        Deferred.fromCoroutine(ours.moves.takeBack())
    assert events == []
    assert ours.restarted == ([ours.factory, []] if running else [])
