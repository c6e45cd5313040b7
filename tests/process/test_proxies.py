"""
The samples of conf/ for nginx, Apache and haproxy, each with the real server before the real daemon.

The client comes from 127.0.0.2, so that its address is not the proxy's. Of a sample nothing is changed but ports, paths
and the length of its time-outs.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.commands import PATIENCE, ROOT, until
from tests.daemon import RunningDaemon, runningDaemon
from tests.ports import freePorts
from tests.threadedtls import trusting
from wsd.config import parse
from wsd.protocols import optionsOf

NAME = "ws.example.com"
CLIENT = "127.0.0.2"
TIME_OUT = 2
"""Seconds that the proxies here wait for a byte, where the samples say 75."""

CONFIG = f"""
port = 0
host = "127.0.0.1"
hosts = ["{NAME}", "localhost", "127.0.0.1", "[::1]"]
trusted_proxies = ["127.0.0.1", "::1"]
policies = {{ ping_interval = {TIME_OUT / 4} }}
[route."/quiet"]
protocol = "echo"
ping_interval = 0
"""


@dataclass
class Place:
    """Where clients come in: a port for ws, one for wss, and the certificate of the latter; and who is behind it."""

    plain: int | None
    secure: int
    certificate: Path
    daemon: RunningDaemon

    def _socket(self, port: int) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=(CLIENT, 0))

    def open(self, path: str, secure: bool = False, host: str = NAME, **arguments: Any) -> ClientConnection:
        """A WebSocket through the proxy, from the client's address, that sends no pings of its own."""
        port = self.secure if secure or self.plain is None else self.plain
        if port == self.secure:
            arguments |= {"ssl": trusting(self.certificate), "server_hostname": NAME}
        url = f"{'wss' if port == self.secure else 'ws'}://{host}{path}"
        client: ClientConnection
        client = connect(url, sock=self._socket(port), ping_interval=None, max_size=None, **arguments)
        return client

    def get(self, path: str, **headers: str) -> http.client.HTTPResponse:
        """An answer to a request through the proxy."""
        return self.asked("GET", path, headers).getresponse()

    def asked(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> http.client.HTTPConnection:
        """A request through the proxy, whose answer is not read yet."""
        port = self.secure if self.plain is None else self.plain
        client = http.client.HTTPConnection(NAME, timeout=PATIENCE)
        client.sock = self._socket(port)
        if self.plain is None:
            context = ssl.create_default_context(cafile=self.certificate)
            client.sock = context.wrap_socket(client.sock, server_hostname=NAME)
        client.request(method, path, body, headers)
        return client


class Upload:
    """An upload by tus, begun through the proxy."""

    def __init__(self, place: Place, size: int) -> None:
        self._place = place
        self._version = {"Tus-Resumable": "1.0.0"}
        answer = self._asked("POST", "/blob/tus", {"Upload-Length": str(size)}).getresponse()
        self._path = str(answer.headers["Location"])

    def _asked(self, method: str, path: str, more: Mapping[str, str], body: bytes = b"") -> http.client.HTTPConnection:
        return self._place.asked(method, path, {**self._version, **more}, body)

    def patch(self, content: bytes, size: int) -> http.client.HTTPConnection:
        """Send this of a body of such a size."""
        about = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0", "Content-Length": str(size)}
        return self._asked("PATCH", self._path, about, content)

    def head(self) -> int:
        """How much of it is on disk."""
        return int(self._asked("HEAD", self._path, {}).getresponse().headers["Upload-Offset"])


def sample(name: str, changes: Mapping[str, str]) -> str:
    """A sample with these changes, each of which must be one."""
    text = (ROOT / "conf" / name).read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, f"{name} has no {old}"
        text = text.replace(old, new)
    return text


@contextmanager
def serving(command: list[str], folder: Path, ports: list[int]) -> Iterator[None]:
    """A proxy in the foreground, from when it listens to the test's end."""
    with (folder / "proxy.log").open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        until(lambda: process.poll() is not None or all(map(isOpen, ports)), f"{command[0]} listens")
        assert process.poll() is None, (folder / "proxy.log").read_text()
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()


def isOpen(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def nginx(folder: Path, daemon: RunningDaemon, unix: Path | None = None) -> Iterator[Place]:
    plain, secure = ports = freePorts(2)
    changes = {
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl;": f"listen 127.0.0.1:{secure} ssl;",
        "127.0.0.1:9998": f"unix:{unix}" if unix else f"127.0.0.1:{daemon.port()}",
        "/etc/ssl/ws.example.com/": f"{folder}/",
        "75s": f"{TIME_OUT}s",
    }
    (folder / "wsd.conf").write_text(sample("nginx.conf", changes))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"user root; daemon off; worker_processes 1; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {paths} include {folder}/wsd.conf; }}\n"
    )
    with serving(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], folder, ports):
        yield Place(plain, secure, folder / "fullchain.pem", daemon)


