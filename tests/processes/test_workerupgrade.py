"""An old worker in an upgrade: it takes a step, and takes back what a step has begun."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from wsd.processes import workerupgrade as module
from wsd.processes.conversation import NotTakenOver
from wsd.processes.workerupgrade import WorkerUpgrade


class Steps:
    """The steps of an upgrade. `hold` ends when the test says so."""

    def __init__(self) -> None:
        self.holding: Deferred[None] = Deferred()
        self.done: list[str] = []

    async def hold(self) -> None:
        self.done.append("hold begins")
        await self.holding
        self.done.append("hold ends")

    async def release(self) -> None:
        self.done.append("released")

    async def takeBack(self) -> None:
        self.done.append("taken back")


class Upgrades:
    """The upgrade of a worker, and why its new process was killed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = Steps()
        self.sentences: list[tuple[str, ...]] = []
        self.daemon: Any = SimpleNamespace()
        new = SimpleNamespace(
            kill=lambda *sentence: self.sentences.append(sentence), leave=lambda: self.steps.done.append("left")
        )
        monkeypatch.setattr(module, "Moves", lambda *_: self.steps)
        monkeypatch.setattr(module, "NewWorker", lambda *_: new)
        self.upgrade = WorkerUpgrade(self.daemon, None, None)  # type: ignore[arg-type]


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Upgrades:
    return Upgrades(monkeypatch)


def test_a_step_that_is_under_way_ends_before_it_is_taken_back(ours: Upgrades) -> None:
    """The upgrade has failed at another worker. What this step does until it notices must be taken back as well."""
    told: list[Any] = []
    ours.upgrade.step("hold").addCallback(told.append)
    done = Deferred.fromCoroutine(ours.upgrade.takeBack())
    assert len(ours.sentences) == 1, "the new process does nothing more"
    assert ours.steps.done == ["hold begins"]
    ours.steps.holding.errback(NotTakenOver("the upgrade was given up"))
    assert told == [{"refused": "the upgrade was given up"}]
    assert ours.steps.done == ["hold begins", "taken back"]
    assert done.called
    assert ours.daemon.successor is None


class TestADaemonThatStops:
    """Its parent may be dead: nobody else says what is to be done."""

    def test_ends_the_new_process_and_takes_everything_back(self, ours: Upgrades) -> None:
        ours.upgrade.step("hold")
        ours.steps.holding.callback(None)
        ours.upgrade.abort()
        assert ours.sentences == [("the daemon is stopping",)]
        assert ours.steps.done == ["hold begins", "hold ends", "taken back"]

    def test_leaves_a_new_process_alone_that_has_gone_on(self, ours: Upgrades) -> None:
        ours.upgrade.step("release")
        ours.upgrade.abort()
        assert ours.sentences == []
        assert ours.steps.done == ["released", "left"]
