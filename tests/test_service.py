"""The daemon in memory: what a reload keeps, replaces and stops, and a stop that comes early."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs

from wsd import protocols, service
from wsd.config import Config, ConfigError, parse
from wsd.config.reading import BUILT_IN
from wsd.connection import Factory
from wsd.frames import choose
from wsd.policies.budget import Part
from wsd.protocols.echo import EchoFactory
from wsd.service import Daemon


class Lived(EchoFactory):
    """An echo that notes its life."""

    life: list[str]
    gate: Deferred[None] | None = None
    last: Deferred[None] | None = None

    def started(self) -> Deferred[None] | None:
        self.life.append(f"started {self.options.max_repeat}")
        return self.gate

    def stopped(self) -> Deferred[None] | None:
        self.life.append(f"stopped {self.options.max_repeat}")
        return self.last


def config(repeat: int, more: str = "") -> Config:
    """One route of its own, whose factory says which it is by its `max_repeat`."""
    off = "".join(f'[route."{path}"]\nenabled = false\n' for path in BUILT_IN)
    text = f'port = 0\nhost = ["127.0.0.1"]\n{more}\n{off}[route."/lived"]\nprotocol = "echo"\nmax_repeat = {repeat}\n'
    return parse(text, protocols.optionsOf)


class Running:
    """A daemon on a reactor that is driven by hand."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()
        self.read: Callable[[], Config] = lambda: config(1)
        self.daemon = Daemon(config(1), self.reactor, lambda: self.read(), {})

    def start(self) -> Running:
        self.daemon.startService()
        self.reactor.run()
        return self

    def reload(self, repeat: int, more: str = "") -> None:
        self.read = lambda: config(repeat, more)
        self.daemon.reload()


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lived: list[str] = []
    monkeypatch.setattr(Lived, "life", lived, raising=False)
    monkeypatch.setattr(Lived, "gate", None)
    monkeypatch.setattr(Lived, "last", None)
    monkeypatch.setattr(protocols, "load", lambda name: Lived)
    return lived


@pytest.fixture
def running(life: list[str]) -> Iterator[Running]:
    handler = signal.getsignal(signal.SIGHUP)
    ours = Running()
    yield ours
    if ours.daemon.running:
        ours.daemon.stopService()
    ours.reactor.pump([0.1] * 100)
    for listener in ours.daemon.listeners:
        listener.close()
    assert signal.getsignal(signal.SIGHUP) is handler


def factoryOf(running: Running) -> Factory:
    (route,) = running.daemon.site.routes
    (factory,) = route.distinct()
    return factory


class TestAReload:
    def test_keeps_what_has_not_changed(self, running: Running, life: list[str]) -> None:
        running.start()
        before = factoryOf(running)
        for _ in range(100):
            running.reload(1)
        assert factoryOf(running) is before
        assert life == ["started 1"]

    def test_stops_what_it_replaced_when_its_last_connection_is_gone(self, running: Running, life: list[str]) -> None:
        running.start()
        before: Any = factoryOf(running)
        before.connections.add("one")
        running.reload(2)
        running.reactor.pump([1.0] * 20)
        assert life == ["started 1", "started 2"]
        before.connections.clear()
        running.reactor.pump([1.0] * 20)
        assert life == ["started 1", "started 2", "stopped 1"]

    def test_that_comes_again_and_again_leaves_one_factory(self, running: Running, life: list[str]) -> None:
        running.start()
        for number in range(2, 100):
            running.reload(number)
        running.reactor.pump([1.0] * 20)
        assert life.count("stopped 99") == 0
        assert len([line for line in life if line.startswith("stopped")]) == 98
        assert running.daemon._retired == []

    def test_that_fails_changes_nothing(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(name: str) -> Any:
            raise ConfigError("the library is gone")

        running.start()
        before = factoryOf(running)
        monkeypatch.setattr(protocols, "load", missing)
        with capturedLogs() as events:
            running.reload(2)
        assert "reload.refused" in [event.get("event") for event in events]
        assert factoryOf(running) is before
        assert running.daemon._readiness() == (True, choose("auto").name, ["/lived"], [])

    def test_sets_the_limits_of_admission_too(self, running: Running) -> None:
        running.start()
        running.reload(1, "[policies]\nmax_connections = 7\n")
        admission = running.daemon.site.admission
        assert [admission.arrive() for _ in range(8)] == [True] * 7 + [False]

    def test_sets_the_memory_for_all_too(self, running: Running) -> None:
        running.start()
        running.reload(1, '[policies]\nmax_memory = "1 KiB"\n')
        budget = factoryOf(running).budget
        account = budget.open(SimpleNamespace(relieve=lambda size: None))
        account.put(Part.unsent, 1025)
        running.reactor.advance(0)
        assert budget.relieved == 1

    def test_while_the_daemon_stops_is_nothing(self, running: Running, life: list[str]) -> None:
        running.start()
        running.daemon.stopService()
        running.reload(2)
        assert "started 2" not in life


class TestAStop:
    def test_before_the_routes_have_started_listens_to_nobody(self, running: Running, life: list[str]) -> None:
        gate: Deferred[None] = Deferred()
        Lived.gate = gate
        running.start()
        running.daemon.stopService()
        running.reactor.pump([0.1] * 100)
        with capturedLogs() as events:
            gate.callback(None)
        assert [event.get("event") for event in events] == []
        assert not running.reactor.readers
        assert life == ["started 1", "stopped 1"]

    def test_does_not_wait_for_ever_for_a_route_that_hangs(self, running: Running, life: list[str]) -> None:
        Lived.last = Deferred()
        running.start()
        stopped: list[Any] = []
        with capturedLogs() as events:
            running.daemon.stopService().addCallback(stopped.append)
            running.reactor.pump([0.1] * 50)
            assert (life, stopped) == (["started 1", "stopped 1"], [])
            running.reactor.pump([0.1] * 100)
        assert len(stopped) == 1
        assert "route.unstopped" in [event.get("event") for event in events]

    def test_half_messages_are_traffic_whose_memory_is_given_back(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[Callable[[], int]] = []

        def calm(timer: Any, transferred: Callable[[], int]) -> Any:
            seen.append(transferred)
            return SimpleNamespace(start=lambda: None)

        monkeypatch.setattr(service, "Calm", calm)
        running.start()
        factoryOf(running).budget.open(SimpleNamespace(relieve=lambda size: None)).put(Part.received, 1 << 24)
        assert seen[0]() == 1 << 24
