"""A gateway: what the upstream service gets of a login, and what the client gets of the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from twisted.web.http_headers import Headers

from tests.auth.helpers import SECRET, basic, hashed
from tests.protocols.soap.security.messages import (
    ADD,
    DECLARED,
    Guarded,
    at,
    code,
    guarded,
    message,
    security,
    timestamp,
    token,
)
from tests.protocols.soap.security.test_guard import CREATED, post
from tests.protocols.soap.talk import S12, envelope
from tests.protocols.soap.test_http import ask
from tests.wire import Daemon
from wsd.config.auth import Auth
from wsd.protocols.soap.gateway import SoapGateway, UpstreamResponse
from wsd.protocols.soap.names import WSSE
from wsd.protocols.soap.options import SoapOptions
from wsd.protocols.soap.protocol import SoapFactory

UPSTREAM = "http://localhost/"


class Upstream:
    """The upstream service: what it was asked, and its answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, Headers]] = []
        self.answer = envelope("<x>it</x>")

    async def post(self, body: bytes, headers: Headers) -> UpstreamResponse:
        self.asked.append((body, headers))
        return UpstreamResponse(200, "application/soap+xml", self.answer.encode())


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Upstream:
    made = Upstream()
    monkeypatch.setattr(SoapGateway, "_post", lambda gateway, body, headers: made.post(body, headers))
    return made


@pytest.fixture
def route(tmp_path: Path, upstream: Upstream) -> Guarded:
    return guarded(tmp_path, upstream=UPSTREAM, upstream_user="x-user", upstream_headers=("authorization",))


class TestALogin:
    def test_ends_here_and_its_user_goes_on(self, route: Guarded, upstream: Upstream) -> None:
        answer = route.talker().ask(message(security()))
        assert answer.findtext(".//x") == "it"
        ((body, headers),) = upstream.asked
        assert SECRET.encode() not in body
        assert WSSE.encode() not in body
        assert b"urn:uuid:1" in body
        assert ADD.encode() in body
        assert headers.getRawHeaders("x-user") == ["ann"]
        assert not headers.hasHeader("authorization")

    def test_over_http_as_well(self, route: Guarded, upstream: Upstream) -> None:
        assert post(route, message(security(token("bob")))).root.findtext(".//x") == "it"
        ((body, headers),) = upstream.asked
        assert SECRET.encode() not in body
        assert headers.getRawHeaders("x-user") == ["bob"]

    def test_that_is_wrong_reaches_nobody(self, route: Guarded, upstream: Upstream) -> None:
        talker = route.talker()
        assert code(talker.ask(message(security(token(password="wrong"))))) == (WSSE, "FailedAuthentication")
        assert code(talker.ask(message(""))) == (WSSE, "InvalidSecurity")
        assert talker.say(message("", name="")) == [], "a gateway cannot tell that the operation has an answer"
        assert upstream.asked == []

    def test_a_header_for_another_role_goes_on(self, route: Guarded, upstream: Upstream) -> None:
        other = f'<o:Security {DECLARED} s:role="urn:other">{timestamp()}</o:Security>'
        route.talker().ask(message(other + security()))
        root = etree.fromstring(upstream.asked[0][0])
        (kept,) = root.iter(f"{{{WSSE}}}Security")
        assert kept.get(f"{{{S12}}}role") == "urn:other"


class TestAnAnswer:
    def test_gets_a_timestamp_instead_of_another_security_header(self, route: Guarded, upstream: Upstream) -> None:
        upstream.answer = envelope("<x>it</x>", f"<o:Security {DECLARED}><o:BinarySecurityToken/></o:Security>")
        answer = route.talker().ask(message(security()))
        assert answer.xpath(CREATED) == at()
        assert answer.find(f".//{{{WSSE}}}BinarySecurityToken") is None


class TestWithoutALoginHere:
    """The header is for the upstream service, as any other."""

    def test_it_goes_on_unchanged(self, upstream: Upstream) -> None:
        daemon = Daemon({"/soap": SoapFactory}, options=SoapOptions(upstream=UPSTREAM))
        ask(daemon, "POST /soap", "Content-Type: application/soap+xml", body=message(security()))
        root = etree.fromstring(upstream.asked[0][0])
        assert root.findtext(f".//{{{WSSE}}}Password") == SECRET

    @pytest.mark.parametrize(("keys", "user"), [({}, None), ({"upstream_user": "x-user"}, ["ann"])])
    def test_the_user_of_the_handshake_goes_on_if_that_is_wanted(
        self, tmp_path: Path, upstream: Upstream, keys: dict[str, Any], user: list[str] | None
    ) -> None:
        (tmp_path / "users").write_text(f"ann:{hashed()}\n")
        daemon = Daemon(
            {"/soap": SoapFactory},
            options=SoapOptions(upstream=UPSTREAM, **keys),
            auth=Auth(methods=("basic",), htpasswd=str(tmp_path / "users")),
        )
        fields = ("Content-Type: application/soap+xml", basic("ann").decode(), "X-User: root")
        ask(daemon, "POST /soap", *fields, body=message(""))
        ((_, headers),) = upstream.asked
        assert headers.getRawHeaders("x-user") == user
        assert not headers.hasHeader("authorization")


def test_a_header_that_clients_may_send_cannot_name_the_user() -> None:
    with pytest.raises(ValueError, match="clients could send it"):
        SoapOptions(upstream=UPSTREAM, upstream_user="x-user", upstream_headers=("x-user",))