@contextmanager
def apache(folder: Path, daemon: RunningDaemon, unix: Path | None = None) -> Iterator[Place]:
    plain, secure = ports = freePorts(2)
    changes = {
        "*:80>": f"127.0.0.1:{plain}>",
        "*:443>": f"127.0.0.1:{secure}>",
        "http://127.0.0.1:9998/": f"unix:{unix}|http://{NAME}/" if unix else f"http://127.0.0.1:{daemon.port()}/",
        "/etc/ssl/ws.example.com/": f"{folder}/",
        "timeout=75": f"timeout={TIME_OUT}",
    }
    (folder / "wsd.conf").write_text(sample("apache.conf", changes))
    modules = ("authz_core", "headers", "mpm_event", "proxy", "proxy_http", "ssl")
    lines = [
        f"ServerRoot {folder}",
        *(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in modules),
        f"DefaultRuntimeDir {folder}\nPidFile {folder}/pid\nMutex file:{folder}\nErrorLog {folder}/proxy.log",
        f"User www-data\nGroup www-data\nServerName localhost\nTimeout {TIME_OUT}",
        *(f"Listen 127.0.0.1:{port}" for port in ports),
        f"Include {folder}/wsd.conf",
    ]
    (folder / "apache2.conf").write_text("\n".join(lines) + "\n")
    with serving(["apache2", "-f", str(folder / "apache2.conf"), "-DFOREGROUND"], folder, ports):
        yield Place(plain, secure, folder / "fullchain.pem", daemon)


@contextmanager
def haproxy(folder: Path, plain: str, secure: int) -> Iterator[list[int]]:
    """Both ways at once: to where ws is spoken, and to the port of a daemon that expects PROXY and TLS."""
    ports = freePorts(3)
    (folder / "ws.example.com.pem").write_bytes(
        (folder / "fullchain.pem").read_bytes() + (folder / "privkey.pem").read_bytes()
    )
    changes = {
        "bind :80\n": f"bind 127.0.0.1:{ports[0]}\n",
        "bind :443 ": f"bind 127.0.0.1:{ports[1]} ",
        "bind :8443\n": f"bind 127.0.0.1:{ports[2]}\n",
        "127.0.0.1:9998": plain,
        "127.0.0.1:9999": f"127.0.0.1:{secure}",
        "/etc/haproxy/": f"{folder}/",
        "75s": f"{TIME_OUT}s",
        "maxconn 20000": "maxconn 200",
    }
    (folder / "haproxy.cfg").write_text(sample("haproxy.cfg", changes))
    with serving(["haproxy", "-db", "-f", str(folder / "haproxy.cfg")], folder, ports):
        yield ports


@contextmanager
def haproxyWithHeaders(folder: Path, daemon: RunningDaemon, unix: Path | None = None) -> Iterator[Place]:
    behind = f"unix@{unix}" if unix else f"127.0.0.1:{daemon.port()}"
    with haproxy(folder, behind, 1) as (plain, secure, _):
        yield Place(plain, secure, folder / "fullchain.pem", daemon)


@contextmanager
def haproxyWithPROXY(folder: Path, daemon: RunningDaemon) -> Iterator[Place]:
    pair = f'certificate = [{{ cert = "{folder}/fullchain.pem", key = "{folder}/privkey.pem" }}]'
    config = f"proxy_protocol = true\n{CONFIG}\n[tls]\nport = 0\n{pair}\n"
    with ExitStack() as stack:
        other = stack.enter_context(runningDaemon(config=config))
        behind = f"127.0.0.1:{daemon.port()}", other.port("wss")
        _, _, stream = stack.enter_context(haproxy(folder, *behind))
        yield Place(None, stream, folder / "fullchain.pem", other)


