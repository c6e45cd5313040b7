"""The spans of calls to other services: hooks, the gateways of SOAP and XMPP, and Redis; they pass the trace on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError as NotThere
from twisted.web.http_headers import Headers

from tests.agent import Response
from tests.protocols.xmpp.gateway.harness import ERROR, HEAD, Harness
from tests.protocols.xmpp.talk import OPEN
from tests.traces.helpers import (
    PARENT,
    TRACE,
    TRACEPARENT,
    UNSAMPLED,
    KeptTraces,
    attributesOf,
    idOf,
    lose,
    parentOf,
    traceOf,
)
from tests.web.test_door import get, upgrade
from tests.wire import Daemon
from wsd.auth import hook
from wsd.config.auth import Auth
from wsd.protocols.describe import DescribeFactory
from wsd.protocols.echo import EchoFactory
from wsd.protocols.soap import gateway
from wsd.protocols.soap.options import SoapOptions
from wsd.protocols.soap.protocol import SoapFactory
from wsd.protocols.topics.backend import Bounds
from wsd.protocols.topics.publication import TopicMessage
from wsd.protocols.topics.redis.address import readAddress
from wsd.protocols.topics.redis.backend import RedisBackend
from wsd.protocols.topics.redis.link import LinkLost
from wsd.protocols.topics.topic import Retention

CALLER = f"traceparent: {TRACEPARENT}".encode()

ENVELOPE = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><a xmlns="urn:a"/></s:Body></s:Envelope>'
)


def answerOf(code: int, body: bytes = b"", contentType: str = "application/soap+xml") -> Response:
    return Response(code, {"Content-Type": [contentType], "X-User": ["ann"]}, body)


class Service:
    """A service, in the place of Twisted's client."""

    def __init__(self) -> None:
        self.answer: Deferred[Any] = succeed(answerOf(204))
        self.asked: list[Headers] = []

    def request(self, method: bytes, url: bytes, fields: Headers, body: object) -> Deferred[Any]:
        self.asked.append(fields)
        return self.answer

    def sent(self, name: str) -> str | None:
        """A field of the last request."""
        values = self.asked[-1].getRawHeaders(name)
        return None if values is None else ", ".join(values)


@pytest.fixture
def kept() -> KeptTraces:
    return KeptTraces()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    service = Service()
    for module in (hook, gateway):
        monkeypatch.setattr(module, "Agent", lambda *_, **__: service)
        monkeypatch.setattr(module, "HTTPConnectionPool", lambda _: type("Pool", (), {})())
    return service


def hooked(kept: KeptTraces | None, **auth: Any) -> Daemon:
    keys = {"methods": ("hook",), "hook": "http://127.0.0.1:8080/auth?key=hidden", **auth}
    routes = {"/echo": EchoFactory, "/describe": DescribeFactory}
    return Daemon(routes, auth=Auth(**keys), tracing=None if kept is None else kept.tracing)


