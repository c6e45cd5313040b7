"""The spans of opening handshakes and HTTP requests: what begins and ends them, and what they say."""

from __future__ import annotations

import re
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from tests.every import EveryFactory
from tests.logs.test_lines import jsonOf, written
from tests.traces.helpers import (
    PARENT,
    TRACE,
    TRACEPARENT,
    UNSAMPLED,
    KeptTraces,
    attributesOf,
    lose,
    parentOf,
    traceOf,
)
from tests.web.test_door import get, upgrade
from tests.wire import Daemon
from wsd.config import Config
from wsd.connection import Accept, Connection, Factory, Request
from wsd.protocols.describe import DescribeFactory
from wsd.protocols.echo import EchoFactory

BEHIND = Config(trusted_proxies=("127.0.0.1", "::1"))


class _Deciding(Connection):
    factory: DecidingFactory

    async def opening(self, request: Request) -> Accept:
        self.factory.spans.append(request.span)
        await self.factory.decision
        return Accept()


class DecidingFactory(Factory):
    """Opens when the test says so."""

    connection = _Deciding

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.decision: Deferred[None] = Deferred()
        self.spans: list[Any] = []


class _Failing(Resource):
    isLeaf = True

    def render_GET(self, request: Any) -> Any:
        if b"late" in request.uri:
            return NOT_DONE_YET
        raise RuntimeError("secret")


class FailingFactory(Factory):
    def resource(self) -> Any:
        return _Failing()


ROUTES: dict[str, type[Factory]] = {
    "/echo": EchoFactory,
    "/describe": DescribeFactory,
    "/deep/*": EchoFactory,
    "/every": EveryFactory,
    "/deciding": DecidingFactory,
    "/failing": FailingFactory,
}


@pytest.fixture
def kept() -> KeptTraces:
    return KeptTraces()


@pytest.fixture
def daemon(kept: KeptTraces) -> Daemon:
    return Daemon(ROUTES, tracing=kept.tracing)


