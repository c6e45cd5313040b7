"""`wsd echo`: shows the handshake, sends messages, and times their answers."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.commands import Running, running, wsd
from tests.ports import freePort
from wsd.policies.upgrade import acceptKey

SAYS = re.compile(
    r'^sent "(.*)" \(text, (\d+) bytes?\)\ngot  "(.*)" \(text, (\d+) bytes?\) after \d+\.\d\d ms$', re.MULTILINE
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("daemon")
    options = ("-p", "0", "--tls-port", "0", "--tls-self-signed")
    with running(folder, "twistd -n", *options, STATE_DIRECTORY=str(folder / "state")) as daemon:
        yield daemon


class TestEcho:
    def test_it_shows_the_handshake_says_and_times_and_closes(self, tmp_path: Path, daemon: Running) -> None:
        done = wsd(tmp_path, "echo", f"{daemon.url()}/echo")
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert lines[0] == "> GET /echo HTTP/1.1"
        assert any(line.startswith("> Sec-WebSocket-Key: ") for line in lines)
        assert "< HTTP/1.1 101 Switching Protocols" in lines
        assert "< Upgrade: websocket" in lines
        assert "subprotocol: none" in lines
        assert any(line.startswith("extensions: permessage-deflate") for line in lines)
        assert SAYS.findall(done.stdout) == [("hello", "5", "hello", "5")]
        assert lines[-1] == "closed 1000"

    def test_it_offers_subprotocols_in_order(self, tmp_path: Path, daemon: Running) -> None:
        done = wsd(tmp_path, "echo", f"{daemon.url()}/echo", "--subprotocol", "xmpp", "--subprotocol", "soap")
        assert "> Sec-WebSocket-Protocol: xmpp,soap\n" in done.stdout
        assert "\nsubprotocol: xmpp\n" in done.stdout

    def test_it_says_each_message_so_many_times(self, tmp_path: Path, daemon: Running) -> None:
        done = wsd(tmp_path, "echo", f"{daemon.url()}/echo", "--count", "2", "你好", "b")
        assert [said[0] for said in SAYS.findall(done.stdout)] == ["你好", "b", "你好", "b"]
        assert re.search(r"^4 round trips: min \d.* ms, median \d.* ms, max \d.* ms$", done.stdout, re.MULTILINE)

    def test_it_shows_the_beginning_of_what_is_long(self, tmp_path: Path, daemon: Running) -> None:
        done = wsd(tmp_path, "echo", f"{daemon.url()}/echo", "x" * 1000)
        assert f'sent "{"x" * 200}..." (text, 1000 bytes)\n' in done.stdout

    def test_it_speaks_ipv6(self, tmp_path: Path, daemon: Running) -> None:
        done = wsd(tmp_path, "echo", f"{daemon.url(host='[::1]')}/echo")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.search(r"^> Host: \[::1\]:\d+$", done.stdout, re.MULTILINE)

    def test_a_refusal_is_one_line_with_the_servers_sentence(self, tmp_path: Path, daemon: Running) -> None:
        done = wsd(tmp_path, "echo", f"{daemon.url()}/nowhere")
        assert done.returncode == 1
        assert "< HTTP/1.1 404 Not Found" in done.stdout
        assert (
            done.stderr
            == f"wsd: {daemon.url()}/nowhere: refused with 404 Not Found: there is no WebSocket at /nowhere\n"
        )

    def test_a_close_instead_of_an_answer_is_told(self, tmp_path: Path, daemon: Running) -> None:
        done = wsd(tmp_path, "echo", f"{daemon.url()}/echo?close=4001&reason=enough")
        assert done.returncode == 4
        assert done.stderr.endswith(": the server closed instead of answering: 4001 enough\n")

    def test_nobody_there_is_one_line(self, tmp_path: Path) -> None:
        port = freePort()
        done = wsd(tmp_path, "echo", f"ws://127.0.0.1:{port}/")
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr == (
            f"wsd: ws://127.0.0.1:{port}/: refused: nothing listens at 127.0.0.1 port {port}; "
            "start the daemon, or check the port\n"
        )

    @pytest.mark.parametrize("url", ["ftp://localhost/", "localhost:port", "ws://", "ws://localhost:99999/"])
    def test_what_is_no_url_of_a_websocket_is_told(self, tmp_path: Path, url: str) -> None:
        done = wsd(tmp_path, "echo", url)
        assert done.returncode == 2
        assert re.fullmatch(rf"wsd: {url}: is not a WebSocket URL \(.*\); write ws://HOST:PORT/PATH\n", done.stderr)

    def test_what_is_no_subprotocol_is_told(self, tmp_path: Path) -> None:
        done = wsd(tmp_path, "echo", "ws://localhost/", "--subprotocol", "a b")
        assert done.returncode == 2
        assert '"a b" is not the name of a subprotocol' in done.stderr.splitlines()[-1]


class TestEchoOfOthers:
    """Servers that are not ours."""

    @contextmanager
    def serving(self, answer: Callable[[bytes], bytes]) -> Iterator[tuple[str, list[bytes]]]:
        """A server that gives one answer to one head: where it is, and the head that came."""
        heads: list[bytes] = []
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def serve() -> None:
                client, _ = listening.accept()
                with client:
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        head += client.recv(65536)
                    heads.append(head)
                    client.sendall(answer(head))
                    client.shutdown(socket.SHUT_WR)
                    with suppress(ConnectionResetError):
                        while client.recv(65536):
                            pass

            thread = threading.Thread(target=serve)
            thread.start()
            yield f"127.0.0.1:{listening.getsockname()[1]}", heads
            thread.join(20)

    @staticmethod
    def accepted(head: bytes) -> bytes:
        """Headers in latin-1, at one of whose bytes some begin a line; then a message, and a close without a code."""
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)
        assert key is not None
        return (
            b"HTTP/1.1 101 D\xe9j\xe0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"X-Name: caf\xe9 \x85Sec-WebSocket-Protocol: evil\r\n"
            b"Sec-WebSocket-Accept: " + acceptKey(key[1].decode()).encode() + b"\r\n\r\n\x81\x05hello\x88\x00"
        )

    def test_a_header_beyond_ascii_and_a_close_without_a_code_are_shown(self, tmp_path: Path) -> None:
        with self.serving(self.accepted) as (place, _heads):
            done = wsd(tmp_path, "echo", f"ws://{place}/")
        assert (done.returncode, done.stderr) == (0, "")
        assert "< HTTP/1.1 101 Déjà\n" in done.stdout
        assert "< X-Name: café \\x85Sec-WebSocket-Protocol: evil\n" in done.stdout
        assert done.stdout.endswith("closed without a code\n")

    def test_a_refusal_beyond_ascii_is_one_line(self, tmp_path: Path) -> None:
        with self.serving(lambda head: b"HTTP/1.1 404 Pas trouv\xe9\r\nContent-Length: 0\r\n\r\n") as (place, _heads):
            done = wsd(tmp_path, "echo", f"ws://{place}/")
        assert (done.returncode, done.stderr) == (1, f"wsd: ws://{place}/: refused with 404 Pas trouvé\n")

    def test_a_url_is_encoded_and_its_user_told_in_a_header(self, tmp_path: Path) -> None:
        with self.serving(lambda head: b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n") as (place, heads):
            done = wsd(tmp_path, "echo", f"ws://me:secret@{place}/a b?name=José")
        assert heads[0].startswith(b"GET /a%20b?name=Jos%C3%A9 HTTP/1.1\r\n")
        assert b"\r\nAuthorization: Basic bWU6c2VjcmV0\r\n" in heads[0]
        assert f"\r\nHost: {place}\r\n".encode() in heads[0]
        assert done.stderr == f"wsd: ws://{place}/a b?name=José: refused with 401 Unauthorized\n"
        assert "secret" not in done.stdout
        assert "bWU6c2VjcmV0" not in done.stdout


class TestEchoOverTls:
    def test_a_certificate_that_nobody_vouches_for_is_told(self, tmp_path: Path, daemon: Running) -> None:
        done = wsd(tmp_path, "echo", f"{daemon.url('wss')}/echo")
        assert done.returncode == 3
        assert done.stderr == (
            f"wsd: {daemon.url('wss')}/echo: its certificate is not trusted, or is for another name; "
            "trust it with --ca FILE, or skip the check with --insecure\n"
        )

    def test_insecure_does_not_ask(self, tmp_path: Path, daemon: Running) -> None:
        done = wsd(tmp_path, "echo", f"{daemon.url('wss')}/echo", "--insecure")
        assert (done.returncode, done.stderr) == (0, "")

    def test_ca_trusts_it(self, tmp_path: Path, daemon: Running) -> None:
        certificate = next((daemon.folder / "state").rglob("authority.crt"))
        done = wsd(tmp_path, "echo", f"{daemon.url('wss')}/echo", "--ca", str(certificate))
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_ca_that_is_none_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("nothing")
        done = wsd(tmp_path, "echo", "wss://localhost/", "--ca", "ca.pem")
        assert done.stderr == ("wsd: wss://localhost/: --ca: ca.pem contains no readable certificate; use a PEM file\n")

    def test_tls_where_there_is_none_is_told(self, tmp_path: Path, daemon: Running) -> None:
        done = wsd(tmp_path, "echo", daemon.url().replace("ws:", "wss:"), "--insecure")
        assert done.returncode == 3
        assert " ws://" in done.stderr