class TestAHook:
    def test_is_a_child_of_the_handshake(self, kept: KeptTraces, service: Service) -> None:
        assert hooked(kept).connect().exchange(upgrade(b"/echo", CALLER)).startswith(b"HTTP/1.1 101 ")
        call, handshake = kept.spans
        assert (call.name, call.kind, parentOf(call)) == ("GET /auth", SpanKind.CLIENT, idOf(handshake))
        assert (traceOf(call), parentOf(handshake)) == (TRACE, PARENT)
        assert attributesOf(call) == {
            "http.request.method": "GET",
            "server.address": "127.0.0.1",
            "server.port": 8080,
            "url.full": "http://127.0.0.1:8080/auth",
            "url.template": "/auth",
            "http.response.status_code": 204,
        }

    def test_gets_the_traceparent_of_its_span(self, kept: KeptTraces, service: Service) -> None:
        hooked(kept, hook_headers=("traceparent",)).connect().exchange(upgrade(b"/echo", CALLER, b"tracestate: a=b"))
        assert service.sent("traceparent") == f"00-{TRACE}-{idOf(kept.spans[0])}-01"
        assert service.sent("tracestate") == "a=b"

    def test_gets_it_even_if_the_trace_is_not_sampled(self, kept: KeptTraces, service: Service) -> None:
        hooked(kept).connect().exchange(upgrade(b"/echo", f"traceparent: {UNSAMPLED}".encode()))
        sent = service.sent("traceparent") or ""
        assert (sent[:36], sent[-2:]) == (f"00-{TRACE}-", "00")
        assert kept.spans == []

    def test_gets_none_without_traces(self, service: Service) -> None:
        hooked(None).connect().exchange(upgrade(b"/echo", CALLER))
        assert service.sent("traceparent") is None

    def test_is_a_child_of_a_request_over_http(self, kept: KeptTraces, service: Service) -> None:
        hooked(kept).connect().exchange(get(b"/describe", CALLER))
        call, request = kept.spans
        assert parentOf(call) == idOf(request)

    @pytest.mark.parametrize(("status", "error"), [(401, None), (403, None), (404, "404"), (500, "500")])
    def test_that_refuses_is_no_error(self, kept: KeptTraces, service: Service, status: int, error: str | None) -> None:
        service.answer = succeed(answerOf(status))
        hooked(kept).connect().exchange(upgrade())
        call = kept.spans[0]
        assert attributesOf(call)["http.response.status_code"] == status
        assert attributesOf(call).get("error.type") == error
        assert (call.status.status_code is StatusCode.ERROR) == (error is not None)

    def test_that_cannot_be_reached_is_one(self, kept: KeptTraces, service: Service) -> None:
        service.answer = fail(NotThere())
        hooked(kept).connect().exchange(upgrade())
        assert attributesOf(kept.spans[0])["error.type"] == "ConnectionRefusedError"

    def test_that_takes_too_long_is_one(self, kept: KeptTraces, service: Service) -> None:
        service.answer = Deferred()
        daemon = hooked(kept, hook_timeout=5.0)
        daemon.connect().exchange(upgrade())
        daemon.pass_(6)
        call, handshake = kept.spans
        assert attributesOf(call)["error.type"] == "timeout"
        assert attributesOf(handshake)["http.response.status_code"] == 503

    def test_whose_client_leaves_goes_on(self, kept: KeptTraces, service: Service) -> None:
        service.answer = Deferred()
        wire = hooked(kept).connect()
        wire.exchange(upgrade())
        lose(wire)
        assert attributesOf(kept.only())["error.type"] == "client_left"
        service.answer.callback(answerOf(204))
        assert attributesOf(kept.spans[1])["http.response.status_code"] == 204

    def test_has_one_span_for_all_that_share_a_decision(self, kept: KeptTraces, service: Service) -> None:
        daemon = hooked(kept, hook_cache=60.0)
        for _ in range(3):
            daemon.connect().exchange(upgrade())
        assert [span.kind for span in kept.spans].count(SpanKind.CLIENT) == 1

    def test_in_python_is_a_span_as_well(self, kept: KeptTraces, tmp_path: Path) -> None:
        (tmp_path / "auth.py").write_text("def decide(request):\n    return request.span.traceId\n")
        daemon = hooked(kept, hook=f"{tmp_path}/auth.py:decide")
        daemon.connect().exchange(upgrade(b"/echo", CALLER))
        call, handshake = kept.spans
        assert (call.name, call.kind, parentOf(call)) == ("hook decide", SpanKind.INTERNAL, idOf(handshake))
        assert attributesOf(call) == {"code.function.name": "decide"}
        assert [connection.user for connection in daemon.connections] == [TRACE]

    def test_in_python_that_fails_is_an_error(self, kept: KeptTraces, tmp_path: Path) -> None:
        (tmp_path / "auth.py").write_text("async def decide(request):\n    raise KeyError('secret')\n")
        hooked(kept, hook=f"{tmp_path}/auth.py:decide").connect().exchange(upgrade())
        assert attributesOf(kept.spans[0])["error.type"] == "KeyError"
        assert "secret" not in kept.spans[0].to_json()