class TestAnOpeningHandshake:
    def test_is_a_span_of_a_server_by_the_semantic_conventions(self, daemon: Daemon, kept: KeptTraces) -> None:
        daemon.connect().exchange(upgrade(b"/deep/x?size=7"))
        span = kept.only()
        (connection,) = daemon.connections
        assert (span.name, span.kind, span.status.status_code) == ("GET /deep/*", SpanKind.SERVER, StatusCode.UNSET)
        assert attributesOf(span) == {
            "http.request.method": "GET",
            "url.path": "/deep/x",
            "url.scheme": "http",
            "network.protocol.name": "websocket",
            "server.address": "localhost",
            "server.port": 9998,
            "client.address": "127.0.0.1",
            "http.route": "/deep/*",
            "http.response.status_code": 101,
            "wsd.connection.id": connection.id,
        }

    def test_ends_when_the_protocol_has_decided(self, daemon: Daemon, kept: KeptTraces) -> None:
        daemon.connect().exchange(upgrade(b"/deciding"))
        assert kept.spans == []
        daemon.factories["/deciding"].decision.callback(None)
        assert attributesOf(kept.only())["http.response.status_code"] == 101

    def test_belongs_to_the_trace_of_its_traceparent(self, daemon: Daemon, kept: KeptTraces) -> None:
        daemon.connect().exchange(upgrade(b"/echo", f"traceparent: {TRACEPARENT}".encode(), b"tracestate: a=b,c=d"))
        span = kept.only()
        assert (traceOf(span), parentOf(span)) == (TRACE, PARENT)
        assert span.context is not None
        assert span.context.trace_state.to_header() == "a=b,c=d"

    @pytest.mark.parametrize(
        "value",
        [
            f"ff-{TRACE}-{PARENT}-01",
            f"00-{'0' * 32}-{PARENT}-01",
            f"00-{TRACE}-{'0' * 16}-01",
            f"00-{TRACE.upper()}-{PARENT}-01",
            f"00-{TRACE}-{PARENT}-01-more",
            f"00-{TRACE}-{PARENT}",
            "x" * 5000,
            "",
        ],
    )
    def test_begins_a_trace_if_the_traceparent_is_invalid(self, daemon: Daemon, kept: KeptTraces, value: str) -> None:
        assert (
            daemon.connect().exchange(upgrade(b"/echo", f"traceparent: {value}".encode())).startswith(b"HTTP/1.1 101")
        )
        assert (traceOf(kept.only()) != TRACE, kept.only().parent) == (True, None)

    def test_does_so_if_there_are_two(self, daemon: Daemon, kept: KeptTraces) -> None:
        line = f"traceparent: {TRACEPARENT}".encode()
        daemon.connect().exchange(upgrade(b"/echo", line, line))
        assert kept.only().parent is None

    def test_ignores_a_tracestate_without_a_traceparent_and_an_invalid_one(
        self, daemon: Daemon, kept: KeptTraces
    ) -> None:
        daemon.connect().exchange(upgrade(b"/echo", b"tracestate: a=b"))
        daemon.connect().exchange(upgrade(b"/echo", f"traceparent: {TRACEPARENT}".encode(), b"tracestate: \xff=,,="))
        states = [span.context.trace_state.to_header() for span in kept.spans if span.context is not None]
        assert states == ["", ""]
        assert traceOf(kept.spans[1]) == TRACE

    def test_is_not_exported_if_its_caller_has_not_sampled_it(self, daemon: Daemon, kept: KeptTraces) -> None:
        answer = daemon.connect().exchange(upgrade(b"/echo", f"traceparent: {UNSAMPLED}".encode()))
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert kept.spans == []

    def test_that_a_protocol_refuses_has_its_status_and_is_no_error_of_ours(
        self, daemon: Daemon, kept: KeptTraces
    ) -> None:
        answer = daemon.connect().exchange(upgrade(b"/every?wish=refuse"))
        span = kept.only()
        assert attributesOf(span)["http.response.status_code"] == 402
        assert "error.type" not in attributesOf(span)
        assert span.status.status_code is StatusCode.UNSET
        assert f"X-Request-Id: {attributesOf(span)['wsd.connection.id']}".encode() in answer

    @pytest.mark.parametrize(
        ("head", "status", "route"),
        [
            (upgrade(b"/nowhere"), 404, None),
            (upgrade(b"/echo", b"Origin: http://elsewhere.example"), 403, "/echo"),
            (upgrade(b"/echo", b"Sec-WebSocket-Version: 12"), 426, "/echo"),
        ],
    )
    def test_that_the_door_refuses_has_its_status(
        self, daemon: Daemon, kept: KeptTraces, head: bytes, status: int, route: str | None
    ) -> None:
        answer = daemon.connect().exchange(head)
        found = attributesOf(kept.only())
        assert (found["http.response.status_code"], found.get("http.route")) == (status, route)
        assert f"X-Request-Id: {found['wsd.connection.id']}".encode() in answer

    def test_whose_client_leaves_is_an_error(self, daemon: Daemon, kept: KeptTraces) -> None:
        wire = daemon.connect()
        wire.exchange(upgrade(b"/deciding"))
        wire.close()
        span = kept.only()
        assert attributesOf(span)["error.type"] == "client_left"
        assert span.status.status_code is StatusCode.ERROR

    def test_that_fails_is_one_too(self, daemon: Daemon, kept: KeptTraces) -> None:
        daemon.connect().exchange(upgrade(b"/deciding"))
        daemon.factories["/deciding"].decision.errback(RuntimeError("secret"))
        span = kept.only()
        assert (attributesOf(span)["http.response.status_code"], attributesOf(span)["error.type"]) == (500, "500")
        assert "secret" not in span.to_json()

    def test_that_gives_its_stream_away_has_no_status(self, daemon: Daemon, kept: KeptTraces) -> None:
        daemon.connect().exchange(upgrade(b"/every?wish=raw"))
        assert "http.response.status_code" not in attributesOf(kept.only())

    def test_tells_the_true_address_and_that_of_the_proxy(self, kept: KeptTraces) -> None:
        daemon = Daemon(ROUTES, config=BEHIND, tracing=kept.tracing)
        fields = (b"X-Forwarded-For: 192.0.2.7", b"X-Forwarded-Proto: https")
        daemon.connect().exchange(upgrade(b"/echo", *fields, host=b"[::1]"))
        found = attributesOf(kept.only())
        assert (found["client.address"], found["network.peer.address"]) == ("192.0.2.7", "127.0.0.1")
        assert (found["url.scheme"], found["server.address"], found["server.port"]) == ("https", "::1", 443)

    def test_is_the_callers_for_the_protocol(self, daemon: Daemon) -> None:
        daemon.connect().exchange(upgrade(b"/deciding", f"traceparent: {TRACEPARENT}".encode()))
        (span,) = daemon.factories["/deciding"].spans
        ((name, value),) = span.passOn()
        assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", value)
        assert (name, span.traceId) == ("traceparent", TRACE)


