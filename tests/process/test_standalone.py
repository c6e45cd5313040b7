"""`wsd standalone` as a process: files, CGI programs, passwords, TLS, and what is wrong told in a line."""

from __future__ import annotations

import gzip
import http.client
import os
import re
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.certificates import Authority
from tests.commands import PATIENCE, ROOT, environment
from tests.threadedtls import trusting

ECHO = """
def web_socket_do_extra_handshake(request):
    pass


def web_socket_transfer_data(request):
    request.ws_stream.send_message(request.ws_stream.receive_message())
"""

PROGRAM = """#!/usr/bin/python3
import os, sys
print("Content-Type: text/plain")
print("Status: 201 Made")
print()
names = "REQUEST_METHOD QUERY_STRING PATH_INFO SCRIPT_NAME REMOTE_ADDR SECRET HTTP_AUTHORIZATION"
for name in [*names.split(), "CONTENT_LENGTH", "HTTP_CONTENT_ENCODING"]:
    print(name, os.environ.get(name))
print(sys.argv[1:], sys.stdin.read())
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    (root / "index.html").write_text("<title>here</title>")
    (root / "sub").mkdir()
    (root / "sub" / "a.txt").write_text("content")
    (root / ".hidden").write_text("secret")
    (root / "echo_wsh.py").write_text(ECHO)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "secret.txt").write_text("secret")
    (elsewhere / "index.html").write_text("secret")
    (elsewhere / "program").write_text(PROGRAM)
    (elsewhere / "program").chmod(0o755)
    (root / "out.txt").symlink_to(elsewhere / "secret.txt")
    (root / "out").symlink_to(elsewhere)
    (root / "sub" / "index.html").symlink_to(elsewhere / "index.html")
    (root / "in.txt").symlink_to(root / "sub" / "a.txt")
    (root / "shown.txt").symlink_to(root / ".hidden")
    (root / "source.txt").symlink_to(root / "echo_wsh.py")
    (root / "cgi-bin").mkdir()
    (root / "cgi-bin" / "says").write_text(PROGRAM)
    (root / "cgi-bin" / "says").chmod(0o755)
    (root / "cgi-bin" / "plain").write_text(PROGRAM)
    (root / "cgi-bin" / "out").symlink_to(elsewhere / "program")
    (root / "cgi-bin" / "waits").write_text("#!/bin/sh\necho $$ > waits.pid\nexec sleep 100\n")
    (root / "cgi-bin" / "waits").chmod(0o755)
    return root


@contextmanager
def standalone(root: Path, *arguments: str, scheme: str = "ws") -> Iterator[int]:
    """The server of a folder: the port that it says."""
    command = [sys.executable, "-m", "wsd", "standalone", "-p", "0", "-d", str(root), "--log-level", "info", *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(SECRET="x"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        said = ""
        for line in process.stdout:
            said += line
            if found := re.search(rf"listening {scheme}://127\.0\.0\.1:(\d+)/", line):
                break
        else:
            pytest.fail(said)
        yield int(found[1])
    finally:
        process.terminate()
        assert process.wait(PATIENCE) in (0, -15)
        process.stdout.close()


def ask(
    port: int, method: str, path: str, body: str | bytes | None = None, **fields: str
) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, fields)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.getheaders()}
    connection.close()
    return found


@pytest.fixture(scope="module")
def port(root: Path) -> Iterator[int]:
    with standalone(root, "-x", "/cgi-bin") as port:
        yield port


class TestFiles:
    def test_are_those_of_the_document_root(self, port: int) -> None:
        assert ask(port, "GET", "/")[:2] == (200, "<title>here</title>")
        status, content, fields = ask(port, "GET", "/sub/a.txt")
        assert (status, content, fields["content-type"]) == (200, "content", "text/plain")
        assert ask(port, "HEAD", "/sub/a.txt")[:2] == (200, "")

    def test_of_a_folder_are_listed_behind_its_slash(self, port: int) -> None:
        status, _, fields = ask(port, "GET", "/sub?x=1")
        assert (status, fields["location"].endswith("/sub/?x=1")) == (302, True)
        assert "a.txt" in ask(port, "GET", "/sub/")[1]

    @pytest.mark.parametrize(
        "path", ["/out.txt", "/out/", "/out/secret.txt", "/shown.txt", "/source.txt", "/cgi-bin/out"]
    )
    def test_that_only_a_link_leads_to_are_not_there(self, port: int, path: str) -> None:
        assert ask(port, "GET", path)[0] == 404

    def test_of_a_link_within_the_folder_are_there(self, port: int) -> None:
        assert ask(port, "GET", "/in.txt")[:2] == (200, "content")

    def test_that_are_not_there_are_not_listed(self, port: int) -> None:
        status, listing, _ = ask(port, "GET", "/sub/")
        assert status == 200
        assert "a.txt" in listing
        assert "index.html" not in listing

    @pytest.mark.parametrize(
        "path", ["/.hidden", "/echo_wsh.py", "/none", "/../etc/passwd", "/%2e%2e/etc/passwd", "/sub%2Fa.txt", "/%00"]
    )
    def test_that_are_hidden_or_elsewhere_are_not_there(self, port: int, path: str) -> None:
        assert ask(port, "GET", path)[0] in (400, 404)

    def test_are_only_read(self, port: int) -> None:
        assert ask(port, "POST", "/sub/a.txt", "x")[0] == 405

    def test_are_beside_the_handlers(self, port: int) -> None:
        with connect(f"ws://127.0.0.1:{port}/echo") as socket:
            socket.send("hello")
            assert socket.recv(timeout=20) == "hello"


class TestPrograms:
    def test_answer_with_what_they_are_given(self, port: int) -> None:
        status, content, fields = ask(port, "POST", "/cgi-bin/says/more/1?x+y", "the body", Authorization="Basic x")
        assert (status, fields["content-type"]) == (201, "text/plain")
        assert content.splitlines() == [
            "REQUEST_METHOD POST",
            "QUERY_STRING x+y",
            "PATH_INFO /more/1",
            "SCRIPT_NAME /cgi-bin/says",
            "REMOTE_ADDR 127.0.0.1",
            "SECRET None",
            "HTTP_AUTHORIZATION None",
            "CONTENT_LENGTH 8",
            "HTTP_CONTENT_ENCODING None",
            "[] the body",
        ]

    def test_get_a_compressed_body_as_it_was(self, port: int) -> None:
        body, fields = gzip.compress(b"the body" * 1000), {"Content-Encoding": "gzip"}
        content = ask(port, "POST", "/cgi-bin/says", body, **fields)[1]
        assert "CONTENT_LENGTH 8000\nHTTP_CONTENT_ENCODING None\n" in content
        assert content.endswith(f"[] {'the body' * 1000}\n")

    def test_get_no_body_in_another_coding(self, port: int) -> None:
        status, _, fields = ask(port, "POST", "/cgi-bin/says", "x", **{"Content-Encoding": "br"})
        assert (status, fields["accept-encoding"]) == (415, "gzip, deflate")

    def test_are_files_that_may_run(self, port: int) -> None:
        assert ask(port, "GET", "/cgi-bin/plain")[0] == 403
        assert ask(port, "GET", "/cgi-bin/none")[0] == 404

    def test_end_when_nobody_waits_for_them(self, port: int, root: Path) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/cgi-bin/waits")
        file = root / "cgi-bin" / "waits.pid"
        _until(lambda: file.exists() and file.read_text().endswith("\n"))
        number = int(file.read_text())
        connection.close()
        _until(lambda: not os.path.exists(f"/proc/{number}"))

    def test_are_files_like_others_unless_a_path_is_theirs(self, root: Path) -> None:
        with standalone(root) as port:
            assert ask(port, "GET", "/cgi-bin/says")[:2] == (200, PROGRAM)


def _until(isTrue: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not isTrue():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_password_is_asked_for_everywhere(root: Path) -> None:
    right = "Basic " + b64encode(b"me:secret").decode()
    with standalone(root, "--basic-auth", "--basic-auth-credential", "me:secret", "-x", "/cgi-bin") as port:
        for path in ("/", "/cgi-bin/says", "/none"):
            status, _, fields = ask(port, "GET", path)
            assert (status, fields["www-authenticate"]) == (401, 'Basic realm="wsd", charset="UTF-8"')
        assert ask(port, "GET", "/", Authorization=right)[0] == 200
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        upgrade |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        assert ask(port, "GET", "/echo", **upgrade)[0] == 401
        with connect(f"ws://127.0.0.1:{port}/echo", additional_headers={"Authorization": right}) as socket:
            socket.send("hello")
            assert socket.recv(timeout=20) == "hello"


def test_the_log_goes_to_a_file_that_turns(root: Path, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    command = [sys.executable, "-m", "wsd", "standalone", "-p", "0", "-d", str(root), "-l", str(log)]
    command += ["--log-level", "debug", "--log-max", "2000", "--log-count", "2"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
    try:
        _until(lambda: log.exists() and "listening ws://127.0.0.1" in log.read_text())
        found = re.search(r"listening ws://127\.0\.0\.1:(\d+)/", log.read_text())
        assert found is not None
        for _ in range(60):
            ask(int(found[1]), "GET", "/none")
        _until(
            lambda: sorted(path.name for path in tmp_path.iterdir()) == ["server.log", "server.log.1", "server.log.2"]
        )
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_tls_takes_the_port(root: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server("a", "localhost")
    trust = trusting(authority.path)
    with (
        standalone(root, "-t", "-c", pair.cert, "-k", pair.key, scheme="wss") as port,
        connect(f"wss://localhost:{port}/echo", ssl=trust) as socket,
    ):
        socket.send("hello")
        assert socket.recv(timeout=20) == "hello"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["-d", "/nowhere"],
            "wsd: --document-root: /nowhere cannot be entered: No such file or directory; name a folder",
        ),
        (["-w", "/nowhere"], "wsd: --websock-handlers: /nowhere is not a folder; name one that is there"),
        (["-t"], "wsd: --tls: needs --private-key and --certificate, PEM files; --private-key is missing"),
        (["-p", "70000"], "wsd: --port: 70000 is too large; the maximum is 65535"),
        (["--config", "/nowhere.ini"], "wsd: /nowhere.ini: cannot be read: No such file or directory"),
    ],
)
def test_a_slip_is_one_line(root: Path, arguments: list[str], sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wsd", "standalone", "-d", str(root), *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (1, f"{sentence}\n")