PROXIES: dict[str, Callable[..., AbstractContextManager[Place]]] = {
    "nginx": nginx,
    "apache": apache,
    "haproxy": haproxyWithHeaders,
    "haproxy PROXY": haproxyWithPROXY,
}
WITH_HEADERS = [name for name in PROXIES if name != "haproxy PROXY"]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Place]]:
    """A proxy by its name, started when it is first asked for, before a daemon that all of them have."""
    with ExitStack() as stack:
        daemon = stack.enter_context(runningDaemon(config=CONFIG))
        started: dict[str, Place] = {}

        def place(name: str) -> Place:
            if name not in started:
                folder = tmp_path_factory.mktemp(name.replace(" ", "-"))
                makeCertificate(folder)
                started[name] = stack.enter_context(PROXIES[name](folder, daemon))
            return started[name]

        yield place


@pytest.fixture
def place(request: pytest.FixtureRequest, places: Callable[[str], Place]) -> Place:
    return places(request.param)


def makeCertificate(folder: Path) -> None:
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={NAME}"
    names = ["-addext", f"subjectAltName=DNS:{NAME}", "-keyout", "privkey.pem", "-out", "fullchain.pem"]
    subprocess.run([*command.split(), *names], cwd=folder, check=True, capture_output=True)


def seen(client: ClientConnection) -> Any:
    """What /describe says of the client."""
    return json.loads(client.recv(PATIENCE))


class TestTheSamples:
    """What each asks of wsd's own configuration, in its comments and in docs/proxies.md."""

    @pytest.mark.parametrize("name", ["nginx.conf", "apache.conf", "haproxy.cfg"])
    def test_ask_for_what_there_is(self, name: str) -> None:
        for block in re.findall(r"wsd\.toml.*:\n#\n((?:#   .+\n)+)", (ROOT / "conf" / name).read_text()):
            config = parse(block.replace("#   ", ""), optionsOf)
            assert NAME in config.hosts
            assert config.trusted_proxies == ("127.0.0.1", "::1")

    @pytest.mark.parametrize("page", ["proxies.md", "systemd.md", "metrics.md"])
    def test_and_the_pages_do_too(self, page: str) -> None:
        blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
        assert blocks
        for block in blocks:
            parse(block, optionsOf)


