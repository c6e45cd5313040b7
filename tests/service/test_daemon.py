"""The daemon in memory: what a reload keeps, replaces and stops, and a stop that comes early."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent

from tests.wire import Wire
from wsd import protocols
from wsd.config import Config, ConfigError, parse
from wsd.config.routes import BUILT_IN
from wsd.connection import CannotStart, Factory
from wsd.frames import choose
from wsd.policies.budget import MemoryUse
from wsd.protocols.echo import EchoFactory
from wsd.service import Daemon
from wsd.web.probes import Readiness


class Lived(EchoFactory):
    """An echo that notes its life."""

    life: list[str]
    gate: Deferred[None] | None = None
    last: Deferred[None] | None = None
    fault: Exception | None = None

    def started(self) -> Deferred[None] | None:
        self.life.append(f"started {self.options.max_repeat}")
        if self.fault is not None:
            raise self.fault
        return self.gate

    def stopped(self) -> Deferred[None] | None:
        self.life.append(f"stopped {self.options.max_repeat}")
        return self.last


def config(repeat: int, more: str = "", isLived: bool = True) -> Config:
    """One route of its own, whose factory says which it is by its `max_repeat`."""
    off = "".join(f'[route."{path}"]\nenabled = false\n' for path in BUILT_IN)
    lived = f'[route."/lived"]\nprotocol = "echo"\nmax_repeat = {repeat}\n' if isLived else ""
    return parse(f'port = 0\nhost = ["127.0.0.1"]\n{more}\n{off}{lived}', protocols.optionsOf)


UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


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

    def restart(self, read: Callable[[], Config]) -> None:
        """Start with another configuration, instead of the first one."""
        for listener in self.daemon.listening.listeners:
            listener.close()
        self.read = read
        self.daemon = Daemon(read(), self.reactor, lambda: self.read(), {})
        self.start()

    def reload(self, repeat: int, more: str = "") -> None:
        self.read = lambda: config(repeat, more)
        self.daemon.reload()

    def ask(self, path: str, *fields: str) -> str:
        """The answer to a request of this machine's."""
        head = "".join(f"{line}\r\n" for line in (f"GET {path} HTTP/1.1", "Host: localhost", *fields, ""))
        return Wire(self.daemon).exchange(head.encode()).decode()  # type: ignore[arg-type]

    def upgrade(self, path: str) -> str:
        """The answer to an opening handshake."""
        return self.ask(path, *UPGRADE)

    def ready(self) -> dict[str, Any]:
        """What /readyz says, and its status."""
        head, _, body = self.ask("/readyz").partition("\r\n\r\n")
        return {"status": int(head.split()[1]), **json.loads(body)}


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lived: list[str] = []
    monkeypatch.setattr(Lived, "life", lived, raising=False)
    monkeypatch.setattr(Lived, "gate", None)
    monkeypatch.setattr(Lived, "last", None)
    monkeypatch.setattr(Lived, "fault", None)
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
    for listener in ours.daemon.listening.listeners:
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
        assert running.daemon.routes.retired == []

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
        assert running.daemon.readiness() == Readiness(True, choose("auto").name, ["/lived"], [], [])

    def test_whose_state_another_daemon_has_makes_nobody_meet_what_will_never_start(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def another(paths: object) -> None:
            raise ConfigError("another daemon has it")

        met: list[Factory] = []
        monkeypatch.setattr(Lived, "meet", lambda factory, others: met.append(factory))
        running.start()
        monkeypatch.setattr(running.daemon, "locks", SimpleNamespace(take=another, sign=int, close=int, notices=()))
        running.reload(2)
        assert met == []
        monkeypatch.setattr(running.daemon, "locks", None)
        running.reload(3)
        assert met == [factoryOf(running)]

    def test_sets_the_limits_of_admission_too(self, running: Running) -> None:
        running.start()
        running.reload(1, "[policies]\nmax_connections = 7\n")
        admission = running.daemon.site.admission
        assert [admission.arrive() for _ in range(8)] == [True] * 7 + [False]

    def test_sets_the_memory_for_all_too(self, running: Running) -> None:
        running.start()
        running.reload(1, '[policies]\nmemory_max = "1 KiB"\n')
        budget = factoryOf(running).budget
        freed: list[int] = []
        account = budget.openShared(SimpleNamespace(relieve=freed.append))
        account.put(MemoryUse.sending, 1025)
        running.reactor.advance(0)
        assert freed == [1025]

    def test_while_the_daemon_stops_is_nothing(self, running: Running, life: list[str]) -> None:
        running.start()
        running.daemon.stopService()
        running.reload(2)
        assert "started 2" not in life


BROKEN = {
    "a syntax error": ("def broken(:\n", "SyntaxError"),
    "exit": ("raise SystemExit(3)\n", "SystemExit|calls exit"),
    "sys.exit": ("import sys\nsys.exit()\n", "SystemExit|calls exit"),
    "an error": ("1 / 0\n", "ZeroDivisionError: division by zero"),
    "an import": ("import nowhere_at_all\n", "No module named 'nowhere_at_all'"),
    "an interrupt": ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
}
"""What a module does while it is loaded, and what is said of it."""


@pytest.mark.parametrize(("text", "sentence"), BROKEN.values(), ids=BROKEN)
class TestAReloadThatLoadsABrokenModule:
    """The old configuration serves on, the log has one line, and systemd hears that we are ready again."""

    OFF = "".join(f'[route."{path}"]\nenabled = false\n' for path in BUILT_IN if path != "/echo")
    SERVICE = '[route."/soap2"]\nprotocol = "soap"\nservice = "wsd_test_broken"\n'
    HANDLERS = '[route."/*"]\nprotocol = "pywebsocket"\nhandlers = "{folder}"\nhandlers_strict = true\n'

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
        for name in ("wsd_test_broken.py", "broken_wsh.py"):
            (tmp_path / name).write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        return tmp_path

    @pytest.mark.parametrize("route", [SERVICE, HANDLERS], ids=["a service", "a handler"])
    def test_changes_nothing(self, monkeypatch: pytest.MonkeyPatch, folder: Path, route: str, sentence: str) -> None:
        def read(more: str = "") -> Config:
            return parse(f'port = 0\nhost = "127.0.0.1"\n{self.OFF}{more}', protocols.optionsOf)

        wanted = [read()]
        daemon = Daemon(wanted[0], MemoryReactorClock(), lambda: wanted[0], {})
        told: list[tuple[str, ...]] = []
        monkeypatch.setattr(daemon.systemd, "notify", lambda *words: told.append(words))
        daemon.startService()
        try:
            daemon.reactor.run()
            served = list(daemon.site.routes)
            del told[:]
            wanted[0] = read(route.format(folder=folder))
            with capturedLogs() as events:
                daemon.reload()
            (line,) = [formatEvent(event) for event in events]
            assert line is not None
            assert line.startswith("not reloaded, the old configuration stays in use: ")
            assert re.search(sentence, line)
            assert [words[0] for words in told] == ["RELOADING=1", "READY=1"]
            assert told[1][1].startswith("not reloaded: ")
            assert daemon.site.routes == served
            assert daemon.readiness()[0]
        finally:
            daemon.stopService()
            daemon.reactor.pump([0.1] * 100)


FAULTS = {
    "the file is named": (
        CannotStart("it is damaged", "/srv/store"),
        "/srv/store: it is damaged",
        "/lived: it could not be started: it is damaged",
    ),
    "an error of the system": (
        PermissionError(13, "Permission denied", "/srv/store"),
        "/srv/store: Permission denied",
        "/lived: it could not be started: Permission denied",
    ),
    "a configuration that is wrong": (
        ConfigError("upstream_ca: /srv/ca.pem cannot be read"),
        "upstream_ca: /srv/ca.pem cannot be read",
        "/lived: it could not be started: its configuration is invalid",
    ),
    "anything": (
        RuntimeError("no luck"),
        "RuntimeError: no luck",
        "/lived: it could not be started: RuntimeError: no luck",
    ),
}
"""What a start raises, what the log says of it, and what /readyz says."""


@pytest.mark.parametrize(("fault", "logged", "told"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("isLate", [False, True], ids=["at once", "by its Deferred"])
@pytest.mark.parametrize("isReload", [False, True], ids=["at the start", "at a reload"])
class TestARouteThatCannotStart:
    """It answers 503, and everything else serves."""

    OTHER = '[route."/other"]\nprotocol = "echo"\nmax_delay = 1\n'

    @pytest.fixture(autouse=True)
    def started(
        self, running: Running, monkeypatch: pytest.MonkeyPatch, fault: Exception, isLate: bool, isReload: bool
    ) -> Iterator[Sequence[Any]]:
        """The daemon with one route that starts and one that does not; the events of that start."""
        started, gate = Lived.started, Deferred[None]()

        def fails(factory: Lived) -> Deferred[None] | None:
            if factory.route.path == "/other":
                return None
            if isLate:
                return gate
            raise fault

        if isReload:
            running.restart(lambda: config(1, self.OTHER, isLived=False))
            monkeypatch.setattr(Lived, "started", fails)
            with capturedLogs() as events:
                running.reload(2, self.OTHER)
                if isLate:
                    gate.errback(fault)
        else:
            monkeypatch.setattr(Lived, "started", fails)
            with capturedLogs() as events:
                running.restart(lambda: config(1, self.OTHER))
                if isLate:
                    gate.errback(fault)
        yield events
        monkeypatch.setattr(Lived, "started", started)

    def test_it_answers_503_over_http_and_on_the_upgrade(self, running: Running, logged: str, told: str) -> None:
        for answer in (running.ask("/lived"), running.upgrade("/lived")):
            assert answer.startswith("HTTP/1.1 503 ")
            assert answer.endswith("this route could not be started; see the server's log\n")

    def test_the_others_serve(self, running: Running, logged: str, told: str) -> None:
        assert running.upgrade("/other").startswith("HTTP/1.1 101 ")

    def test_the_log_has_one_line_with_the_cause(
        self, running: Running, started: Sequence[Any], logged: str, told: str
    ) -> None:
        (line,) = [formatEvent(event) for event in started if event.get("event") == "route.unusable"]
        assert line == f"/lived could not be started and answers 503; all other routes work: {logged}"

    def test_readiness_says_which_and_why(self, running: Running, logged: str, told: str) -> None:
        ready = running.ready()
        assert (ready["status"], ready["reasons"]) == (503, [told])

    def test_a_reload_tries_again(
        self, running: Running, monkeypatch: pytest.MonkeyPatch, logged: str, told: str
    ) -> None:
        monkeypatch.setattr(Lived, "started", lambda factory: None)
        running.daemon.reload()
        assert running.ready()["status"] == 200
        assert running.upgrade("/lived").startswith("HTTP/1.1 101 ")


class TestBuiltInRoutes:
    """Whoever lets other machines in is told of each that nobody asked for."""

    HOST = 'port = 0\nhost = "0.0.0.0"\n'
    BUILT_IN = "/ /echo /ws /describe /blob /canvas/* /topics/* /yjs/* /xmpp /xmpp-websocket /soap".split()

    def warned(self, *texts: str) -> list[str]:
        """The routes that a start under the first of these, and reloads under the others, warn of."""
        configs = [parse(text, protocols.optionsOf) for text in texts]
        current = iter(configs)
        daemon = Daemon(next(current), MemoryReactorClock(), lambda: next(current), {})
        for route in daemon.routes.factories:
            route.started = lambda: None  # type: ignore[method-assign]
            route.stopped = lambda: None  # type: ignore[method-assign]
        with capturedLogs() as events:
            daemon.startService()
            try:
                daemon.reactor.run()
                for _ in configs[1:]:
                    daemon.reload()
            finally:
                daemon.stopService()
                daemon.reactor.pump([0.1] * 100)
        return [event["route"] for event in events if event.get("event") == "route.exposed"]

    def test_a_wider_listener_warns_of_each(self) -> None:
        assert self.warned(self.HOST) == self.BUILT_IN

    def test_one_that_is_configured_is_meant(self) -> None:
        text = f'{self.HOST}[route."/echo"]\norigins = "https://example.com"\n[route."/blob"]\nenabled = false\n'
        assert self.warned(text) == [path for path in self.BUILT_IN if path not in ("/echo", "/blob")]

    def test_this_machine_alone_is_not_warned_of(self) -> None:
        assert self.warned('port = 0\nhost = "127.0.0.1"\n') == []

    def test_without_them_nothing_is_warned_of(self) -> None:
        assert self.warned(f'{self.HOST}built_in = false\n[route."/blob"]') == []

    def test_a_reload_that_brings_some_warns_of_those(self) -> None:
        text = "".join(f'[route."{path}"]\nenabled = false\n' for path in self.BUILT_IN if path != "/echo")
        assert self.warned(f"{self.HOST}built_in = false\n", f"{self.HOST}{text}") == ["/echo"]
        assert self.warned(f"{self.HOST}{text}", f"{self.HOST}{text}") == ["/echo"]


def test_a_route_that_a_reload_brings_answers_503_until_it_has_started(running: Running, life: list[str]) -> None:
    running.restart(lambda: config(1, isLived=False))
    gate: Deferred[None] = Deferred()
    Lived.gate = gate
    running.reload(2)
    answer = running.upgrade("/lived")
    assert answer.startswith("HTTP/1.1 503 ")
    assert "Retry-After: 1\r\n" in answer
    assert running.ready()["reasons"] == ["/lived: it is starting"]
    gate.callback(None)
    assert running.ready()["status"] == 200
    assert running.upgrade("/lived").startswith("HTTP/1.1 101 ")


class TestARouteThatAReloadChanges:
    """The old one serves until the new one has started."""

    @pytest.fixture
    def gate(self, running: Running) -> Deferred[None]:
        """What the start of the new one waits for."""
        running.start()
        Lived.gate = Deferred()
        return Lived.gate

    def test_serves_as_before_until_the_new_one_has_started(
        self, running: Running, life: list[str], gate: Deferred[None]
    ) -> None:
        before = factoryOf(running)
        running.reload(2)
        assert (factoryOf(running), running.ready()["status"]) == (before, 200)
        gate.callback(None)
        after: Any = factoryOf(running)
        assert (after is before, after.options.max_repeat) == (False, 2)
        running.reactor.pump([1.0] * 20)
        assert life == ["started 1", "started 2", "stopped 1"]

    def test_serves_on_if_the_new_one_cannot_start_and_says_so(
        self, running: Running, life: list[str], gate: Deferred[None]
    ) -> None:
        before = factoryOf(running)
        with capturedLogs() as events:
            running.reload(2)
            gate.errback(CannotStart("it is damaged", "/srv/store"))
        assert factoryOf(running) is before
        assert running.upgrade("/lived").startswith("HTTP/1.1 101 ")
        ready = running.ready()
        told = "/lived: the reloaded route serves as before: it could not be started: it is damaged"
        assert (ready["status"], ready["reasons"], ready["warnings"]) == (200, [], [told])
        (line,) = [formatEvent(event) for event in events if event.get("event") == "route.unusable"]
        assert line == "/lived could not be started after the reload and serves as before: /srv/store: it is damaged"
        running.reactor.pump([1.0] * 20)
        assert life == ["started 1", "started 2", "stopped 2"]

    def test_is_tried_again_by_the_next_reload(self, running: Running, gate: Deferred[None]) -> None:
        running.reload(2)
        gate.errback(CannotStart("it is damaged", "/srv/store"))
        Lived.gate = None
        running.daemon.reload()
        after: Any = factoryOf(running)
        assert after.options.max_repeat == 2
        assert running.ready()["warnings"] == []

    def test_is_as_it_was_after_a_reload_back_to_it(
        self, running: Running, life: list[str], gate: Deferred[None]
    ) -> None:
        before = factoryOf(running)
        running.reload(2)
        running.reload(1)
        gate.callback(None)
        running.reactor.pump([1.0] * 20)
        assert factoryOf(running) is before
        assert running.ready()["warnings"] == []
        assert life == ["started 1", "started 2", "stopped 2"]

    def test_is_started_once_whatever_else_is_reloaded_meanwhile(
        self, running: Running, life: list[str], gate: Deferred[None]
    ) -> None:
        running.reload(2)
        running.reload(2, "drain = 3")
        gate.callback(None)
        after: Any = factoryOf(running)
        assert after.options.max_repeat == 2
        assert life == ["started 1", "started 2"]


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

        monkeypatch.setattr("wsd.service.daemon.HeapTrimmer", calm)
        running.start()
        factoryOf(running).budget.openShared(SimpleNamespace(relieve=lambda size: None)).put(
            MemoryUse.assembling, 1 << 24
        )
        assert seen[0]() == 1 << 24
