"""hook: a service over HTTP or a Python function decides; if it cannot, nobody is let in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionRefusedError as NotThere
from twisted.internet.testing import StringTransport
from twisted.web.http_headers import Headers as FieldLines

from tests.agent import Response
from tests.auth.helpers import daemonWith, fetched, fieldOf, opened, statusOf
from tests.web.test_door import get, upgrade
from tests.wire import Daemon
from wsd.auth import authenticator, hook
from wsd.config.auth import Auth

URL = "http://127.0.0.1:8080/auth"


class Service:
    """The service, in the place of Twisted's client."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes, FieldLines]] = []
        self.pending: list[Deferred[Any]] = []
        self.answer: Any = None
        """What it answers; a Deferred for each request if None."""

    def request(self, method: bytes, url: bytes, fields: FieldLines, body: object) -> Deferred[Any]:
        assert body is None
        self.asked.append((method, url, fields))
        if self.answer is not None:
            return succeed(self.answer)
        self.pending.append(Deferred())
        return self.pending[-1]

    def sent(self, name: str) -> list[str]:
        """The values of a header field of the last request."""
        values = self.asked[-1][2].getRawHeaders(name, [])
        assert values is not None
        return list(values)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    service = Service()
    monkeypatch.setattr(hook, "Agent", lambda *_, **__: service)
    monkeypatch.setattr(hook, "HTTPConnectionPool", lambda _: type("Pool", (), {})())
    return service


def hooked(**auth: Any) -> Daemon:
    return daemonWith(methods=("hook",), hook=URL, **auth)


