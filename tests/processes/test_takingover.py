"""The new process of an upgrade: what it does when it is stopped, or when the old one ends."""

from __future__ import annotations

import gc
import os
import signal
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs

from wsd.processes import takingover as module
from wsd.processes.channel import ChannelMessage
from wsd.processes.packing import pack
from wsd.processes.takingover import TakingOver


class FakeDaemon:
    """A daemon without routes."""

    def __init__(self) -> None:
        self.routes = SimpleNamespace(named={})
        self.listening = SimpleNamespace(ring=None)
        self.site = None
        self.isMain = self.isHurried = False
        self.running = True

    def stopNow(self) -> None:
        self.isHurried = True

    def becomeMain(self) -> None:
        self.isMain = True


class TakesOver:
    """A new process, and the signals that it sends to itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.signals: list[tuple[int, int]] = []
        monkeypatch.setattr(os, "kill", lambda *sent: self.signals.append(sent))
        near, self.old = socket.socketpair()
        self.taking = TakingOver(MemoryReactorClock(), near)
        self.daemon = FakeDaemon()
        self.taking.takeOver(self.daemon)  # type: ignore[arg-type]

    def receive(self, kind: str, body: Any = None, descriptors: tuple[int, ...] = (), **fields: Any) -> None:
        self.taking._received(ChannelMessage(kind, fields, pack(body), descriptors))

    def close(self) -> None:
        self.taking._channel.close()
        self.old.close()
        gc.enable()


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = TakesOver(monkeypatch)
    yield made
    made.close()


ENDS_AT_ONCE = [(os.getpid(), signal.SIGKILL)]
"""A clean end would close connections that the old process takes back."""


def test_it_ends_at_once_if_it_is_stopped_while_the_old_process_may_take_everything_back(ours: TakesOver) -> None:
    ours.taking.stopping()
    assert ours.signals == ENDS_AT_ONCE
    assert b"was told to stop" in ours.old.recv(4096)


def test_it_stops_as_any_other_daemon_once_it_has_gone_on_with_connections(ours: TakesOver) -> None:
    ours.receive("release")
    ours.taking.stopping()
    assert ours.signals == []


class TestAStopOfTheOldProcess:
    """It says so once this one has some of its connections."""

    @pytest.fixture(autouse=True)
    def released(self, ours: TakesOver) -> None:
        ours.receive("release")

    def test_ends_this_one_in_order(self, ours: TakesOver) -> None:
        ours.receive("stop")
        assert ours.signals == [(os.getpid(), signal.SIGTERM)]

    def test_is_no_second_signal_for_one_that_stops(self, ours: TakesOver) -> None:
        ours.daemon.running = False
        ours.receive("stop")
        assert ours.signals == []

    def test_at_once_drops_all_connections_here_as_well(self, ours: TakesOver) -> None:
        ours.receive("stop")
        assert not ours.daemon.isHurried
        ours.receive("now")
        assert ours.daemon.isHurried

    def test_leaves_connections_that_come_late_to_it(self, ours: TakesOver) -> None:
        ours.taking.stopping()
        late = os.dup(ours.old.fileno())
        ours.receive("connections", [b""], (late,), key=["/no", "echo"], version=1, isHeld=False)
        assert ours.signals == []
        assert b"failed" in ours.old.recv(4096)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(late)

    def test_does_not_make_this_one_the_daemon(self, ours: TakesOver) -> None:
        ours.taking.serving()
        ours.taking.stopping()
        with capturedLogs() as events:
            ours.taking._lost(None)  # type: ignore[arg-type]
        assert not events
        assert not ours.daemon.isMain


def test_a_connection_that_it_cannot_go_on_with_costs_no_other(
    ours: TakesOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(module, "arriveNew", fail)
    ours.receive("release")
    with capturedLogs() as events:
        ours.receive("new", {"unread": b""}, (0,))
    assert ours.signals == []
    assert [event["event"] for event in events] == ["upgrade.error"]


def test_connections_of_an_unknown_route_are_left_to_the_old_process(ours: TakesOver) -> None:
    ours.receive("connections", [], key=["/no", "echo"], version=1, isHeld=True)
    assert ours.signals == ENDS_AT_ONCE
    assert b"/no" in ours.old.recv(4096)


def test_it_is_the_daemon_if_the_old_process_ends_after_connections_have_gone_on(ours: TakesOver) -> None:
    ours.receive("release")
    ours.taking.serving()
    with capturedLogs() as events:
        ours.taking._lost(None)  # type: ignore[arg-type]
    assert [event["event"] for event in events] == ["upgrade.alone"]
    assert ours.daemon.isMain
    assert ours.signals == []


def test_it_ends_if_the_old_process_gives_up_before(ours: TakesOver) -> None:
    ours.taking._lost(None)  # type: ignore[arg-type]
    assert ours.signals == ENDS_AT_ONCE
    assert not ours.daemon.isMain
