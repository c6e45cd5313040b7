"""The PROXY header in front of the running daemon: the true address with and without TLS, and who may send one."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.certificates import Authority
from tests.commands import ROOT
from tests.daemon import PATIENCE, RunningDaemon, runningDaemon

V1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 51000 443\r\n"
V2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24"
    + socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + struct.pack("!HH", 51000, 443)
)
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
TRUE = {"secure": False, "direct": False, "via": "127.0.0.1"}
BY_V1 = {"address": "203.0.113.7", "port": 51000, **TRUE}
BY_V2 = {"address": "2001:db8::7", "port": 51000, **TRUE}


@contextmanager
def serving(folder: Path, trusted: str) -> Iterator[RunningDaemon]:
    """A daemon that awaits PROXY headers of these peers, on tcp, on tcp with TLS, and on a unix socket."""
    pair = Authority(folder).server("a", "a.test")
    config = f"""
        port = 0
        listen = ["unix:{folder / "wsd.sock"}", "unix:{folder / "bare.sock"}:proxy=false"]
        proxy_protocol = true
        trusted_proxies = [{trusted}]
        [route."/mine"]
        protocol = "describe"
        auth.methods = "mtls"
        auth.certificate_user = "cn"
        [tls]
        port = 0
        [[tls.certificate]]
        cert = "{pair.cert}"
        key = "{pair.key}"
    """
    with runningDaemon(config=config) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("proxy")


@pytest.fixture(scope="module")
def behind(folder: Path) -> Iterator[RunningDaemon]:
    """A daemon for which this machine's own addresses are proxies."""
    with serving(folder, '"127.0.0.1", "::1", "unix"') as daemon:
        yield daemon


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    """A daemon whose proxy is another machine."""
    with serving(tmp_path_factory.mktemp("elsewhere"), '"192.0.2.1"') as daemon:
        yield daemon


def reach(daemon: RunningDaemon, scheme: str = "ws") -> socket.socket:
    return socket.create_connection(("127.0.0.1", daemon.port(scheme)), PATIENCE)


