"""The parent of workers in memory: what a reload and an upgrade mean to each other, and the listeners of both."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent

from tests.ports import freePort
from wsd.config import Config, parse
from wsd.control.interface import ReloadOutcome
from wsd.processes.channel import ChannelMessage
from wsd.processes.parent import Parent
from wsd.protocols import optionsOf
from wsd.service.upgrading import UpgradeRefused

TOP = 'workers = 2\nport = 0\nhost = "127.0.0.1"\nbuilt_in = false\n'


class FakeProcess:
    """The process of a worker, and its channel. It prepares for every reload, and uses it."""

    def __init__(self, child: Any) -> None:
        self.channel = self
        self.isQuick = True
        self._child = child

    def send(self, kind: str, fields: dict[str, Any], body: bytes, descriptors: Sequence[int]) -> None:
        if self.isQuick and kind in ("prepare", "commit"):
            self.answer(kind)

    def answer(self, kind: str) -> None:
        """Say that it has prepared, or uses it."""
        fields: dict[str, Any] = {"refused": None, "warnings": []}
        said = "prepared" if kind == "prepare" else "reloaded"
        self._child._message(ChannelMessage(said, fields, b"", ()))


class UpgradeUnderWay:
    """The process to which the parent hands over."""

    def abort(self) -> Deferred[None]:
        return succeed(None)

    isHurried = False

    def hurry(self) -> None:
        self.isHurried = True


class Parents:
    """A parent whose workers serve. `text` is the configuration that is read next."""

    def __init__(self) -> None:
        self.text = TOP
        self.parent = Parent(self.read(), MemoryReactorClock(), self.read, {}, [], {})
        self.parent.running = True
        self.parent.upgrades = lambda: succeed("upgraded")
        self.processes = [FakeProcess(child) for child in self.parent.children]
        for child, process in zip(self.parent.children, self.processes, strict=True):
            child.process = process  # type: ignore[assignment]
            child._message(ChannelMessage("serving", {}, b"", ()))

    def read(self) -> Config:
        return parse(self.text, optionsOf)

    def reload(self, more: str = "") -> ReloadOutcome | None:
        """The outcome, if the reload has ended."""
        self.text = TOP + more
        outcomes: list[ReloadOutcome] = []
        self.parent.reload().addCallback(outcomes.append)
        return outcomes[0] if outcomes else None

    def upgrade(self) -> str:
        """What an upgrade says, or why it is refused."""
        said: list[str] = []
        done: Deferred[str] = self.parent.upgrade()
        done.addErrback(lambda failure: str(failure.trap(UpgradeRefused) and failure.value)).addCallback(said.append)
        return said[0]


@pytest.fixture
def ours() -> Iterator[Parents]:
    found = Parents()
    yield found
    found.parent.listening.close(ownsPaths=True)


def test_no_reload_begins_during_an_upgrade(ours: Parents) -> None:
    ours.parent.successor = UpgradeUnderWay()
    with capturedLogs() as events:
        outcome = ours.reload("drain = 3\n")
    reason = "an upgrade is under way, and the new process reads the configuration itself"
    assert outcome == ReloadOutcome(reason)
    assert [formatEvent(event) for event in events] == [f"not reloaded, the old configuration stays in use: {reason}"]
    assert ours.parent.reloading.config.drain != 3


def test_a_second_signal_hurries_the_new_processes_too(ours: Parents) -> None:
    ours.parent.successor = successor = UpgradeUnderWay()
    ours.parent.stopNow()
    assert successor.isHurried


def test_no_upgrade_begins_during_a_reload(ours: Parents) -> None:
    ours.processes[1].isQuick = False
    assert ours.reload("drain = 3\n") is None
    with capturedLogs() as events:
        assert ours.upgrade() == "not upgraded, this process serves on: a reload is under way; try again"
    assert [formatEvent(event) for event in events] == [
        "not upgraded, this process serves on: a reload is under way; try again"
    ]
    ours.processes[1].answer("prepare")
    assert "a reload is under way" in ours.upgrade()
    ours.processes[1].answer("commit")
    assert ours.upgrade() == "upgraded"
    assert ours.parent.reloading.config.drain == 3


def test_a_parent_that_stops_neither_reloads_nor_upgrades_and_says_so(ours: Parents) -> None:
    ours.parent.running = False
    with capturedLogs() as events:
        ours.reload()
        ours.upgrade()
    assert [formatEvent(event) for event in events] == [
        "not reloaded, the old configuration stays in use: the daemon is stopping",
        "not upgraded: the daemon is stopping",
    ]


def test_workers_that_cannot_start_end_the_daemon_once(ours: Parents, monkeypatch: pytest.MonkeyPatch) -> None:
    signals: list[int] = []
    monkeypatch.setattr(os, "kill", lambda process, number: signals.append(number))
    ours.parent._hasServed = False
    with capturedLogs() as events:
        for child in ours.parent.children:
            child.process = None
            ours.parent._ended(child)
    assert [event["event"] for event in events] == ["daemon.unusable"]
    assert signals == [signal.SIGTERM]
    assert ours.parent.hasFailed


def test_no_upgrade_begins_without_a_worker(ours: Parents) -> None:
    ours.parent.children[1].isServing = False
    assert ours.upgrade() == "not upgraded, this process serves on: worker 1 does not run; try again"


def test_an_upgrade_hands_over_the_listeners_after_the_last_reload(ours: Parents, tmp_path: Path) -> None:
    (before,) = ours.parent.listening.own
    port = freePort()
    ours.reload(f'listen = ["unix:{tmp_path}/wsd.sock", "tcp:{port}:interface=127.0.0.1"]\n')
    kept, unix, tcp = sorted(
        ours.parent.listening.own, key=lambda each: (each.sockets != before.sockets, len(each.sockets))
    )
    assert kept.sockets == before.sockets
    assert kept.listener.number == before.listener.number
    assert [each.getsockname() for each in unix.sockets] == [f"{tmp_path}/wsd.sock"]
    assert len(tcp.sockets) == 2
    assert len({each.listener.number for each in (kept, unix, tcp)}) == 3
    ours.reload()
    assert [each.sockets for each in ours.parent.listening.own] == [before.sockets]
    assert not (tmp_path / "wsd.sock").exists()
    assert all(each.fileno() == -1 for each in (*unix.sockets, *tcp.sockets))


def test_what_a_refused_reload_has_bound_is_closed(ours: Parents, tmp_path: Path) -> None:
    before = ours.parent.listening.shared
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = ours.reload(f'listen = ["unix:{tmp_path}/wsd.sock", "tcp:{port}:interface=127.0.0.1"]\n')
    assert outcome is not None
    assert f"{port}" in str(outcome.refused)
    assert ours.parent.listening.shared is before
    assert not (tmp_path / "wsd.sock").exists()
