"""The reloads of several workers: all of them or none, one reload at a time."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock

from wsd.config import Config, parse
from wsd.config.prepared import PreparedChange
from wsd.control.interface import ReloadOutcome
from wsd.listen.systemd import Systemd
from wsd.processes.channel import ChannelMessage
from wsd.processes.reloading import WorkersReloading
from wsd.protocols import optionsOf


class FakeChild:
    """A worker that keeps what it is sent."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.isServing = self.isRunning = True
        self.sent: list[str] = []

    def send(self, kind: str, fields: dict[str, Any]) -> None:
        self.sent.append(kind)


class Reloads:
    """Reloads of three workers. `text` is the configuration that is read next."""

    def __init__(self) -> None:
        self.text = "workers = 3\nbuilt_in = false\n"
        self.children: Any = [FakeChild(number) for number in range(3)]
        self.changes: list[str] = []
        self.reloading = WorkersReloading(
            self.read(), self.read, self.children, Systemd({}, MemoryReactorClock()), lambda c, kind: c.send(kind, {})
        )
        self.reloading.add(self._prepare)

    def read(self) -> Config:
        return parse(self.text, optionsOf)

    def _prepare(self, config: Config) -> PreparedChange:
        self.changes.append("prepare")
        return PreparedChange(lambda: self.changes.append("commit"), lambda: self.changes.append("abort"))

    def start(self) -> list[ReloadOutcome]:
        """Begin a reload. Its outcome is in the list when it has ended."""
        outcomes: list[ReloadOutcome] = []
        self.reloading.start().addCallback(outcomes.append)
        return outcomes

    def prepared(self, number: int, refused: str | None = None) -> None:
        self.reloading.received(self.children[number], ChannelMessage("prepared", {"refused": refused}, b"", ()))

    def uses(self, number: int, *warnings: str) -> None:
        self.reloading.received(self.children[number], ChannelMessage("reloaded", {"warnings": warnings}, b"", ()))

    def dies(self, number: int) -> None:
        child = self.children[number]
        child.isServing = child.isRunning = False
        self.reloading.gone(child)

    @property
    def sent(self) -> list[list[str]]:
        return [child.sent for child in self.children]


@pytest.fixture
def reloads() -> Reloads:
    return Reloads()


def test_each_worker_prepares_after_the_other_and_then_all_commit(reloads: Reloads) -> None:
    outcomes = reloads.start()
    for number in range(3):
        assert reloads.sent == [["prepare"] if each <= number else [] for each in range(3)]
        reloads.prepared(number)
    assert reloads.sent == [["prepare", "commit"]] * 3
    assert reloads.changes == ["prepare", "commit"]
    reloads.uses(2, "a route did not start")
    reloads.uses(0)
    assert not outcomes
    reloads.uses(1)
    assert outcomes == [ReloadOutcome(warnings=("worker 2: a route did not start",))]
    assert (reloads.reloading.counters.accepted, reloads.reloading.counters.refused) == (1, 0)


def test_if_one_refuses_the_others_forget_it(reloads: Reloads) -> None:
    before = reloads.reloading.config
    reloads.text += "drain = 3\n"
    outcomes = reloads.start()
    reloads.prepared(0)
    reloads.prepared(1, "no")
    assert outcomes == [ReloadOutcome("no")]
    assert reloads.sent == [["prepare", "abort"], ["prepare"], []]
    assert reloads.changes == ["prepare", "abort"]
    assert reloads.reloading.config is before
    assert (reloads.reloading.counters.accepted, reloads.reloading.counters.refused) == (0, 1)


def test_what_the_parent_refuses_reaches_no_worker(reloads: Reloads) -> None:
    reloads.text = "this is no TOML"
    (outcome,) = reloads.start()
    assert outcome.refused
    assert reloads.sent == [[], [], []]
    assert reloads.reloading.counters.refused == 1
    assert not reloads.reloading.isUnderWay


@pytest.mark.parametrize("number", range(3))
def test_it_does_not_wait_for_a_worker_that_has_died(reloads: Reloads, number: int) -> None:
    outcomes = reloads.start()
    reloads.prepared(0)
    reloads.dies(number)
    for other in {1, 2} - {number}:
        reloads.prepared(other)
    assert all(child.sent[-1] == "commit" for child in reloads.children if child.isRunning)
    for other in {0, 1, 2} - {number}:
        reloads.uses(other)
    assert outcomes == [ReloadOutcome()]


def test_a_worker_that_has_started_meanwhile_follows(reloads: Reloads) -> None:
    reloads.start()
    reloads.dies(2)
    reloads.children[2].isRunning = True
    reloads.prepared(0)
    reloads.prepared(1)
    assert reloads.sent[2] == ["follow"]


class TestASecondReload:
    def test_waits_for_the_first_and_reads_the_configuration_of_then(self, reloads: Reloads) -> None:
        first, second, third = (reloads.start() for _ in range(3))
        reloads.text += "drain = 3\n"
        for number in range(3):
            reloads.prepared(number)
        for number in range(3):
            reloads.uses(number)
        assert first == [ReloadOutcome()]
        assert not second
        for number in range(3):
            reloads.prepared(number)
        for number in range(3):
            reloads.uses(number)
        assert second == third == [ReloadOutcome(changed=("drain",))]
        assert not reloads.reloading.isUnderWay
        assert [sent.count("commit") for sent in reloads.sent] == [2, 2, 2]

    def test_is_told_if_the_daemon_does_something_else_by_then(self, reloads: Reloads) -> None:
        def refuse() -> Deferred[ReloadOutcome]:
            return succeed(ReloadOutcome("the daemon is stopping"))

        reloads.reloading.again = refuse
        reloads.start()
        second = reloads.start()
        reloads.prepared(0, "no")
        assert second == [ReloadOutcome("the daemon is stopping")]
