"""`wsd connect` with what is not ours: TLS and HTTP proxies, and a server of another language."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL

import pytest

from tests.certificates import Authority
from tests.client.connect.peers import connect, connecting, echo, serving
from tests.commands import PATIENCE
from tests.ports import freePort
from tests.process.test_proxies import serving as servingProxy

SCRIPT = Path(__file__).with_name("ws.mjs")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def secured(authority: Authority, *names: str, clients: bool = False) -> Iterator[tuple[str, list[str | None]]]:
    """The URL of a TLS server with a certificate for these names, and the names that clients asked for."""
    files = authority.server("server", *names)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.cert, files.key)
    asked: list[str | None] = []
    context.sni_callback = lambda connection, name, _: asked.append(name)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.path)
    with serving(echo, "wss", ssl=context) as url:
        yield url.replace("127.0.0.1", "localhost"), asked


class TestTls:
    def test_a_certificate_of_a_named_authority_is_trusted(self, tmp_path: Path, authority: Authority) -> None:
        with secured(authority, "localhost") as (url, asked):
            done = connect(
                tmp_path,
                url.replace("wss:", "https:"),
                "--ca",
                str(authority.path),
                "--messages",
                "1",
                stdin=b"a\n",
            )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"a\n", b"")
        assert asked == ["localhost"]

    def test_another_certificate_is_not(self, tmp_path: Path, authority: Authority) -> None:
        with secured(authority, "other.example.com") as (url, _):
            unknown = connect(tmp_path, url)
            named = connect(tmp_path, url, "--ca", str(authority.path))
        for done in (unknown, named):
            assert done.returncode == 3
            assert done.stderr.decode() == (
                f"wsd: {url}: its certificate is not trusted, or is for another name; "
                "trust it with --ca FILE, or skip the check with --insecure\n"
            )

    def test_insecure_asks_for_the_name_and_checks_nothing(self, tmp_path: Path, authority: Authority) -> None:
        with secured(authority, "other.example.com") as (url, asked):
            done = connect(tmp_path, url, "--insecure", "--messages", "1", stdin=b"a\n")
        assert (done.returncode, done.stdout) == (0, b"a\n")
        assert asked == ["localhost"]

    @pytest.mark.parametrize("insecure", [False, True])
    def test_a_client_has_a_certificate_of_its_own(self, tmp_path: Path, authority: Authority, insecure: bool) -> None:
        files = authority.client("me")
        whole = tmp_path / "whole.pem"
        whole.write_bytes(Path(files.cert).read_bytes() + Path(files.key).read_bytes())
        trust = ["--insecure"] if insecure else ["--ca", str(authority.path)]
        with secured(authority, "localhost", clients=True) as (url, _):
            for own in (["--cert", files.cert, "--key", files.key], ["--cert", str(whole)]):
                done = connect(tmp_path, url, *trust, *own, "--messages", "1", stdin=b"a\n")
                assert (done.returncode, done.stdout) == (0, b"a\n")
            without = connect(tmp_path, url, *trust)
        assert without.returncode == 3

    def test_files_that_are_none_are_told(self, tmp_path: Path, authority: Authority) -> None:
        mine, other = authority.client("mine"), authority.client("other")
        for own, said in (
            (["--cert", "nowhere"], "--cert: nowhere cannot be read: No such file or directory"),
            (["--cert", mine.key], f"--cert: {mine.key} contains no readable certificate; use a PEM file"),
            (
                ["--cert", mine.cert],
                f"--cert: {mine.cert} contains no private key that is readable without a passphrase; use a PEM file",
            ),
            (["--cert", mine.cert, "--key", other.key], f"--key: {other.key} does not match the certificate"),
        ):
            done = connect(tmp_path, "wss://localhost:1/", *own)
            assert (done.returncode, done.stderr.decode()) == (2, f"wsd: wss://localhost:1/: {said}\n")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The place of Apache as a forward proxy that asks for a password, and refuses some ports."""
    folder = tmp_path_factory.mktemp("proxy")
    port = freePort()
    (folder / "users").write_text("me:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")  # secret
    modules = "mpm_event authn_core authn_file authz_core authz_user auth_basic proxy proxy_connect".split()
    lines = [
        *(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in modules),
        f"ServerRoot {folder}",
        f"PidFile {folder}/pid",
        f"ErrorLog {folder}/error.log",
        "ServerName proxy.example.com",
        f"Listen 127.0.0.1:{port}",
        "ProxyRequests On",
        "AllowCONNECT 1024-65535",
        "<Proxy *>",
        "AuthType Basic",
        "AuthName proxy",
        f"AuthUserFile {folder}/users",
        "Require valid-user",
        "</Proxy>",
    ]
    (folder / "apache2.conf").write_text("\n".join(lines) + "\n")
    with servingProxy(["apache2", "-f", str(folder / "apache2.conf"), "-DFOREGROUND"], folder, [port]):
        yield f"127.0.0.1:{port}"