def get(connection: socket.socket, path: str = "/describe", *headers: str) -> str:
    """The answer to a GET on this connection, with its head."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode())
    received = b""
    while data := connection.recv(65536):
        received += data
    return received.decode()


def described(answer: str) -> Any:
    return json.loads(answer.partition("\r\n\r\n")[2])


class TestATrustedProxy:
    @pytest.mark.parametrize(("header", "peer"), [(V1, BY_V1), (V2, BY_V2)], ids=["version 1", "version 2"])
    @pytest.mark.parametrize("scheme", ["ws", "wss"])
    def test_tells_the_true_address_before_tls(
        self, behind: RunningDaemon, folder: Path, header: bytes, peer: Any, scheme: str
    ) -> None:
        bare = reach(behind, scheme)
        bare.sendall(header)
        if scheme == "wss":
            context = ssl.create_default_context(cafile=folder / "authority.pem")
            bare = context.wrap_socket(bare, server_hostname="a.test", suppress_ragged_eofs=False)
        with closing(bare):
            assert described(get(bare))["peer"] == {**peer, "secure": scheme == "wss"}

    def test_tells_it_to_a_websocket_and_to_the_log(self, behind: RunningDaemon) -> None:
        said = len(behind.lines)
        bare = reach(behind)
        bare.sendall(V1)
        with connect(f"ws://localhost:{behind.port()}/describe", sock=bare, proxy=None) as opened:
            assert json.loads(opened.recv(PATIENCE))["peer"] == BY_V1
        behind.waitFor(r"203\.0\.113\.7:51000", said)

    def test_tells_it_over_a_unix_socket(self, behind: RunningDaemon, folder: Path) -> None:
        with closing(socket.socket(socket.AF_UNIX)) as bare:
            bare.connect(str(folder / "wsd.sock"))
            bare.sendall(V1)
            assert described(get(bare))["peer"] == {**BY_V1, "via": "unix"}

    def test_may_ask_for_itself(self, behind: RunningDaemon) -> None:
        with closing(reach(behind)) as bare:
            bare.sendall(LOCAL)
            peer = described(get(bare, "/describe"))["peer"]
        assert (peer["address"], peer["direct"]) == ("127.0.0.1", False)

    def test_tells_the_header_of_http_too(self, behind: RunningDaemon) -> None:
        with closing(reach(behind)) as bare:
            bare.sendall(b"PROXY TCP4 127.0.0.1 198.51.100.1 51000 443\r\n")
            peer = described(get(bare, "/describe", "X-Forwarded-For: 203.0.113.9"))["peer"]
        assert (peer["address"], peer["via"]) == ("203.0.113.9", "127.0.0.1")

    def test_gives_nobody_what_only_this_machine_may_have(self, behind: RunningDaemon) -> None:
        with closing(reach(behind)) as bare:
            bare.sendall(b"PROXY TCP4 127.0.0.1 127.0.0.1 51000 443\r\n")
            assert get(bare, "/metrics").startswith("HTTP/1.1 403 ")

    @pytest.mark.parametrize("scheme", ["ws", "wss"])
    def test_is_dropped_without_a_header(self, behind: RunningDaemon, scheme: str) -> None:
        said = len(behind.lines)
        with closing(reach(behind, scheme)) as bare:
            bare.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with suppress(ConnectionResetError):
                assert bare.recv(100) == b""
        behind.waitFor(r"dropped 127\.0\.0\.1: the connection does not begin with a PROXY header", said)

    def test_curl_sends_one_that_is_read(self, behind: RunningDaemon) -> None:
        done = subprocess.run(
            ["curl", "-sS", "--haproxy-protocol", f"http://127.0.0.1:{behind.port()}/describe"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        assert json.loads(done.stdout)["peer"]["via"] == "127.0.0.1"


class TestAnybodyElse:
    def test_is_served_without_a_header(self, elsewhere: RunningDaemon) -> None:
        with closing(reach(elsewhere)) as bare:
            peer = described(get(bare))["peer"]
        assert (peer["address"], peer["direct"], peer["via"]) == ("127.0.0.1", True, None)

    @pytest.mark.parametrize("header", [V1, V2], ids=["version 1", "version 2"])
    def test_is_refused_with_one(self, elsewhere: RunningDaemon, header: bytes) -> None:
        with closing(reach(elsewhere)) as bare:
            bare.sendall(header)
            assert get(bare).startswith("HTTP/1.1 400 ")

    @pytest.mark.parametrize("header", [V1, V2], ids=["version 1", "version 2"])
    def test_is_refused_with_one_before_tls(self, elsewhere: RunningDaemon, header: bytes) -> None:
        said = len(elsewhere.lines)
        with closing(reach(elsewhere, "wss")) as bare:
            bare.sendall(header)
            assert b"HTTP" not in bare.recv(100)
        elsewhere.waitFor(r"TLS handshake with 127\.0\.0\.1 failed: ", said)


ABOUT = (
    b"\x05\0\x037_1\x20\0\x15\x07\0\0\0\0"
    b"\x21\0\x07TLSv1.3\x22\0\x03ann"
)  # fmt: skip
V2_ABOUT = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", 12 + len(ABOUT)) + V2[16:20] * 2 + b"\xc7\x38\1\xbb" + ABOUT
)


class TestAProxyThatEndsTls:
    def test_tells_of_the_clients_tls(self, behind: RunningDaemon) -> None:
        said = len(behind.lines)
        with closing(reach(behind)) as bare:
            bare.sendall(V2_ABOUT)
            found = described(get(bare, "/mine"))
        assert found["tls"] == {"version": "TLSv1.3", "cipher": "", "sni": None, "alpn": None, "client": "CN=ann"}
        assert found["peer"]["secure"] is True
        line = behind.waitFor(r"answered GET /mine ", said).string
        assert "; proxy_id 7_1; tls TLSv1.3; user ann" in line

    def test_is_believed_over_the_tls_between_it_and_the_daemon(self, behind: RunningDaemon, folder: Path) -> None:
        context = ssl.create_default_context(cafile=folder / "authority.pem")
        bare = reach(behind, "wss")
        bare.sendall(V2_ABOUT)
        with context.wrap_socket(bare, server_hostname="a.test", suppress_ragged_eofs=False) as wrapped:
            assert described(get(wrapped, "/mine"))["tls"]["client"] == "CN=ann"

    def test_is_dropped_if_what_it_tells_is_malformed(self, behind: RunningDaemon) -> None:
        said = len(behind.lines)
        with closing(reach(behind)) as bare:
            bare.sendall(V2_ABOUT.replace(b"\x22\0\x03", b"\x22\0\x04"))
            with suppress(ConnectionResetError):
                assert bare.recv(100) == b""
        behind.waitFor(r"dropped 127\.0\.0\.1: the PROXY header ends within a TLV", said)

    def test_nobody_else_is_believed(self, elsewhere: RunningDaemon) -> None:
        with closing(reach(elsewhere)) as bare:
            bare.sendall(V2_ABOUT)
            assert get(bare, "/mine").startswith("HTTP/1.1 400 ")
        with closing(reach(elsewhere)) as bare:
            assert get(bare, "/mine").startswith("HTTP/1.1 403 ")


@contextmanager
def haproxy(folder: Path, target: int, sending: str, bind: str = "", *more: str) -> Iterator[int]:
    """The real one: its port. Unless `bind` lets it end TLS, it does not look into what it passes on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        listening.set_inheritable(True)
        lines = [
            "defaults",
            "    mode tcp",
            "    timeout connect 10s",
            "    timeout client 30s",
            "    timeout server 30s",
            "listen wsd",
            f"    bind fd@{listening.fileno()} {bind}",
            *(f"    {line}" for line in more),
            f"    server wsd 127.0.0.1:{target} {sending} check inter 100ms",
            "",
        ]
        (folder / "haproxy.cfg").write_text("\n".join(lines))
        command = ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]
        process = subprocess.Popen(command, pass_fds=[listening.fileno()])
        try:
            yield port
        finally:
            process.terminate()
            process.wait(PATIENCE)


