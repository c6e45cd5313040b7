"""Several methods at one route, certificates, where the user is seen, and what each user may have."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.web.resource import Resource

from tests.auth.helpers import SECRET, basic, daemonWith, fetched, fieldOf, hashed, opened, sentenceOf, statusOf, users
from tests.certificates import Authority, makeKey
from tests.protocols.topics.test_tokens import SECRET as TOKEN_SECRET
from tests.protocols.topics.test_tokens import tokenOf
from tests.web.test_door import get, upgrade
from tests.wire import Daemon
from wsd.auth.certificates import userOf
from wsd.config import ConfigError, Policies, parse
from wsd.config.auth import Auth
from wsd.connection import Factory
from wsd.metrics import Metrics
from wsd.policies.address import TlsInfo
from wsd.protocols import optionsOf
from wsd.protocols.blob.service import requestUser
from wsd.protocols.echo import EchoFactory
from wsd.service import check
from wsd.web.console import addConsole


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "key").write_bytes(TOKEN_SECRET)
    return {"htpasswd": users(tmp_path, ann=hashed()), "token_key": str(tmp_path / "key")}


@pytest.fixture
def daemon(files: dict[str, Any]) -> Daemon:
    return daemonWith(methods=("bearer", "basic"), **files)


def bearer(**claims: Any) -> bytes:
    return b"Authorization: Bearer " + tokenOf(**claims).encode()


class WhoPage(Resource):
    """Answers with the user, as several kinds of code ask for it."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        told = (request.user, request.getUser().decode(), request.identity.method, requestUser(request))
        return " ".join(told).encode()


class WhoFactory(Factory):
    def resource(self) -> Resource:
        return WhoPage()


class TestSeveralMethods:
    def test_the_first_that_accepts_names_the_user(self, daemon: Daemon) -> None:
        assert statusOf(opened(daemon, basic("ann"))) == 101
        assert statusOf(opened(daemon, bearer(sub="tom"))) == 101
        assert sorted(connection.user for connection in daemon.connections) == ["ann", "tom"]
        methods = {connection.request.identity.method for connection in daemon.connections}
        assert methods == {"basic", "bearer"}

    def test_one_that_rejects_leaves_the_others(self, daemon: Daemon) -> None:
        entry = b"Sec-WebSocket-Protocol: bearer.nonsense"
        assert statusOf(opened(daemon, basic("ann"), entry)) == 101

    def test_all_are_offered_in_their_order(self, daemon: Daemon) -> None:
        answer = opened(daemon)
        assert fieldOf(answer, "WWW-Authenticate") == 'Bearer realm="wsd", Basic realm="wsd", charset="UTF-8"'
        assert sentenceOf(answer) == (
            "this route needs authentication: send a token (Authorization: Bearer, or the subprotocol bearer.TOKEN), "
            "or send a user name and a password (Authorization: Basic)"
        )

    def test_the_realm_is_that_of_the_configuration(self, files: dict[str, Any]) -> None:
        answer = opened(daemonWith(methods=("basic",), realm="staff only", **files))
        assert (fieldOf(answer, "WWW-Authenticate") or "").startswith('Basic realm="staff only"')