class TestAGatewayOfSoap:
    def daemon(self, kept: KeptTraces) -> Daemon:
        options = SoapOptions(upstream="http://127.0.0.1:8080/service", upstream_timeout=5.0)
        return Daemon({"/soap": SoapFactory}, options=options, tracing=kept.tracing)

    def post(self, daemon: Daemon) -> bytes:
        fields = (b"Content-Type: application/soap+xml", b"Content-Length: %d" % len(ENVELOPE), CALLER)
        return daemon.connect().exchange(get(b"/soap", *fields, method=b"POST") + ENVELOPE)

    def test_sends_a_request_over_http_within_its_trace(self, kept: KeptTraces, service: Service) -> None:
        service.answer = succeed(answerOf(200, ENVELOPE))
        assert self.post(self.daemon(kept)).startswith(b"HTTP/1.1 200 ")
        call, request = kept.spans
        assert (call.name, parentOf(call), traceOf(call)) == ("POST /service", idOf(request), TRACE)
        assert attributesOf(call)["http.response.status_code"] == 200
        assert service.sent("traceparent") == f"00-{TRACE}-{idOf(call)}-01"

    def test_sends_a_message_in_a_trace_of_its_own_that_is_linked_with_the_handshake(
        self, kept: KeptTraces, service: Service
    ) -> None:
        service.answer = succeed(answerOf(200, ENVELOPE))
        client = self.daemon(kept).open("/soap", subprotocols=["soap"], headers={"traceparent": TRACEPARENT})
        client.say(ENVELOPE.decode())
        handshake, call = kept.spans
        assert (call.name, call.parent, traceOf(call) != TRACE) == ("POST /service", None, True)
        assert [link.context for link in call.links] == [handshake.context]
        assert (service.sent("traceparent") or "").startswith(f"00-{traceOf(call)}-{idOf(call)}-")

    def test_whose_service_is_away_is_an_error(self, kept: KeptTraces, service: Service) -> None:
        service.answer = fail(NotThere())
        self.post(self.daemon(kept))
        assert attributesOf(kept.spans[0])["error.type"] == "ConnectionRefusedError"

    def test_whose_service_takes_too_long_is_one(self, kept: KeptTraces, service: Service) -> None:
        service.answer = Deferred()
        daemon = self.daemon(kept)
        self.post(daemon)
        daemon.pass_(6)
        assert attributesOf(kept.spans[0])["error.type"] == "timeout"

    def test_whose_client_leaves_is_one(self, kept: KeptTraces, service: Service) -> None:
        service.answer = Deferred()
        daemon = self.daemon(kept)
        client = daemon.open("/soap", subprotocols=["soap"])
        client.say(ENVELOPE.decode())
        lose(client.wire)
        assert attributesOf(kept.spans[-1])["error.type"] == "client_left"

    def test_has_no_span_without_traces(self, service: Service) -> None:
        service.answer = succeed(answerOf(200, ENVELOPE))
        daemon = Daemon({"/soap": SoapFactory}, options=SoapOptions(upstream="http://127.0.0.1:8080/"))
        assert self.post(daemon).startswith(b"HTTP/1.1 200 ")
        assert service.sent("traceparent") is None