class TestTheRealHaproxy:
    @pytest.mark.parametrize("sending", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"])
    def test_tells_the_true_address_through_tls_that_it_does_not_end(
        self, behind: RunningDaemon, folder: Path, tmp_path: Path, sending: str
    ) -> None:
        context = ssl.create_default_context(cafile=folder / "authority.pem")
        with haproxy(tmp_path, behind.port("wss"), sending) as port:
            bare = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=("127.0.0.7", 0))
            mine = bare.getsockname()
            with context.wrap_socket(bare, server_hostname="a.test", suppress_ragged_eofs=False) as wrapped:
                peer = described(get(wrapped))["peer"]
        assert (peer["address"], peer["port"]) == mine
        assert (peer["via"], peer["secure"], peer["direct"]) == ("127.0.0.1", True, False)

    @pytest.mark.parametrize("certificate", ["ann", None])
    def test_tells_of_the_tls_that_it_ends(
        self, behind: RunningDaemon, folder: Path, tmp_path: Path, certificate: str | None
    ) -> None:
        said = len(behind.lines)
        authority = Authority(tmp_path, "clients")
        (tmp_path / "pair.pem").write_bytes((folder / "a.crt").read_bytes() + (folder / "a.key").read_bytes())
        bind = f"ssl crt {tmp_path}/pair.pem alpn http/1.1 ca-file {authority.path} verify optional"
        sending = "send-proxy-v2-ssl-cn proxy-v2-options ssl-cipher,authority,unique-id,crc32c"
        context = ssl.create_default_context(cafile=folder / "authority.pem")
        context.set_alpn_protocols(["http/1.1"])
        if certificate is not None:
            files = authority.client(certificate)
            context.load_cert_chain(files.cert, files.key)
        with haproxy(tmp_path, behind.port(), sending, bind, "unique-id-format test_%cp") as port:
            bare = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=("127.0.0.7", 0))
            mine = bare.getsockname()
            with context.wrap_socket(bare, server_hostname="a.test", suppress_ragged_eofs=False) as wrapped:
                cipher = wrapped.cipher()
                answer = get(wrapped, "/mine" if certificate else "/describe")
        assert cipher is not None
        assert described(answer)["tls"] == {
            "version": "TLSv1.3",
            "cipher": cipher[0],
            "sni": "a.test",
            "alpn": "http/1.1",
            "client": None if certificate is None else "CN=ann",
        }
        line = behind.waitFor(rf"for 127\.0\.0\.7:{mine[1]} with 200", said).string
        assert f"proxy_id test_{mine[1]}" in line

    def test_takes_the_configuration_of_the_page(self, folder: Path, tmp_path: Path) -> None:
        page = (ROOT / "docs/proxies.md").read_text()
        lines = page.partition("    frontend wss\n")[2].partition("\n\n")[0]
        (tmp_path / "ws.example.com.pem").write_bytes((folder / "a.crt").read_bytes() + (folder / "a.key").read_bytes())
        (tmp_path / "clients-ca.pem").write_bytes((folder / "authority.pem").read_bytes())
        times = "\n".join(f"    timeout {name} 5s" for name in ("connect", "client", "server"))
        text = f"defaults\n{times}\nfrontend wss\n{lines}\n".replace("/etc/haproxy/", f"{tmp_path}/")
        (tmp_path / "haproxy.cfg").write_text(text)
        command = ["haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert (done.returncode, "send-proxy-v2-ssl-cn" in text) == (0, True), done.stderr

    def test_tells_of_nobody_without_a_certificate(self, behind: RunningDaemon, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "pair.pem").write_bytes((folder / "a.crt").read_bytes() + (folder / "a.key").read_bytes())
        bind = f"ssl crt {tmp_path}/pair.pem ca-file {folder}/authority.pem verify optional"
        context = ssl.create_default_context(cafile=folder / "authority.pem")
        with haproxy(tmp_path, behind.port(), "send-proxy-v2-ssl-cn", bind) as port:
            bare = socket.create_connection(("127.0.0.1", port), PATIENCE)
            with context.wrap_socket(bare, server_hostname="a.test", suppress_ragged_eofs=False) as wrapped:
                assert get(wrapped, "/mine").startswith("HTTP/1.1 403 ")


class TestAListenerOfItsOwn:
    """A part of its endpoint string, whatever holds for the others."""

    def test_may_be_without_headers(self, behind: RunningDaemon, folder: Path) -> None:
        for path in ("/metrics", "/describe"):
            with closing(socket.socket(socket.AF_UNIX)) as bare:
                bare.connect(str(folder / "bare.sock"))
                answer = get(bare, path)
            assert answer.startswith("HTTP/1.1 200 ")
        assert described(answer)["peer"]["direct"] is True

    def test_takes_no_header_then(self, behind: RunningDaemon, folder: Path) -> None:
        with closing(socket.socket(socket.AF_UNIX)) as bare:
            bare.connect(str(folder / "bare.sock"))
            bare.sendall(V1)
            assert get(bare).startswith("HTTP/1.1 400 ")

    def test_may_be_the_only_one_with_them(self, tmp_path: Path) -> None:
        config = f"""
            port = 0
            listen = ["unix:{tmp_path / "proxied.sock"}:proxy=true"]
            trusted_proxies = ["unix"]
        """
        with runningDaemon(config=config) as daemon:
            with closing(reach(daemon)) as bare:
                assert described(get(bare))["peer"]["direct"] is True
            daemon.waitFor("listening ws.unix:")
            with closing(socket.socket(socket.AF_UNIX)) as bare:
                bare.connect(str(tmp_path / "proxied.sock"))
                bare.sendall(V1)
                assert described(get(bare))["peer"] == {**BY_V1, "via": "unix"}