class TestACertificate:
    def _of(self, tmp_path: Path, *names: x509.GeneralName) -> TlsInfo:
        authority = Authority(tmp_path)
        key = makeKey("ecdsa")
        made = x509.CertificateBuilder().subject_name(x509.Name.from_rfc4514_string("CN=ann,O=Doors"))
        made = made.issuer_name(authority.name).public_key(key.public_key()).serial_number(7)
        made = made.not_valid_before(authority.certificate.not_valid_before_utc)
        made = made.not_valid_after(authority.certificate.not_valid_after_utc)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        pem = made.sign(authority.key, SHA256()).public_bytes(Encoding.PEM)
        return TlsInfo("TLSv1.3", "", client="CN=ann,O=Doors", clientPem=pem)

    @pytest.mark.parametrize(
        ("part", "user"),
        [
            ("subject", "CN=ann,O=Doors"),
            ("cn", "ann"),
            ("dns", "ann.example"),
            ("email", "ann@example.com"),
            ("uri", "spiffe://example/ann"),
        ],
    )
    def test_names_the_user_by_the_part_of_the_configuration(self, tmp_path: Path, part: str, user: str) -> None:
        names = (
            x509.DNSName("ann.example"),
            x509.DNSName("other.example"),
            x509.RFC822Name("ann@example.com"),
            x509.UniformResourceIdentifier("spiffe://example/ann"),
        )
        assert userOf(self._of(tmp_path, *names), part) == user

    @pytest.mark.parametrize("part", ["dns", "email", "uri"])
    def test_without_that_part_names_nobody(self, tmp_path: Path, part: str) -> None:
        assert userOf(self._of(tmp_path), part) is None

    @pytest.mark.parametrize(
        ("part", "user"), [("subject", r"CN=ann\, of Doors"), ("cn", "ann, of Doors"), ("dns", None)]
    )
    def test_of_which_a_proxy_tells_the_cn_alone_has_no_other_part(self, part: str, user: str | None) -> None:
        assert userOf(TlsInfo("TLSv1.3", "", client=r"CN=ann\, of Doors"), part) == user

    def test_opens_a_route(self, tmp_path: Path) -> None:
        daemon = daemonWith(methods=("mtls",), certificate_user="cn")
        info: list[TlsInfo | None] = [None]
        daemon.site.tlsOf = lambda transport: info[0]
        answer = opened(daemon)
        assert statusOf(answer) == 403
        assert fieldOf(answer, "WWW-Authenticate") is None
        assert "client certificate" in sentenceOf(answer)
        info[0] = self._of(tmp_path)
        assert statusOf(opened(daemon)) == 101
        assert [connection.user for connection in daemon.connections] == ["ann"]

    def test_is_one_of_several_methods(self, files: dict[str, Any]) -> None:
        assert statusOf(opened(daemonWith(methods=("mtls", "basic"), **files))) == 401


class TestTheUserIsSeen:
    def test_in_the_log_and_no_password_or_token_is(self, daemon: Daemon) -> None:
        token = tokenOf(sub="tom")
        with capturedLogs() as events:
            wire = daemon.connect()
            wire.exchange(get(b"/describe", basic("ann")))
            opened(daemon, f"Sec-WebSocket-Protocol: bearer.{token}".encode())
            opened(daemon, basic("ann", "a wrong password"))
            fetched(daemon, basic("ann", "a wrong password"))
            for connection in daemon.connections:
                connection.drop()
            daemon.reactor.advance(0)
        lines = "\n".join(str(formatEvent(event)) for event in events)
        found = {event["event"]: event.get("user") for event in events if event.get("user")}
        assert found == {"request.answered": "ann", "connection.opened": "tom", "connection.closed": "tom"}
        for secret in (SECRET, "a wrong password", token, "Basic "):
            assert secret not in lines
            assert not [event for event in events if secret in str({**event, "log_namespace": ""})]

    def test_in_the_metrics_of_which_there_are_a_bounded_number(self, tmp_path: Path) -> None:
        metrics = Metrics()
        metrics.setUsers(lambda: {f"user{n:03}": n + 1 for n in range(100)})
        text = metrics.render("")[1].decode()
        assert text.count("wsd_user_connections{") == 20
        assert 'wsd_user_connections{user="user099"} 100.0' in text
        assert f"wsd_other_user_connections {sum(range(1, 81))}.0" in text

    def test_in_the_counters_of_the_methods(self, daemon: Daemon) -> None:
        opened(daemon, basic("ann"))
        opened(daemon, basic("ann", "wrong"))
        assert daemon.metrics.authentications == {("basic", "accepted"): 1, ("basic", "rejected"): 1}

    def test_by_protocols_over_http(self, files: dict[str, Any]) -> None:
        daemon = daemonWith({"/who": WhoFactory}, methods=("basic",), **files)
        assert sentenceOf(fetched(daemon, basic("ann"), path=b"/who")) == "ann ann basic user ann"

    def test_and_what_a_client_claims_is_not(self) -> None:
        daemon = daemonWith()
        with capturedLogs() as events:
            fetched(daemon, basic("admin"))
            opened(daemon, basic("admin"))
        assert not [event for event in events if event.get("user")]
        assert [connection.user for connection in daemon.connections] == [None]