class TestAGatewayOfXmpp:
    @pytest.fixture
    def harness(self, kept: KeptTraces) -> Harness:
        harness = Harness(beginSpan=lambda: kept.tracer.call("open XMPP stream", {}))
        harness.say(OPEN)
        return harness

    def test_has_a_span_until_the_stream_of_the_server_has_begun(self, harness: Harness, kept: KeptTraces) -> None:
        harness.reached()
        assert kept.spans == []
        harness.told(HEAD)
        assert attributesOf(kept.only()) == {}
        harness.told(ERROR)
        assert len(kept.spans) == 1

    def test_whose_server_is_away_is_an_error(self, harness: Harness, kept: KeptTraces) -> None:
        harness.answer.errback(NotThere())
        assert attributesOf(kept.only()) == {"error.type": "unreachable"}

    def test_whose_server_refuses_is_one(self, kept: KeptTraces) -> None:
        begin = lambda: kept.tracer.call("open XMPP stream", {})  # noqa: E731
        harness = Harness(beginSpan=begin, upstream_tls="required")
        harness.say(OPEN)
        harness.reached().told(HEAD + ERROR)
        assert attributesOf(kept.only()) == {"error.type": "stream_error"}

    def test_whose_server_does_not_answer_is_one(self, harness: Harness, kept: KeptTraces) -> None:
        harness.reached()
        harness.reactor.advance(11)
        assert attributesOf(kept.only()) == {"error.type": "timeout"}

    def test_whose_client_leaves_is_one(self, harness: Harness, kept: KeptTraces) -> None:
        harness.gateway.lost()
        assert attributesOf(kept.only()) == {"error.type": "client_left"}


class TestAPublishToRedis:
    def backend(self, kept: KeptTraces, url: str = "redis://:password@cache.example:6380/2") -> RedisBackend:
        keep, bounds = Retention(10, 1000, 60.0, 10), Bounds(10, 10_000, 60.0, 100, 10)
        return RedisBackend(keep, bounds, readAddress(url), "wsd:", object(), lambda: 0.0, kept.tracing)

    def publish(self, backend: RedisBackend, answer: Deferred[Any], count: int = 1) -> Deferred[Any]:
        backend._publishing._link = _Link(answer)  # type: ignore[assignment]
        backend._publishing._isReady = True
        return backend.publishAll("secret", [TopicMessage(b"payload", False)] * count)

    def test_is_a_span_of_a_call_to_a_database(self, kept: KeptTraces) -> None:
        self.publish(self.backend(kept), succeed([[b"4f2c81d0-1", 0]]))
        span = kept.only()
        assert (span.name, span.kind, span.parent) == ("EVALSHA", SpanKind.CLIENT, None)
        assert attributesOf(span) == {
            "db.system.name": "redis",
            "db.operation.name": "EVALSHA",
            "db.namespace": "2",
            "server.address": "cache.example",
            "server.port": 6380,
        }

    def test_of_several_messages_says_how_many(self, kept: KeptTraces) -> None:
        self.publish(self.backend(kept), succeed([[b"4f2c81d0-1", 0]] * 3), 3)
        assert attributesOf(kept.only())["db.operation.batch.size"] == 3

    def test_that_is_lost_is_an_error(self, kept: KeptTraces) -> None:
        self.publish(self.backend(kept), fail(LinkLost("away")))
        assert attributesOf(kept.only())["error.type"] == "LinkLost"

    def test_by_way_of_sentinels_does_not_name_them_as_the_server(self, kept: KeptTraces) -> None:
        backend = self.backend(kept, "redis+sentinel://one.example,two.example/master/0")
        self.publish(backend, succeed([[b"4f2c81d0-1", 0]]))
        assert "server.address" not in attributesOf(kept.only())

    def test_has_no_span_without_traces(self, kept: KeptTraces) -> None:
        kept.tracing.tracer = None
        acknowledged: list[Any] = []
        self.publish(self.backend(kept), succeed([[b"4f2c81d0-1", 0]])).addCallback(acknowledged.append)
        assert len(acknowledged) == 1


class _Link:
    """A link to Redis that gives one answer."""

    def __init__(self, answer: Deferred[Any]) -> None:
        self._answer = answer

    def script(self, *_: Any) -> Deferred[Any]:
        return self._answer