class TestAService:
    def test_accepts_with_2xx_and_names_the_user(self, service: Service) -> None:
        service.answer = Response(204, {"X-User": ["ann"]})
        daemon = hooked()
        assert statusOf(opened(daemon)) == 101
        assert [connection.user for connection in daemon.connections] == ["ann"]
        assert statusOf(fetched(daemon)) == 200

    def test_may_accept_without_a_name(self, service: Service) -> None:
        service.answer = Response(200)
        daemon = hooked()
        assert statusOf(opened(daemon)) == 101
        assert [connection.user for connection in daemon.connections] == [None]

    def test_names_the_user_in_the_field_of_the_configuration(self, service: Service) -> None:
        service.answer = Response(200, {"Remote-User": ["王"], "X-User": ["eve"]})
        daemon = hooked(hook_user="remote-user")
        opened(daemon)
        assert [connection.user for connection in daemon.connections] == ["王"]

    def test_refuses_with_403(self, service: Service) -> None:
        service.answer = Response(403)
        assert statusOf(opened(hooked())) == 403

    def test_refuses_with_401_and_its_challenge(self, service: Service) -> None:
        service.answer = Response(401, {"WWW-Authenticate": ['Basic realm="theirs"']})
        answer = opened(hooked())
        assert statusOf(answer) == 401
        assert fieldOf(answer, "WWW-Authenticate") == 'Basic realm="theirs"'

    def test_without_a_challenge_a_401_becomes_a_403(self, service: Service) -> None:
        service.answer = Response(401)
        assert statusOf(opened(hooked())) == 403

    @pytest.mark.parametrize(
        "answer",
        [
            Response(500),
            Response(302, {"Location": ["http://elsewhere/"]}),
            Response(404),
            Response(200, {"X-User": [""]}),
            Response(200, {"X-User": ["a", "b"]}),
            Response(200, {"X-User": ["a" * 300]}),
            Response(200, {"X-User": ["a\x07b"]}),
            Response(200, {"X-User": ["ann"]}, b"x" * 70_000),
        ],
        ids=lambda answer: f"{answer.code} {len(answer._body)} {list(answer.headers.getAllRawHeaders())}"[:60],
    )
    def test_anything_else_lets_nobody_in(self, service: Service, answer: Response) -> None:
        service.answer = answer
        refused = opened(hooked())
        assert statusOf(refused) == 503
        assert fieldOf(refused, "Retry-After") == "1"

    def test_nor_does_one_that_is_not_there(self, service: Service) -> None:
        wire = hooked().connect()
        assert wire.exchange(upgrade(b"/echo")) == b""
        service.pending[0].errback(NotThere("no"))
        assert statusOf(wire.exchange(b"")) == 503

    def test_nor_one_that_hangs(self, service: Service) -> None:
        daemon = hooked(hook_timeout=2.0)
        wire = daemon.connect()
        assert wire.exchange(upgrade(b"/echo")) == b""
        daemon.pass_(1)
        assert wire.exchange(b"") == b""
        daemon.pass_(1.5)
        assert statusOf(wire.exchange(b"")) == 503

    def test_nor_one_whose_body_never_ends(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        endless = Response(200, {"X-User": ["ann"]})
        monkeypatch.setattr(endless, "deliverBody", lambda protocol: protocol.makeConnection(StringTransport()))
        service.answer = endless
        daemon = hooked(hook_timeout=2.0)
        wire = daemon.connect()
        assert wire.exchange(upgrade(b"/echo")) == b""
        daemon.pass_(3)
        assert statusOf(wire.exchange(b"")) == 503


class TestTheSubrequest:
    def test_has_the_original_request_and_the_true_client(self, service: Service) -> None:
        service.answer = Response(200)
        fetched(hooked(), b"Cookie: session=1", b"X-Other: no", path=b"/describe?a=b", method=b"GET")
        method, url, _ = service.asked[0]
        assert (method, url) == (b"GET", URL.encode())
        assert service.sent("X-Original-Method") == ["GET"]
        assert service.sent("X-Original-URI") == ["/describe?a=b"]
        assert service.sent("X-Forwarded-For") == ["127.0.0.1"]
        assert service.sent("X-Forwarded-Proto") == ["http"]
        assert service.sent("Cookie") == ["session=1"]
        assert service.sent("X-Other") == []

    def test_passes_on_the_fields_of_the_configuration_alone(self, service: Service) -> None:
        service.answer = Response(200)
        opened(hooked(hook_headers=("x-api-key",)), b"X-Api-Key: k", b"Cookie: a=b", b"Authorization: Basic x")
        assert service.sent("X-Api-Key") == ["k"]
        assert service.sent("Cookie") == service.sent("Authorization") == []

    def test_cannot_be_forged_by_the_client(self, service: Service) -> None:
        service.answer = Response(200)
        forged = (b"X-Original-URI: /public", b"X-Forwarded-For: 10.0.0.1", b"X-User: admin")
        opened(hooked(hook_headers=("cookie",)), *forged)
        assert service.sent("X-Original-URI") == ["/echo"]
        assert service.sent("X-Forwarded-For") == ["127.0.0.1"]
        assert service.sent("X-User") == []

    @pytest.mark.parametrize("evil", [b"Cookie: a\rX-User: admin", b"Cookie: a\nX-User: admin", b"Cookie: a\0b"])
    def test_gets_no_line_breaks(self, service: Service, evil: bytes) -> None:
        service.answer = Response(200)
        assert statusOf(opened(hooked(), evil)) == 400
        assert service.asked == []

    def test_is_not_made_for_a_foreign_page(self, service: Service) -> None:
        assert statusOf(opened(hooked(), b"Cookie: session=1", b"Origin: https://evil.example")) == 403
        assert service.asked == []


class TestTheCache:
    def test_is_off_by_default(self, service: Service) -> None:
        service.answer = Response(200)
        daemon = hooked()
        opened(daemon)
        opened(daemon)
        assert len(service.asked) == 2

    def test_keeps_a_decision_for_a_time(self, service: Service) -> None:
        service.answer = Response(200, {"X-User": ["ann"]})
        daemon = hooked(hook_cache=10.0)
        opened(daemon, b"Cookie: s=1")
        opened(daemon, b"Cookie: s=1")
        assert len(service.asked) == 1
        opened(daemon, b"Cookie: s=2")
        opened(daemon, b"Cookie: s=1", path=b"/describe")
        assert len(service.asked) == 3
        daemon.pass_(11)
        opened(daemon, b"Cookie: s=1")
        assert len(service.asked) == 4

    def test_keeps_refusals_as_well_but_no_failures(self, service: Service) -> None:
        daemon = hooked(hook_cache=10.0)
        service.answer = Response(500)
        assert statusOf(opened(daemon)) == 503
        service.answer = Response(403)
        assert statusOf(opened(daemon)) == 403
        service.answer = Response(200)
        assert statusOf(opened(daemon)) == 403
        daemon.pass_(11)
        assert statusOf(opened(daemon)) == 101

    def test_is_bounded(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hook, "_MOST_KEPT", 2)
        service.answer = Response(200)
        daemon = hooked(hook_cache=10.0)
        for cookie in (b"1", b"2", b"3", b"1"):
            opened(daemon, b"Cookie: s=" + cookie)
        assert len(service.asked) == 4

    def test_equal_requests_at_the_same_time_share_one_subrequest(self, service: Service) -> None:
        daemon = hooked()
        wires = [daemon.connect() for _ in range(3)]
        for wire in wires:
            wire.exchange(get(b"/describe", b"Cookie: s=1"))
        assert len(service.asked) == 1
        # One of them leaves, even the first: the others are answered.
        wires[0].reset()
        service.pending[0].callback(Response(200))
        assert [statusOf(wire.exchange(b"")) for wire in wires[1:]] == [200, 200]


class TestAFunction:
    def _daemon(self, tmp_path: Path, code: str, **auth: Any) -> Daemon:
        path = tmp_path / "auth.py"
        path.write_text(code)
        return daemonWith(methods=("hook",), hook=f"{path}:decide", **auth)

    def test_gets_the_request_and_returns_the_user(self, tmp_path: Path) -> None:
        daemon = self._daemon(
            tmp_path,
            "async def decide(request):\n"
            "    assert request.peer.address == '127.0.0.1'\n"
            "    return 'ann' if request.head.headers.get('Cookie') == 's=1' else None\n",
        )
        assert statusOf(opened(daemon, b"Cookie: s=1")) == 101
        assert [connection.user for connection in daemon.connections] == ["ann"]
        assert statusOf(opened(daemon, b"Cookie: s=2")) == 403

    @pytest.mark.parametrize(
        "body", ["raise ValueError('no')", "return 7", "return ''", "return 'a\\nb'", "return [True]"]
    )
    def test_that_fails_lets_nobody_in(self, tmp_path: Path, body: str) -> None:
        assert statusOf(opened(self._daemon(tmp_path, f"async def decide(request):\n    {body}\n"))) == 503

    def test_may_accept_without_a_name_and_need_not_be_a_coroutine(self, tmp_path: Path) -> None:
        assert statusOf(opened(self._daemon(tmp_path, "def decide(request): return True\n"))) == 101

    def test_that_hangs_lets_nobody_in(self, tmp_path: Path) -> None:
        code = "from twisted.internet.defer import Deferred\nasync def decide(request): await Deferred()\n"
        daemon = self._daemon(tmp_path, code, hook_timeout=1.0)
        wire = daemon.connect()
        assert wire.exchange(upgrade(b"/echo")) == b""
        daemon.pass_(1.5)
        assert statusOf(wire.exchange(b"")) == 503

    def test_two_clients_do_not_share_a_decision(self, tmp_path: Path) -> None:
        """Whatever a function may look at is part of the question."""
        daemon = self._daemon(
            tmp_path, "def decide(request): return request.head.headers.get('X-Who')\n", hook_cache=9.0
        )
        opened(daemon, b"X-Who: ann")
        opened(daemon, b"X-Who: bob")
        assert sorted(connection.user for connection in daemon.connections) == ["ann", "bob"]


def test_a_function_that_is_not_there_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "auth.py"
    path.write_text("decide = 1\n")
    made = authenticator.Authenticators(None, None, None)  # type: ignore[arg-type]
    for name, words in (("decide", "not callable"), ("other", "has no")):
        with pytest.raises(Exception, match=words):
            made.of(Auth(methods=("hook",), hook=f"{path}:{name}"))