class TestThePagesOfTheDaemon:
    def test_need_no_authentication_but_the_console_does(self, files: dict[str, Any]) -> None:
        daemon = daemonWith({"/": EchoFactory}, methods=("basic",), **files)
        addConsole(daemon.site)
        assert statusOf(fetched(daemon, path=b"/")) == 401
        assert statusOf(fetched(daemon, basic("ann"), path=b"/")) == 200
        assert statusOf(fetched(daemon, path=b"/_wsd/base.css")) == 200


class TestTheConnectionsOfAUser:
    def test_are_limited(self, files: dict[str, Any]) -> None:
        policies = Policies(max_connections_per_user=2)
        daemon = daemonWith(methods=("basic", "bearer"), others={"policies": policies}, **files)
        wires = [daemon.connect() for _ in range(2)]
        assert [statusOf(wire.exchange(upgrade(b"/echo", basic("ann")))) for wire in wires] == [101, 101]
        answer = opened(daemon, basic("ann"))
        assert statusOf(answer) == 503
        assert sentenceOf(answer) == "this user already has 2 connections; close one first"
        assert statusOf(opened(daemon, bearer(sub="tom"))) == 101
        assert daemon.admission.users() == {"ann": 2, "tom": 1}
        wires[0].reset()
        wires[0].transport.abortConnection()
        daemon.reactor.advance(0)
        assert statusOf(opened(daemon, basic("ann"))) == 101

    def test_without_a_limit_are_counted(self, daemon: Daemon) -> None:
        for _ in range(3):
            opened(daemon, basic("ann"))
        assert daemon.admission.users() == {"ann": 3}


