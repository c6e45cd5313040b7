"""TLS of the running daemon, as openssl, curl, Chromium, Python's ssl module and the client of `websockets` see it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.certificates import Authority
from tests.daemon import PATIENCE, RunningDaemon, runningDaemon
from tests.threadedtls import trusting
from wsd.config import Certificate


def run(*command: str, text: str = "", **environ: str) -> str:
    """What a command says, on both streams."""
    done = subprocess.run(
        command,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, **environ},
    )
    return done.stdout


def tables(*pairs: Certificate, more: str = "") -> str:
    """A configuration with TLS on a free port and these certificates."""
    certificates = "".join(f'[[tls.certificate]]\ncert = "{pair.cert}"\nkey = "{pair.key}"\n' for pair in pairs)
    return f"[tls]\nport = 0\n{more}\n{certificates}"


class Reach:
    """Clients of a daemon that serves TLS, who trust `authority`."""

    def __init__(self, daemon: RunningDaemon, authority: Path) -> None:
        self.daemon = daemon
        self.authority = authority
        self.port = daemon.port("wss")

    def openssl(self, *arguments: str, text: str = "") -> str:
        """What `openssl s_client` says."""
        return run("openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", *arguments, text=text)

    def subject(self, *arguments: str) -> str:
        """The common name that it is shown."""
        found = re.search(r"^subject=CN = (.*)$", self.openssl(*arguments), re.MULTILINE)
        assert found is not None
        return found[1]

    def describe(self, name: str, *arguments: str, path: str = "/describe") -> Any:
        """The request as the server saw it, by curl."""
        url = f"https://{name}:{self.port}{path}"
        resolve = f"{name}:{self.port}:127.0.0.1"
        return json.loads(run("curl", "-sS", "--cacert", str(self.authority), "--resolve", resolve, *arguments, url))

    @property
    def context(self) -> ssl.SSLContext:
        context = trusting(self.authority)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    def open(self, name: str = "a.test", path: str = "/echo", context: ssl.SSLContext | None = None) -> Any:
        """A WebSocket."""
        bare = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        return connect(
            f"wss://localhost:{self.port}{path}",
            sock=bare,
            ssl=context or self.context,
            server_hostname=name,
            proxy=None,
            open_timeout=PATIENCE,
        )


@contextmanager
def serving(
    authority: Authority, *pairs: Certificate, more: str = "", top: str = "", last: str = ""
) -> Iterator[Reach]:
    hosts = 'hosts = ["localhost", "127.0.0.1", "[::1]", "a.test", "b.test", "x.a.test"]\n'
    with runningDaemon(config=top + hosts + tables(*pairs, more=more) + last) as daemon:
        yield Reach(daemon, authority.path)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reach]:
    """A daemon with several certificates, which an authority between the root and them has signed."""
    folder = tmp_path_factory.mktemp("certificates")
    root = Authority(folder)
    between = Authority(folder, "between", root)
    pairs = [
        between.server("a-ecdsa", "a.test", "127.0.0.1"),
        between.server("a-rsa", "a.test", "127.0.0.1", kind="rsa"),
        between.server("b", "b.test"),
        between.server("wild", "*.a.test"),
    ]
    with serving(root, *pairs) as reach:
        yield reach


@pytest.fixture(scope="module")
def developers() -> Iterator[Reach]:
    """A daemon with the certificate to develop with."""
    with runningDaemon("--tls-port", "0", "--tls-self-signed") as daemon:
        path = Path(daemon.waitFor(r"for wss in development, trust (/.*\.crt)$")[1])
        yield Reach(daemon, path)


class TestCertificates:
    @pytest.fixture
    def reach(self, several: Reach) -> Reach:
        return several

    @pytest.mark.parametrize(
        ("name", "shown"), [("a.test", "a-ecdsa"), ("B.test", "b"), ("x.a.test", "wild"), ("other.test", "a-ecdsa")]
    )
    def test_the_name_chooses(self, reach: Reach, name: str, shown: str) -> None:
        assert reach.subject("-servername", name) == shown

    @pytest.mark.parametrize(
        ("algorithms", "shown"),
        [("ECDSA+SHA256", "a-ecdsa"), ("RSA-PSS+SHA256", "a-rsa"), ("RSA-PSS+SHA256:ECDSA+SHA256", "a-ecdsa")],
    )
    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    def test_the_clients_signature_algorithms_choose_the_kind(
        self, reach: Reach, algorithms: str, shown: str, version: str
    ) -> None:
        assert reach.subject("-servername", "a.test", version, "-sigalgs", algorithms) == shown

    @pytest.mark.parametrize("name", ["a.test", "b.test", "x.a.test"])
    def test_the_chain_is_whole(self, reach: Reach, name: str) -> None:
        told = reach.openssl(
            "-servername", name, "-verify_hostname", name, "-verify_return_error", "-CAfile", str(reach.authority)
        )
        assert "Verify return code: 0 (ok)" in told

    def test_the_request_is_described_with_its_tls(self, reach: Reach) -> None:
        described = reach.describe("b.test")
        assert described["tls"] == {
            "version": "TLSv1.3",
            "cipher": "TLS_AES_256_GCM_SHA384",
            "sni": "b.test",
            "alpn": "http/1.1",
            "client": None,
        }
        assert described["peer"]["secure"] is True

    def test_1_1_is_refused_and_the_log_says_why(self, reach: Reach) -> None:
        said = len(reach.daemon.lines)
        assert "alert protocol version" in reach.openssl("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        reach.daemon.waitFor(r"TLS handshake with 127\.0\.0\.1 failed: unsupported protocol", said)

    def test_renegotiation_is_refused(self, reach: Reach) -> None:
        assert "no renegotiation" in reach.openssl("-tls1_2", text="R\n")

    def test_h2_is_not_spoken_even_if_it_is_liked_best(self, reach: Reach) -> None:
        assert "ALPN protocol: http/1.1" in reach.openssl("-alpn", "h2,http/1.1")
        assert "alert no application protocol" in reach.openssl("-alpn", "h2")

    def test_what_is_no_tls_is_told_in_the_log(self, reach: Reach) -> None:
        said = len(reach.daemon.lines)
        run("curl", "-sS", f"http://127.0.0.1:{reach.port}/")
        reach.daemon.waitFor(r"TLS handshake with 127\.0\.0\.1 failed: http request", said)

    def test_a_websocket_echoes_large_messages_both_ways(self, reach: Reach) -> None:
        message = os.urandom(300_000)
        with reach.open() as opened:
            for _ in range(5):
                opened.send(message)
                assert opened.recv(PATIENCE) == message

    def test_a_websocket_ends_clean(self, reach: Reach) -> None:
        with reach.open(path="/echo?close=1000&reason=bye") as opened:
            assert list(opened) == []
            assert (opened.close_code, opened.close_reason) == (1000, "bye")

    @pytest.mark.parametrize("path", ["/healthz", "/nothing"])
    def test_an_answer_ends_with_the_alert_of_tls_not_with_a_truncation(self, reach: Reach, path: str) -> None:
        bare = socket.create_connection(("127.0.0.1", reach.port), PATIENCE)
        with reach.context.wrap_socket(bare, server_hostname="a.test", suppress_ragged_eofs=False) as wrapped:
            wrapped.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            received = b""
            while data := wrapped.recv(65536):
                received += data
        assert received.startswith(b"HTTP/1.1 ")

    def test_its_end_is_in_the_metrics(self, reach: Reach) -> None:
        told = run("curl", "-sS", "--cacert", str(reach.authority), f"https://127.0.0.1:{reach.port}/metrics")
        names = re.findall(r'^wsd_certificate_expiry_seconds\{name="(.*)"\} [\d.e+]+$', told, re.MULTILINE)
        assert sorted(names) == ["*.a.test", "a.test", "b.test"]


class TestClientCertificates:
    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path)

    @pytest.fixture
    def me(self, authority: Authority) -> Certificate:
        return authority.client("Mallory", [(NameOID.ORGANIZATION_NAME, "Doors, Inc.")])

    def test_its_subject_can_be_read_by_a_protocol(self, authority: Authority, me: Certificate) -> None:
        more = f'client_ca = "{authority.path}"\nclient_auth = "optional"'
        with serving(authority, authority.server("a", "a.test"), more=more) as reach:
            described = reach.describe("a.test", "--cert", me.cert, "--key", me.key)
            assert described["tls"]["client"] == r"CN=Mallory,O=Doors\, Inc."
            context = reach.context
            context.load_cert_chain(me.cert, me.key)
            with reach.open(path="/describe", context=context) as opened:
                assert json.loads(opened.recv(PATIENCE))["tls"]["client"] == r"CN=Mallory,O=Doors\, Inc."
            assert reach.describe("a.test")["tls"]["client"] is None

    def test_who_has_none_is_refused_where_one_is_required(
        self, authority: Authority, me: Certificate, tmp_path: Path
    ) -> None:
        more = f'client_ca = "{authority.path}"\nclient_auth = "required"'
        with serving(authority, authority.server("a", "a.test"), more=more) as reach:
            assert reach.describe("a.test", "--cert", me.cert, "--key", me.key)["tls"]["client"] is not None
            assert "alert certificate required" in reach.openssl("-ign_eof")
            reach.daemon.waitFor("TLS handshake with 127.0.0.1 failed: peer did not return a certificate")
            session = str(tmp_path / "session")
            mine = ("-cert", me.cert, "-key", me.key)
            request = "GET /healthz HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
            reach.openssl(*mine, "-sess_out", session, "-ign_eof", text=request)
            resumed = reach.openssl("-sess_in", session, "-ign_eof", text=request)
            assert "Reused, TLSv1.3" in resumed
            assert "HTTP/1.1 200 OK" in resumed


class TestClientsOfARoute:
    """Certificates, revocations and rules, with curl and WebSockets."""

    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path)

    @staticmethod
    def status(reach: Reach, path: str, pair: Certificate | None, *arguments: str) -> str:
        """What curl got: a status, or 000 when there was no TLS."""
        mine = () if pair is None else ("--cert", pair.cert, "--key", pair.key)
        url = f"https://a.test:{reach.port}{path}"
        resolve = ("--resolve", f"a.test:{reach.port}:127.0.0.1", "--cacert", str(reach.authority))
        return run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *resolve, *mine, *arguments, url)

    @staticmethod
    def opens(reach: Reach, path: str, pair: Certificate | None) -> int:
        """The status of an opening handshake."""
        context = reach.context
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        try:
            with reach.open(path=path, context=context):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    def test_are_those_whom_its_rules_fit(self, authority: Authority) -> None:
        me = authority.client("me", [(NameOID.ORGANIZATION_NAME, "Doors")])
        you = authority.client("you", [(NameOID.ORGANIZATION_NAME, "Windows")])
        more = f'client_ca = "{authority.path}"\nclient_auth = "optional"'
        routes = """
            [route."/describe"]
            clients = ["CN=nobody", "O=Doors"]
            [route."/blob"]
            clients = "*"
            [route."/"]
            clients = "*"
            [route."/soap"]
            clients = "CN=you"
        """
        pair = authority.server("a", "a.test")
        with serving(authority, pair, more=more, last=routes) as reach:
            seen = {who and who.cert: self.opens(reach, "/describe", who) for who in (me, you, None)}
            assert seen == {me.cert: 101, you.cert: 403, None: 403}
            assert [self.status(reach, "/describe", who) for who in (me, you, None)] == ["200", "403", "403"]
            assert [self.status(reach, "/soap?wsdl", who) for who in (me, you, None)] == ["403", "200", "403"]
            assert [self.status(reach, "/blob/tus", who, "-X", "OPTIONS") for who in (me, None)] == ["204", "403"]
            assert [self.status(reach, "/", who) for who in (me, None)] == ["200", "403"]
            assert [self.opens(reach, "/echo", who) for who in (me, None)] == [101, 101]
            plain = run("curl", "-s", f"http://localhost:{reach.daemon.port()}/describe")
            assert plain == "this route needs a client certificate; connect over TLS and send one\n"

    def test_are_none_who_have_been_revoked_meanwhile(self, authority: Authority) -> None:
        me, you = authority.client("me"), authority.client("you")
        crl = authority.revoke(you)
        more = f'client_ca = "{authority.path}"\nclient_crl = "{crl}"\nclient_auth = "required"'
        with serving(authority, authority.server("a", "a.test"), more=more) as reach:
            assert [self.status(reach, "/healthz", who) for who in (me, you)] == ["200", "000"]
            reach.daemon.waitFor("TLS handshake with 127.0.0.1 failed: certificate verify failed: certificate revoked")
            authority.revoke(me)
            reach.daemon.waitFor("the certificates were reloaded")
            assert [self.status(reach, "/healthz", who) for who in (me, you)] == ["000", "200"]
            authority.revoke(me, you)
            said = len(reach.daemon.lines)
            reach.daemon.process.send_signal(signal.SIGHUP)
            reach.daemon.waitFor("the certificates were reloaded", said)
            assert [self.status(reach, "/healthz", who) for who in (me, you)] == ["000", "000"]


class TestRenewal:
    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path)

    @pytest.fixture
    def pair(self, authority: Authority) -> Certificate:
        return authority.server("old", "a.test")

    @pytest.fixture
    def new(self, authority: Authority) -> Certificate:
        return authority.server("new", "a.test", kind="rsa")

    @pytest.fixture
    def reach(self, authority: Authority, pair: Certificate) -> Iterator[Reach]:
        with serving(authority, pair) as reach:
            yield reach

    def shown(self, opened: Any) -> Any:
        """The common name that an open WebSocket was shown."""
        certificate = x509.load_der_x509_certificate(opened.socket.getpeercert(True))
        return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value

    def say(self, opened: Any, text: str) -> None:
        opened.send(text)
        assert opened.recv(PATIENCE) == text

    @pytest.mark.parametrize("hup", [True, False], ids=["at HUP", "when the files change"])
    def test_the_next_handshake_meets_the_new_pair_and_no_connection_ends(
        self, reach: Reach, pair: Certificate, new: Certificate, hup: bool
    ) -> None:
        with reach.open() as before:
            self.say(before, "before")
            said = len(reach.daemon.lines)
            shutil.copy(new.cert, pair.cert)
            shutil.copy(new.key, pair.key)
            if hup:
                reach.daemon.process.send_signal(signal.SIGHUP)
            reach.daemon.waitFor("the certificates were reloaded", said)
            self.say(before, "after")
            with reach.open() as after:
                self.say(after, "new")
                assert (self.shown(before), self.shown(after)) == ("old", "new")

    def test_a_certificate_that_was_added_to_the_file_is_served_after_hup(
        self, reach: Reach, authority: Authority
    ) -> None:
        added = authority.server("added", "b.test")
        file = reach.daemon.folder / "wsd.toml"
        file.write_text(f'{file.read_text()}[[tls.certificate]]\ncert = "{added.cert}"\nkey = "{added.key}"\n')
        reach.daemon.process.send_signal(signal.SIGHUP)
        reach.daemon.waitFor("the certificates were reloaded")
        assert [reach.subject("-servername", name) for name in ("a.test", "b.test")] == ["old", "added"]

    def test_a_broken_new_pair_keeps_the_old_and_the_log_says_why(
        self, reach: Reach, pair: Certificate, new: Certificate
    ) -> None:
        shutil.copy(new.cert, pair.cert)
        reach.daemon.process.send_signal(signal.SIGHUP)
        reach.daemon.waitFor(
            rf"the old certificates stay in use: tls: the key {pair.key} does not match the certificate {pair.cert}"
        )
        with reach.open() as opened:
            assert self.shown(opened) == "old"
        said = len(reach.daemon.lines)
        shutil.copy(new.key, pair.key)
        reach.daemon.waitFor("the certificates were reloaded", said)
        with reach.open() as opened:
            assert self.shown(opened) == "new"


class TestTheEnd:
    """After the closing handshake of the WebSocket."""

    def test_a_client_that_never_answers_our_close_notify_has_closed_cleanly(self) -> None:
        """Many just go: what counts is the closing handshake of the WebSocket (RFC 6455 7.1.4)."""
        with runningDaemon(
            "--tls-port", "0", "--tls-self-signed", config="[policies]\nclosing_timeout = 1\n"
        ) as daemon:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with socket.create_connection(("127.0.0.1", daemon.port("wss"))) as bare:
                client = context.wrap_socket(bare)
                client.sendall(
                    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                )
                assert client.recv(4096).startswith(b"HTTP/1.1 101")
                client.sendall(bytes.fromhex("88820000000003e8"))
                assert client.recv(100) == bytes.fromhex("880203e8")
                assert daemon.waitFor(r"closed: (\w+), 1000")[1] == "peer_closed"


class TestTheCertificateToDevelopWith:
    @pytest.fixture
    def reach(self, developers: Reach) -> Reach:
        return developers

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
    def test_python_takes_it_with_the_strict_checks_of_3_13(self, reach: Reach, host: str) -> None:
        bare = socket.create_connection((host, reach.port), PATIENCE)
        with reach.context.wrap_socket(bare, server_hostname=host) as wrapped:
            assert wrapped.version() == "TLSv1.3"

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
    def test_curl_takes_it(self, reach: Reach, host: str) -> None:
        told = run("curl", "-sS", "--cacert", str(reach.authority), f"https://{host}:{reach.port}/healthz")
        assert json.loads(told) == {"status": "ok"}

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
    def test_chromium_takes_it_once_its_authority_is_trusted(self, reach: Reach, tmp_path: Path, host: str) -> None:
        store = f"sql:{tmp_path / '.pki' / 'nssdb'}"
        (tmp_path / ".pki" / "nssdb").mkdir(parents=True)
        run("certutil", "-N", "-d", store, "--empty-password")
        url = f"https://{host}:{reach.port}/healthz"
        chromium = ("chromium-headless-shell", "--no-sandbox", "--disable-gpu", "--dump-dom")
        before = run(*chromium, f"--user-data-dir={tmp_path / 'before'}", url, HOME=str(tmp_path))
        assert '"status"' not in before
        run("certutil", "-A", "-d", store, "-n", "wsd", "-t", "C,,", "-i", str(reach.authority))
        after = run(*chromium, f"--user-data-dir={tmp_path / 'after'}", url, HOME=str(tmp_path))
        assert '{"status": "ok"}' in after