class TestAnHttpRequest:
    def test_is_a_span_of_a_server(self, daemon: Daemon, kept: KeptTraces) -> None:
        daemon.connect().exchange(get(b"/describe?secret", f"traceparent: {TRACEPARENT}".encode()))
        span = kept.only()
        found = attributesOf(span)
        assert (span.name, span.kind, traceOf(span)) == ("GET /describe", SpanKind.SERVER, TRACE)
        assert re.fullmatch("[0-9a-f]{10}", found["wsd.connection.id"])
        assert (found["network.protocol.name"], found["network.protocol.version"]) == ("http", "1.1")
        assert (found["http.route"], found["http.response.status_code"]) == ("/describe", 200)
        assert "secret" not in span.to_json()

    def test_of_one_connection_each_has_its_own(self, daemon: Daemon, kept: KeptTraces) -> None:
        wire = daemon.connect()
        wire.exchange(get(b"/describe") + get(b"/nowhere"))
        assert [attributesOf(span)["http.response.status_code"] for span in kept.spans] == [200, 404]
        assert [span.name for span in kept.spans] == ["GET /describe", "GET"]

    def test_that_fails_is_an_error_without_what_is_secret(self, daemon: Daemon, kept: KeptTraces) -> None:
        daemon.connect().exchange(get(b"/failing"))
        span = kept.only()
        assert (attributesOf(span)["error.type"], span.status.status_code) == ("500", StatusCode.ERROR)
        assert "secret" not in span.to_json()

    def test_whose_client_leaves_is_one_too(self, daemon: Daemon, kept: KeptTraces) -> None:
        wire = daemon.connect()
        wire.exchange(get(b"/failing?late"))
        lose(wire)
        assert attributesOf(kept.only())["error.type"] == "client_left"

    def test_whose_body_is_malformed_has_the_status_of_its_refusal(self, daemon: Daemon, kept: KeptTraces) -> None:
        body = b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n"
        daemon.connect().exchange(get(b"/every", method=b"POST")[:-2] + body)
        assert attributesOf(kept.only())["http.response.status_code"] in (400, 405, 426)

    def test_with_a_method_that_nobody_knows_does_not_name_the_span(self, daemon: Daemon, kept: KeptTraces) -> None:
        daemon.connect().exchange(get(b"/describe", method=b"BREW"))
        span = kept.only()
        assert span.name == "HTTP /describe"
        assert attributesOf(span)["http.request.method"] == "_OTHER"
        assert attributesOf(span)["http.request.method_original"] == "BREW"

    @pytest.mark.parametrize("path", [b"/healthz", b"/readyz", b"/metrics"])
    def test_of_a_probe_has_none(self, daemon: Daemon, kept: KeptTraces, path: bytes) -> None:
        daemon.connect().exchange(get(path))
        assert kept.spans == []


class TestTheLog:
    def test_names_the_trace_in_each_line_of_a_connection(self, daemon: Daemon, kept: KeptTraces) -> None:
        with written("json") as text:
            daemon.open("/echo").close()
        opened, closed = jsonOf(text())
        assert opened["trace_id"] == closed["trace_id"] == traceOf(kept.only())

    def test_names_it_in_the_text_before_the_reason_of_the_client(self, daemon: Daemon, kept: KeptTraces) -> None:
        with written("text") as text:
            daemon.open("/echo").close(4000, "enough; trace_id forged")
        assert f"; trace_id {traceOf(kept.only())}; reason: enough" in text()

    def test_names_it_in_the_line_of_a_request_and_of_a_refusal(self, daemon: Daemon, kept: KeptTraces) -> None:
        with written("text") as text:
            daemon.connect().exchange(get(b"/describe"))
            daemon.connect().exchange(get(b"/nowhere"))
            daemon.connect().exchange(upgrade(b"/nowhere"))
        lines = text().splitlines()
        assert [line.partition("; trace_id ")[2] for line in lines] == [traceOf(span) for span in kept.spans]

    def test_does_not_name_a_trace_that_nobody_has(self) -> None:
        daemon = Daemon(ROUTES, tracing=KeptTraces(ALWAYS_OFF).tracing)
        with written("json") as text:
            daemon.open("/echo").close()
            daemon.connect().exchange(get(b"/describe"))
        assert "trace_id" not in text()

    def test_does_not_without_traces(self) -> None:
        with written("json") as text:
            Daemon(ROUTES).open("/echo", headers={"traceparent": TRACEPARENT}).close()
        assert "trace_id" not in text()