class TestTheConfiguration:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('methods = ["basic"]', 'auth.methods: "basic" needs htpasswd'),
            ('methods = ["bearer"]', 'auth.methods: "bearer" needs token_key'),
            ('methods = ["hook"]', 'auth.methods: "hook" needs hook'),
            ('methods = ["mtls"]', 'auth.methods: "mtls" needs client certificates'),
            ('methods = ["digest"]', 'auth.methods: "digest" is not a method of authentication'),
            ('methods = ["basic", "basic"]', "is listed twice"),
            ('hook = "ftp://x/"', "auth.hook: .* is not a URL for a hook"),
            ('hook = "http://u:p@x/"', "auth.hook: .* is not a URL for a hook"),
            ('hook = "http://x:99999/"', "auth.hook: .* is not a URL for a hook"),
            ('hook = "auth.py"', "auth.hook: .* has no function"),
            ('hook_headers = ["Host"]', "auth.hook_headers: .* is not passed on"),
            ('hook_headers = ["X-Original-URI"]', "auth.hook_headers: .* is not passed on"),
            ('hook_headers = ["a b"]', "auth.hook_headers: .* is not the name of a header field"),
            ('hook_user = "a:b"', "auth.hook_user: .* is not the name of a header field"),
            ('realm = "a\\"b"', "auth.realm: .* is not a realm"),
            ("hook_timeout = 0", "auth.hook_timeout: 0"),
            ('certificate_user = "sn"', "auth.certificate_user"),
            ("passwords = 1", "auth.passwords: there is no such key"),
        ],
    )
    def test_a_mistake_is_told_with_its_key(self, text: str, words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            parse(f"[auth]\n{text}\n", optionsOf)

    @pytest.mark.parametrize(
        "text",
        ["proxy_protocol = true", 'listen = ["tcp:0:proxy=true"]', 'tls.listen = ["unix:/run/a:proxy=true:mode=600"]'],
    )
    def test_a_proxy_may_tell_of_certificates(self, text: str) -> None:
        tls = "tls.self_signed = true\ntls.port = 0\n"
        text = f'{tls}{text}\nauth.methods = ["mtls"]\n[route."/echo"]\nclients = "CN=ann"\n'
        parse(f'trusted_proxies = ["10.0.0.1"]\n{text}', optionsOf)
        with pytest.raises(ConfigError, match="needs client certificates"):
            parse(text, optionsOf)

    def test_a_mistake_of_a_route_is_told_with_its_table(self) -> None:
        with pytest.raises(ConfigError, match=r'route."/echo".auth.methods: "basic" needs htpasswd'):
            parse('[route."/echo"]\nauth.methods = "basic"\n', optionsOf)

    def test_routes_inherit_key_by_key(self) -> None:
        config = parse(
            '[auth]\nmethods = "bearer"\ntoken_key = "k"\n[route."/echo"]\nauth.token_issuer = "them"\n'
            '[route."/ws"]\nauth.methods = []\n',
            optionsOf,
            folder="/etc",
        )
        assert config.routes["/echo"].auth == Auth(methods=("bearer",), token_key="/etc/k", token_issuer="them")
        assert config.routes["/ws"].auth.methods == ()
        assert config.routes["/describe"].auth == config.auth

    BASIC = '[auth]\nmethods = "basic"\nhtpasswd = "users"\n'

    @pytest.mark.parametrize(
        "top",
        [
            'host = "0.0.0.0"\n',
            'listen = "tcp:8080"\n',
            'listen = "tcp:8080:interface=192.0.2.1"\n',
            'host = ["127.0.0.1", "::"]\n',
        ],
    )
    def test_passwords_over_plain_listeners_of_other_machines_are_refused(self, top: str) -> None:
        with pytest.raises(ConfigError, match=r"auth.methods: other machines could send passwords .* without TLS"):
            parse(top + self.BASIC, optionsOf)
        assert parse(top + self.BASIC + "basic_without_tls = true\n", optionsOf)

    @pytest.mark.parametrize(
        "top",
        [
            "",
            'listen = "unix:/run/x.sock"\n',
            'listen = "tcp:8080:interface=127.0.0.1"\n',
            'host = "0.0.0.0"\ntrusted_proxies = "192.0.2.1"\n',
            'host = "0.0.0.0"\nport = false\ntls.port = 1\ntls.self_signed = true\n',
        ],
    )
    def test_on_this_machine_by_a_proxy_or_over_tls_they_are_not(self, top: str) -> None:
        assert parse(top + self.BASIC, optionsOf)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('methods = "basic"\nhtpasswd = "{folder}/none"', "auth.htpasswd: .*none cannot be read: No such file"),
            ('methods = "basic"\nhtpasswd = "{folder}/wrong"', "auth.htpasswd: .*wrong, line 1: an MD5 hash"),
            ('methods = "bearer"\ntoken_key = "{folder}/none"', "auth.token_key: .*none cannot be read"),
            ('methods = "bearer"\ntoken_key = "{folder}/short"', "auth.token_key: .*short has a secret of 5 bytes"),
            ('methods = "hook"\nhook = "{folder}/none.py:x"', "auth.hook: there is no file"),
        ],
    )
    def test_check_opens_the_files(self, tmp_path: Path, text: str, words: str) -> None:
        (tmp_path / "wrong").write_text("ann:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/\n")
        (tmp_path / "short").write_text("short")
        config = parse(
            f'built_in = false\n[route."/echo"]\n[auth]\n{text.replace("{folder}", str(tmp_path))}', optionsOf
        )
        (fault,) = check(config, Clock(), {"STATE_DIRECTORY": str(tmp_path)}).faults
        assert re.search(words, fault)


def test_a_token_is_not_remembered_longer_than_it_is_valid(daemon: Daemon) -> None:
    soon = bearer(sub="tom", exp=time.time() - 1)
    assert statusOf(opened(daemon, soon)) == 101, "clocks may differ by ten seconds"
    daemon.pass_(1)
    assert not [connection for connection in daemon.connections if connection.isOpen]
