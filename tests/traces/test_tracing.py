"""Tracing: what switches traces on, what the configuration says, and what stays out of the way while they are off."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from tests.daemon import ROOT
from wsd.config import ConfigError, Traces, parse
from wsd.protocols import optionsOf
from wsd.traces import tracing as room
from wsd.traces.headers import readHeaders
from wsd.traces.tracing import FLUSH, ExportSettings, Tracing, settingsOf

ON = Traces(enabled=True)


class Reactor(MemoryReactorClock):
    """Notes what threads ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Callable[[], object]] = []
        self.hasAsked = threading.Event()

    def callFromThread(self, call: Callable[..., object], *arguments: object) -> None:
        self.asked.append(lambda: call(*arguments))
        self.hasAsked.set()

    def catchUp(self) -> None:
        """Do what a thread has asked for, as soon as it has."""
        assert self.hasAsked.wait(60)
        while self.asked:
            self.asked.pop(0)()


class KeptPipeline:
    """A pipeline that ends when the test says so."""

    def __init__(self) -> None:
        self.tracer = object()
        self.mayEnd = threading.Event()
        self.isClosed = threading.Event()

    def close(self) -> None:
        self.mayEnd.wait(60)
        self.isClosed.set()


class Pipelines:
    """Makes pipelines, and remembers of which settings."""

    def __init__(self) -> None:
        self.made: list[tuple[ExportSettings, KeptPipeline]] = []

    def __call__(self, settings: ExportSettings, tracing: Tracing) -> Any:
        pipeline = KeptPipeline()
        self.made.append((settings, pipeline))
        return pipeline


import_module("wsd.traces.export")


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def pipelines() -> Pipelines:
    return Pipelines()


@pytest.fixture
def tracing(reactor: Reactor, pipelines: Pipelines) -> Tracing:
    return Tracing(reactor, makePipeline=pipelines)


class TestTheSwitch:
    def test_is_off_by_default(self, tracing: Tracing, pipelines: Pipelines) -> None:
        tracing.prepare(Traces()).commit()
        assert (tracing.tracer, pipelines.made) == (None, [])

    def test_makes_nothing_before_the_change_is_committed(self, tracing: Tracing, pipelines: Pipelines) -> None:
        change = tracing.prepare(ON)
        change.abort()
        assert (tracing.tracer, pipelines.made) == (None, [])

    def test_goes_on(self, tracing: Tracing, pipelines: Pipelines) -> None:
        tracing.prepare(ON).commit()
        ((_, pipeline),) = pipelines.made
        assert tracing.tracer is pipeline.tracer

    def test_keeps_what_has_not_changed(self, tracing: Tracing, pipelines: Pipelines) -> None:
        tracing.prepare(ON).commit()
        tracing.prepare(Traces(enabled=True)).commit()
        assert len(pipelines.made) == 1

    def test_takes_up_what_has_and_closes_the_old_one_in_a_thread(self, tracing: Tracing, pipelines: Pipelines) -> None:
        tracing.prepare(ON).commit()
        tracing.prepare(Traces(enabled=True, sample=0.5)).commit()
        (_, before), (settings, after) = pipelines.made
        assert (tracing.tracer, settings.traces.sample) == (after.tracer, 0.5)
        before.mayEnd.set()
        assert before.isClosed.wait(60)

    def test_takes_up_a_changed_file(self, tracing: Tracing, pipelines: Pipelines, tmp_path: Path) -> None:
        file = tmp_path / "headers"
        file.write_text("Authorization: Bearer one")
        keys = Traces(enabled=True, headers_file=str(file))
        tracing.prepare(keys).commit()
        file.write_text("Authorization: Bearer two")
        tracing.prepare(keys).commit()
        assert [settings.headers for settings, _ in pipelines.made] == [
            (("Authorization", "Bearer one"),),
            (("Authorization", "Bearer two"),),
        ]

    def test_goes_off(self, tracing: Tracing, pipelines: Pipelines) -> None:
        tracing.prepare(ON).commit()
        tracing.prepare(Traces()).commit()
        assert tracing.tracer is None
        pipelines.made[0][1].mayEnd.set()
        assert pipelines.made[0][1].isClosed.wait(60)


class TestTheLibraries:
    """A reload that needs them for the first time does not wait until they are loaded."""

    @pytest.fixture(autouse=True)
    def notLoaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "wsd.traces.export", raising=False)

    def test_are_loaded_in_a_thread(self, tracing: Tracing, pipelines: Pipelines, reactor: Reactor) -> None:
        tracing.prepare(ON).commit()
        assert pipelines.made == []
        reactor.catchUp()
        assert tracing.tracer is pipelines.made[0][1].tracer

    def test_make_no_traces_if_another_reload_has_switched_them_off_meanwhile(
        self, tracing: Tracing, pipelines: Pipelines, reactor: Reactor
    ) -> None:
        tracing.prepare(ON).commit()
        tracing.prepare(Traces()).commit()
        reactor.catchUp()
        assert (tracing.tracer, pipelines.made) == (None, [])

    def test_are_loaded_at_once_when_the_daemon_starts(self, tracing: Tracing, pipelines: Pipelines) -> None:
        tracing.begin(ON)()
        assert len(pipelines.made) == 1