class TestAProxy:
    def test_connects_to_the_server(self, tmp_path: Path, proxy: str) -> None:
        with serving() as url:
            done = connect(tmp_path, url, "--proxy", f"http://me:secret@{proxy}", "--messages", "1", stdin=b"a\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"a\n", b"")

    def test_connects_to_a_tls_server_whose_certificate_is_checked(
        self, tmp_path: Path, proxy: str, authority: Authority
    ) -> None:
        through = ["--proxy", f"me:secret@{proxy}", "--messages", "1"]
        with secured(authority, "localhost") as (url, asked):
            done = connect(tmp_path, url, *through, "--ca", str(authority.path), stdin=b"a\n")
            untrusted = connect(tmp_path, url, *through, stdin=b"a\n")
        assert (done.returncode, done.stdout) == (0, b"a\n")
        assert untrusted.returncode == 3
        assert asked == ["localhost", "localhost"]

    @pytest.mark.parametrize(
        ("user", "place", "said"),
        [
            (
                "",
                "localhost:2000",
                "refused with 407 Proxy Authentication Required; --proxy http://USER:PASSWORD@HOST:PORT sends "
                "credentials",
            ),
            ("me:secret@", "localhost:80", "refused with 403 Proxy Error"),
        ],
    )
    def test_that_refuses_is_told(self, tmp_path: Path, proxy: str, user: str, place: str, said: str) -> None:
        host, _, port = proxy.partition(":")
        done = connect(tmp_path, f"ws://{place}/", "--proxy", f"http://{user}{proxy}")
        assert done.returncode == 3
        assert done.stderr.decode() == f"wsd: ws://{place}/: the proxy {host} port {port} {said}\n"

    def test_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        port = freePort()
        done = connect(tmp_path, "ws://localhost/", "--proxy", f"127.0.0.1:{port}")
        assert done.returncode == 3
        assert done.stderr.decode() == (
            f"wsd: ws://localhost/: refused: nothing listens at the proxy 127.0.0.1 port {port}; "
            "start the daemon, or check the port\n"
        )

    def test_that_is_none_is_told(self, tmp_path: Path) -> None:
        with serving() as url:
            place = url.removeprefix("ws://").removesuffix("/")
            done = connect(tmp_path, "ws://localhost/", "--proxy", place)
        assert done.returncode == 3
        host, _, port = place.partition(":")
        assert done.stderr.decode().startswith(f"wsd: ws://localhost/: the proxy {host} port {port} ")


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """The URL of npm's ws."""
    process = subprocess.Popen(["node", str(SCRIPT)], stdout=subprocess.PIPE, env=os.environ)
    try:
        assert process.stdout is not None
        yield f"ws://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


class TestNode:
    def test_answers_lines_in_both_directions_with_compression(self, tmp_path: Path, node: str) -> None:
        lines = b"".join(b"%d %s\n" % (number, b"x" * (number % 2000)) for number in range(5000))
        done = connect(tmp_path, f"{node}/", "--wait", "0", "--print", "handshake", stdin=lines)
        assert b"< Sec-WebSocket-Extensions: permessage-deflate" in done.stderr
        assert (done.returncode, done.stdout == lines) == (0, True)

    def test_sends_fragments_with_a_ping_between(self, tmp_path: Path, node: str) -> None:
        done = connect(tmp_path, f"{node}/fragments", "--messages", "1", "--print", "all")
        assert (done.returncode, done.stdout) == (0, b"fragments\n")
        assert b'< ping "between"\n' in done.stderr

    def test_has_sent_before_its_close_what_a_slow_reader_still_gets(self, tmp_path: Path, node: str) -> None:
        with connecting(
            tmp_path, f"{node}/flood", "--binary", "--wait", "0.5", "--print", "all", stdin=DEVNULL
        ) as process:
            assert process.stderr is not None
            line = b""
            while line != b"> close 1000 (normal closure)\n":
                line = process.stderr.readline()
                assert line
            out, said = process.communicate(timeout=PATIENCE)
        assert (process.returncode, said) == (0, b"< close 1000 (normal closure)\n")
        assert len(out) == 800 * 65536
