"""Traces with a real daemon and a real collector of OTLP: end to end, by workers, through a reload and at the end."""

from __future__ import annotations

import gzip
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from websockets.sync.client import connect

from tests.commands import until
from tests.daemon import RunningDaemon, runningDaemon
from tests.traces.helpers import PARENT, TRACE, TRACEPARENT

SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
ONLY_AT_THE_END = {"OTEL_BSP_SCHEDULE_DELAY": "600000"}


class Received:
    """A span, as the collector has received it."""

    def __init__(self, span: Any, resource: dict[str, Any]) -> None:
        self.name: str = span.name
        self.kind: int = span.kind
        self.trace: str = span.trace_id.hex()
        self.id: str = span.span_id.hex()
        self.parent: str = span.parent_span_id.hex()
        self.attributes = _valuesOf(span.attributes)
        self.resource = resource


def _valuesOf(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


class Server:
    """An HTTP server on a thread. It notes the header fields of each request."""

    def __init__(self, answer: Callable[[str, bytes], int]) -> None:
        self.fields: list[dict[str, str]] = []
        ours = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                ours.fields.append({name.lower(): value for name, value in self.headers.items()})
                content = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                self.send_response(answer(self.path, content))
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class Collector(Server):
    """Decodes what is exported to it, as long as its `status` is 200."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.status = 200
        super().__init__(self._answer)

    def _answer(self, path: str, content: bytes) -> int:
        if path != "/v1/traces":
            return 404
        if self.status == 200:
            for group in ExportTraceServiceRequest.FromString(content).resource_spans:
                resource = _valuesOf(group.resource.attributes)
                self.spans += [Received(span, resource) for scope in group.scope_spans for span in scope.spans]
        return self.status

    def find(self, name: str, count: int = 1) -> list[Received]:
        """The spans of this name, waited for."""
        until(lambda: len([span for span in self.spans if span.name == name]) >= count, f"{count} spans {name}")
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def config(collector: Collector, *, top: str = "", traces: str = "", rest: str = "") -> str:
    return f'{top}\n[traces]\nenabled = true\nendpoint = "{collector.url}"\n{traces}\n{rest}'


@contextmanager
def running(text: str, environ: dict[str, str]) -> Iterator[RunningDaemon]:
    # A proxy of this machine is none of the daemon's.
    with runningDaemon(config=text, environ={"NO_PROXY": "127.0.0.1", **environ}) as daemon:
        yield daemon


def talk(daemon: RunningDaemon, path: str = "/echo") -> None:
    """Open a WebSocket within a trace, and close it."""
    url = f"ws://127.0.0.1:{daemon.port()}{path}"
    with connect(url, additional_headers={"traceparent": TRACEPARENT}, proxy=None) as client:
        client.send("hello")
        assert client.recv(60) == "hello"


def test_a_trace_leads_from_the_client_to_the_hook_and_to_the_collector(collector: Collector, tmp_path: Path) -> None:
    hook = Server(lambda path, content: 204)
    (tmp_path / "headers").write_text("Authorization: Bearer key\n")
    auth = f'[auth]\nmethods = ["hook"]\nhook = "{hook.url}/decide"\n'
    text = config(collector, traces=f'headers_file = "{tmp_path}/headers"\nservice_name = "doors"', rest=auth)
    with running(text, SOON) as daemon:
        talk(daemon)
        (handshake,), (call,) = collector.find("GET /echo"), collector.find("GET /decide")
        line = daemon.waitFor(r"closed: .*; trace_id (\w+)")
    hook.close()
    assert (handshake.trace, handshake.parent, call.trace, call.parent) == (TRACE, PARENT, TRACE, handshake.id)
    assert hook.fields[0]["traceparent"] == f"00-{TRACE}-{call.id}-01"
    assert line[1] == TRACE
    assert handshake.attributes["http.response.status_code"] == 101
    assert handshake.attributes["wsd.connection.id"] in line.string
    assert (handshake.resource["service.name"], "wsd.worker" in handshake.resource) == ("doors", False)
    assert collector.fields[0]["authorization"] == "Bearer key"


def test_each_worker_exports_its_own(collector: Collector) -> None:
    with running(config(collector, top="workers = 2"), SOON) as daemon:

        def both() -> bool:
            talk(daemon)
            return {span.resource["wsd.worker"] for span in collector.spans} == {0, 1}

        until(both, "spans of both workers")


def test_a_reload_switches_traces_on_and_off(collector: Collector) -> None:
    text = config(collector)
    off = text.replace("enabled = true", "enabled = false")
    with running(off, SOON) as daemon:

        def isTraced(before: int) -> bool:
            talk(daemon)
            return len(collector.spans) > before

        for isOn in (True, False, True):
            since, before = len(daemon.lines), len(collector.spans)
            (daemon.folder / "wsd.toml").write_text(text if isOn else off)
            daemon.process.send_signal(signal.SIGHUP)
            daemon.waitFor("reloaded, changed: traces.enabled", since)
            if isOn:
                # The libraries are loaded meanwhile.
                until(partial(isTraced, before), "spans")
            else:
                since = len(daemon.lines)
                talk(daemon)
                assert "trace_id" not in daemon.waitFor("closed: ", since).string


def test_a_collector_that_is_away_is_told_once_and_delays_nobody(collector: Collector) -> None:
    collector.status = 400
    with running(config(collector), SOON) as daemon:
        for _ in range(3):
            talk(daemon)
        daemon.waitFor("spans of traces are lost, because the collector at .* does not accept them: it answered 400")
        collector.status = 200
        talk(daemon)
        daemon.waitFor(r"accepts spans again; spans lost meanwhile: \d")
    assert len([line for line in daemon.lines if "spans of traces are lost" in line]) == 1
    assert not [line for line in daemon.lines if "Failed to export" in line]


def test_the_end_waits_for_the_last_spans(collector: Collector) -> None:
    with running(config(collector), ONLY_AT_THE_END) as daemon:
        talk(daemon)
        daemon.waitFor("closed: ")
        assert collector.spans == []
        assert daemon.stop() == -signal.SIGTERM
    assert [span.name for span in collector.spans] == ["GET /echo"]


def test_without_its_collector_the_end_does_not_last(collector: Collector) -> None:
    collector.close()
    with running(config(collector), ONLY_AT_THE_END) as daemon:
        talk(daemon)
        daemon.waitFor("closed: ")
        assert daemon.stop() == -signal.SIGTERM
    assert not re.search("Traceback", "\n".join(daemon.lines))