class TestTheEnd:
    def test_needs_no_time_without_traces(self, tracing: Tracing) -> None:
        assert tracing.stop().called

    def test_waits_for_the_last_spans(self, tracing: Tracing, pipelines: Pipelines, reactor: Reactor) -> None:
        tracing.prepare(ON).commit()
        done = tracing.stop()
        assert [done.called, tracing.tracer] == [False, None]
        pipelines.made[0][1].mayEnd.set()
        reactor.catchUp()
        assert done.called

    def test_does_not_wait_for_a_collector_that_is_away(
        self, tracing: Tracing, pipelines: Pipelines, reactor: Reactor
    ) -> None:
        tracing.prepare(ON).commit()
        done = tracing.stop()
        called = []
        for seconds in (FLUSH - 0.1, 0.2):
            reactor.advance(seconds)
            called.append(done.called)
        assert called == [False, True]
        pipelines.made[0][1].mayEnd.set()
        reactor.catchUp()


class TestSettings:
    @pytest.mark.parametrize("isParent", [False, True], ids=["the library", "what it is a part of"])
    def test_without_the_library_there_is_a_sentence(self, monkeypatch: pytest.MonkeyPatch, isParent: bool) -> None:
        def find(name: str) -> None:
            if isParent:
                raise ModuleNotFoundError(name="opentelemetry")

        monkeypatch.setattr(room, "find_spec", find)
        with pytest.raises(ConfigError) as caught:
            settingsOf(ON)
        assert str(caught.value) == (
            "traces.enabled: traces need the library opentelemetry.sdk.trace; install it with: "
            'pip install "txwsd[otel]"'
        )
        assert settingsOf(Traces()) is None

    def test_the_standard_variable_switches_everything_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
        assert settingsOf(ON) is None

    @pytest.mark.parametrize(
        ("endpoint", "environ", "shown"),
        [
            (None, {}, "http://localhost:4318"),
            (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:password@c:1"}, "http://c:1"),
            (
                None,
                {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://d:2/v1/t"},
                "http://d:2/v1/t",
            ),
            ("http://e:3/v1/traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1"}, "http://e:3/v1/traces"),
        ],
    )
    def test_the_log_names_the_collector(
        self, monkeypatch: pytest.MonkeyPatch, endpoint: str | None, environ: dict[str, str], shown: str
    ) -> None:
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        assert ExportSettings(Traces(endpoint=endpoint), ()).collector == shown


class TestTheKeys:
    @staticmethod
    def read(*lines: str) -> Traces:
        return parse("\n".join(("[traces]", *lines)), optionsOf).traces

    def test_have_defaults(self) -> None:
        assert self.read() == Traces()

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://collector.example/", "https://collector.example/v1/traces"),
            ("https://collector.example/otlp/v1/traces", "https://collector.example/otlp/v1/traces"),
        ],
    )
    def test_an_endpoint_without_a_path_gets_the_standard_one(self, written: str, meant: str) -> None:
        assert self.read(f'endpoint = "{written}"').endpoint == meant

    @pytest.mark.parametrize(
        "url", ["localhost:4318", "grpc://a", "http://", "http://u:p@a", "http://a b", "http://a:x"]
    )
    def test_what_is_no_url_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigError) as caught:
            self.read(f'endpoint = "{url}"')
        assert str(caught.value) == (
            f'traces.endpoint: "{url}" is not the URL of a collector; write one such as "http://127.0.0.1:4318", with '
            "credentials in headers_file"
        )

    def test_a_sample_is_a_share(self) -> None:
        assert self.read("sample = 0.25").sample == 0.25
        with pytest.raises(ConfigError, match="too large"):
            self.read("sample = 2")


class TestTheFileOfHeaders:
    def test_has_a_field_on_each_line(self, tmp_path: Path) -> None:
        file = tmp_path / "headers"
        file.write_text("# a token\n\nAuthorization: Bearer abc def\nX-Scope-OrgID:1\n")
        assert readHeaders(str(file)) == {"Authorization": "Bearer abc def", "X-Scope-OrgID": "1"}

    @pytest.mark.parametrize("line", ["secret", "Authorization:", "A B: secret", "Name: secr\x01et", "Name: sécret"])
    def test_what_is_no_field_is_refused_without_repeating_it(self, tmp_path: Path, line: str) -> None:
        file = tmp_path / "headers"
        file.write_text(f"# first\n{line}\n", encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            readHeaders(str(file))
        assert str(caught.value) == (f"traces.headers_file: line 2 of {file} is not a header field; write Name: value")

    def test_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"cannot be read: No such file or directory; name a file that wsd can"):
            readHeaders(str(tmp_path / "none"))
        (tmp_path / "bytes").write_bytes(b"\xff")
        with pytest.raises(ConfigError, match="is not UTF-8; write Name: value"):
            readHeaders(str(tmp_path / "bytes"))


def test_a_daemon_without_traces_loads_nothing_of_opentelemetry() -> None:
    program = (
        "import sys\n"
        "import wsd.service, wsd.processes, wsd.web.door, wsd.protocols.soap.protocol, wsd.protocols.xmpp.protocol\n"
        "from wsd.config import Traces\n"
        "from wsd.traces.tracing import Tracing\n"
        "Tracing().prepare(Traces()).commit()\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('opentelemetry', 'requests')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "[]\n"