@pytest.mark.parametrize("place", PROXIES, indirect=True)
class TestThroughEach:
    """nginx, Apache, and haproxy in both of its ways."""

    def test_a_websocket_goes_both_ways(self, place: Place) -> None:
        with place.open("/echo", subprotocols=["soap", "xmpp"]) as client:
            assert client.subprotocol == "soap"
            for message in ("hello", "再见", b"\x00\xff", ""):
                client.send(message)
                assert client.recv(PATIENCE) == message

    def test_a_message_of_a_mebibyte_goes_both_ways(self, place: Place) -> None:
        message = os.urandom(1 << 20)
        with place.open("/echo") as client:
            client.send(message)
            assert client.recv(PATIENCE) == message

    def test_a_code_and_a_reason_come_through_when_it_is_closed(self, place: Place) -> None:
        with place.open("/echo?close=4321&reason=enough") as client, pytest.raises(ConnectionClosedError) as caught:
            client.recv(PATIENCE)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4321, "enough")

    def test_the_clients_address_is_seen(self, place: Place) -> None:
        with place.open("/describe") as client:
            peer = seen(client)["peer"]
        assert (peer["address"], peer["direct"]) == (CLIENT, False)

    def test_that_it_came_by_tls_is_seen(self, place: Place) -> None:
        with place.open("/describe", secure=True) as client:
            peer = seen(client)["peer"]
        assert (peer["address"], peer["secure"]) == (CLIENT, True)

    @pytest.mark.parametrize(
        "spoofed",
        [
            {"X-Forwarded-For": "203.0.113.9"},
            {"X-Forwarded-For": "203.0.113.9, 127.0.0.1"},
            {"Forwarded": "for=203.0.113.9;proto=https", "X-Real-IP": "203.0.113.9"},
            {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"},
        ],
        ids=["an address", "two addresses", "Forwarded", "loopback and https"],
    )
    def test_what_the_client_says_of_itself_is_not_believed(self, place: Place, spoofed: dict[str, str]) -> None:
        with place.open("/describe", additional_headers=spoofed) as client:
            peer = seen(client)["peer"]
        assert (peer["address"], peer["direct"], peer["secure"]) == (CLIENT, False, place.plain is None)

    def test_http_comes_through_too(self, place: Place) -> None:
        answer = place.get("/describe")
        assert (answer.status, json.load(answer)["peer"]["address"]) == (200, CLIENT)
        page = place.get("/")
        assert (page.status, page.headers.get_content_type()) == (200, "text/html")

    def test_a_file_larger_than_a_proxy_takes_by_itself_comes_through_bare_and_by_tus(self, place: Place) -> None:
        content = os.urandom(3 << 20)
        with place.open("/blob", compression=None) as client:
            client.send(content)
            receipt = json.loads(client.recv(PATIENCE))
        assert place.get(receipt["url"]).read() == content
        upload = Upload(place, len(content))
        assert upload.patch(content, len(content)).getresponse().status == 204
        assert upload.head() == len(content)

    def test_a_body_is_passed_on_as_it_comes(self, place: Place) -> None:
        """So that after a cut inside a PATCH, what has come is on disk."""
        upload = Upload(place, 1 << 20)
        patch = upload.patch(bytes(300_000), 1 << 20)
        until(lambda: upload.head() >= 200_000, "what was sent is there")
        patch.close()

    def test_host_meta_names_the_way_through_the_proxy(self, place: Place) -> None:
        (link,) = json.loads(place.get("/.well-known/host-meta.json").read())["links"]
        assert link["href"] == f"{'ws' if place.plain else 'wss'}://{NAME}/xmpp"

    def test_who_comes_through_it_is_not_this_machine(self, place: Place) -> None:
        assert place.get("/metrics").status == 403

    def test_a_page_of_the_same_name_may_open_and_a_strangers_may_not(self, place: Place) -> None:
        with place.open("/echo", origin=f"https://{NAME}") as client:
            client.send("hello")
            assert client.recv(PATIENCE) == "hello"
        with pytest.raises(InvalidStatus) as caught:
            place.open("/echo", origin="https://example.net")
        assert caught.value.response.status_code == 403

    def test_a_name_that_is_not_in_hosts_is_refused(self, place: Place) -> None:
        with pytest.raises(InvalidStatus) as caught:
            place.open("/echo", host="other.example.com")
        assert caught.value.response.status_code == 421

    def test_an_idle_websocket_outlives_its_time_out_by_our_pings(self, place: Place) -> None:
        with place.open("/echo") as client:
            with pytest.raises(TimeoutError):
                client.recv(2.5 * TIME_OUT)
            client.send("still here")
            assert client.recv(PATIENCE) == "still here"

    def test_an_idle_websocket_without_pings_is_cut_by_it(self, place: Place) -> None:
        began = time.monotonic()
        with place.open("/quiet") as client, pytest.raises(ConnectionClosedError):
            client.recv(PATIENCE)
        assert TIME_OUT - 1 < time.monotonic() - began < TIME_OUT + 5


@pytest.mark.parametrize("place", WITH_HEADERS, indirect=True)
class TestWhereTlsEndsAtTheProxy:
    """All but haproxy's second way."""

    def test_the_two_ports_are_told_apart(self, place: Place) -> None:
        for secure in (False, True):
            with place.open("/describe", secure=secure) as client:
                told = seen(client)
            assert (told["peer"]["secure"], told["tls"]) == (secure, None)


class TestWhereTlsEndsAtWsd:
    """haproxy's second way."""

    def test_its_handshake_is_seen(self, places: Callable[[str], Place]) -> None:
        with places("haproxy PROXY").open("/describe") as client:
            told = seen(client)
            agreed = cast("ssl.SSLSocket", client.socket).version()
        assert (told["tls"]["version"], told["tls"]["sni"]) == (agreed, NAME)

    def test_who_goes_round_the_proxy_is_dropped(self, places: Callable[[str], Place]) -> None:
        port = places("haproxy PROXY").daemon.port("wss")
        context = ssl.create_default_context()
        client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        with client, pytest.raises(OSError, match=r"(?i)eof|reset"):
            context.wrap_socket(client, server_hostname=NAME)


class TestOverAUnixSocket:
    """The samples with a socket in place of the port, as docs/proxies.md says."""

    @pytest.mark.parametrize("name", WITH_HEADERS)
    def test_the_clients_address_is_seen(self, name: str, tmp_path: Path) -> None:
        makeCertificate(tmp_path)
        config = CONFIG.replace('"127.0.0.1", "::1"]', '"unix"]').replace("port = 0\n", "")
        with TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            unix = Path(folder, "wsd.sock")
            options = ("--listen", f"unix:{unix}:mode=666")
            with runningDaemon(*options, config=config) as daemon, PROXIES[name](tmp_path, daemon, unix) as place:
                with place.open("/describe", additional_headers={"X-Forwarded-For": "203.0.113.9"}) as client:
                    peer = seen(client)["peer"]
                assert (peer["address"], peer["via"], peer["direct"]) == (CLIENT, "unix", False)
