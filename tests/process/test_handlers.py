"""Handlers as a daemon runs them: real threads, real clients, and handlers that misbehave."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from socket import create_connection
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.commands import commandLine, run
from tests.daemon import ROOT, RunningDaemon, runningDaemon

OPENS = "def web_socket_do_extra_handshake(request):\n    pass\n\n\n"

FILES = {
    "echo_wsh.py": OPENS
    + """
def web_socket_transfer_data(request):
    while True:
        message = request.ws_stream.receive_message()
        if message is None:
            return
        request.ws_stream.send_message(message, binary=isinstance(message, bytes))
""",
    "deep/er_wsh.py": """
import names
from mod_pywebsocket import msgutil


def web_socket_do_extra_handshake(request):
    request.ws_protocol = request.ws_requested_protocols[-1]
    request.extra_headers.append(("X-From", names.FROM))


def web_socket_transfer_data(request):
    msgutil.send_message(request, f"{request.uri} {request.ws_protocol}")
""",
    "deep/names.py": 'FROM = "below"\n',
    "pieces_wsh.py": OPENS
    + """
def web_socket_transfer_data(request):
    request.ws_stream.send_message("a", end=False)
    request.ws_stream.send_message("b")
    request.ws_stream.send_message((letter for letter in "cd"))
    request.ws_stream.send_ping("are you there")
    request.ws_stream.send_message(request.ws_stream.receive_message())
    request.ws_stream.close_connection(4000, "that was all")
""",
    "reads_wsh.py": """
import struct


def web_socket_do_extra_handshake(request):
    if "refuse" in request.uri:
        raise ValueError("no")


def web_socket_transfer_data(request):
    first, second = request.connection.read(2)
    mask, payload = request.ws_stream.receive_bytes(4), request.ws_stream.receive_bytes(second & 127)
    plain = bytes(byte ^ mask[number % 4] for number, byte in enumerate(payload))
    request.connection.write(struct.pack("!BB", first, len(plain)) + plain[::-1])
    request.ws_stream.send_message(request.ws_stream.receive_message().upper())
""",
    "later_wsh.py": """
async def web_socket_do_extra_handshake(request):
    request.extra_headers.append(("X-Later", "yes\\r\\nX-Second: too"))


async def web_socket_transfer_data(request):
    async for message in request.ws_stream:
        await request.ws_stream.send_message(message, binary=isinstance(message, bytes))
        if message == "slip":
            raise ValueError(message)
        if message == "close":
            await request.ws_stream.close_connection(4003, "asked for")
""",
    "flood_wsh.py": """
def web_socket_do_extra_handshake(request):
    pass


async def web_socket_transfer_data(request):
    for _ in range(156_000_000 // 65536):
        await request.ws_stream.send_message(bytes(65536), binary=True)
""",
    "forever_wsh.py": """
from twisted.internet.defer import CancelledError, Deferred


def web_socket_do_extra_handshake(request):
    pass


async def web_socket_transfer_data(request):
    try:
        await Deferred()
    except CancelledError:
        print("the coroutine was told")
        raise
""",
    "raises_wsh.py": OPENS + "def web_socket_transfer_data(request):\n    raise ValueError('a slip')\n",
    "loops_wsh.py": OPENS + "def web_socket_transfer_data(request):\n    while True:\n        pass\n",
    "sleeps_wsh.py": OPENS
    + "import time\n\n\ndef web_socket_transfer_data(request):\n    while True:\n        time.sleep(1)\n",
    "twice_wsh.py": OPENS
    + """
def web_socket_transfer_data(request):
    request.ws_stream.close_connection(4001)
    request.ws_stream.close_connection(4002)
    request.ws_stream.send_message("too late")
""",
    "bytes_wsh.py": """
def web_socket_do_extra_handshake(request):
    request.connection.write(b"HTTP/1.1 418 I'm a teapot\\r\\nConnection: close\\r\\n\\r\\n")
    raise __import__("pywebsocket3").handshake.AbortedByUserException("done")


def web_socket_transfer_data(request):
    pass
""",
    "refuses_wsh.py": """
from pywebsocket3 import handshake


def web_socket_do_extra_handshake(request):
    if request.headers_in.get("Origin") == "http://else.test":
        raise handshake.HandshakeException("not from there", 403)


def web_socket_transfer_data(request):
    request.ws_stream.send_message("welcome")
""",
    "lacks_wsh.py": "import a_module_that_is_not_there\n" + OPENS,
    "half_wsh.py": OPENS,
}


BRIEF = "drain = 1\n"
"""Handlers that never return are not waited for."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("handlers")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.fixture(scope="module")
def daemon(folder: Path) -> Iterator[RunningDaemon]:
    with runningDaemon("-w", str(folder), config=BRIEF) as daemon:
        yield daemon


def opened(daemon: RunningDaemon, path: str, **more: Any) -> ClientConnection:
    socket: ClientConnection = connect(f"ws://localhost:{daemon.port()}{path}", compression=None, **more)
    return socket


def closeCode(socket: ClientConnection) -> int | None:
    """The code with which the daemon closes, messages that come before it aside."""
    try:
        while True:
            socket.recv(timeout=20)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else None


def sendAll(socket: ClientConnection, size: int) -> None:
    """Send so many bytes in messages of 64 KiB."""
    frame = b"\x82\xff" + (65536).to_bytes(8, "big") + bytes(4 + 65536)
    for _ in range(size // 65536):
        socket.socket.sendall(frame)


class TestAHandler:
    def test_answers_at_the_path_of_its_file(self, daemon: RunningDaemon) -> None:
        with opened(daemon, "/echo") as socket:
            socket.send("<&> ünï 😀")
            assert socket.recv(timeout=20) == "<&> ünï 😀"
            socket.send(bytes(range(256)))
            assert socket.recv(timeout=20) == bytes(range(256))

    def test_takes_the_place_of_a_built_in_route_and_leaves_the_others(self, daemon: RunningDaemon) -> None:
        # The built-in echo would have chosen one of these; this handler has none.
        with pytest.raises(InvalidStatus) as refused:
            opened(daemon, "/echo", subprotocols=[Subprotocol("soap")])
        assert refused.value.response.status_code == 400
        with opened(daemon, "/describe") as socket:
            assert "line" in str(socket.recv(timeout=20))

    def test_imports_what_is_beside_it_and_the_package_by_its_old_name(self, daemon: RunningDaemon) -> None:
        with opened(daemon, "/deep/er?x=1", subprotocols=[Subprotocol("a"), Subprotocol("b")]) as socket:
            assert socket.response is not None
            assert (socket.subprotocol, socket.response.headers["X-From"]) == ("b", "below")
            assert socket.recv(timeout=20) == "/deep/er?x=1 b"
            assert closeCode(socket) == 1000

    def test_sends_fragments_generators_and_pings_and_closes(self, daemon: RunningDaemon) -> None:
        with opened(daemon, "/pieces") as socket:
            assert [socket.recv(timeout=20), socket.recv(timeout=20)] == ["ab", "cd"]
            socket.send("back")
            assert socket.recv(timeout=20) == "back"
            assert closeCode(socket) == 4000

    def test_is_refused_beyond_the_threads_of_its_route(self, folder: Path) -> None:
        config = f'[route."/few/*"]\nprotocol = "pywebsocket"\nhandlers = "{folder}"\nthreads = 1\n'
        with runningDaemon(config=config) as daemon, opened(daemon, "/few/echo") as first:
            first.send("there")
            first.recv(timeout=20)
            with pytest.raises(InvalidStatus) as refused:
                opened(daemon, "/few/echo")
            assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (503, "5")


class TestAHandlerThatReadsBytes:
    def test_meets_the_frames_as_they_are(self, daemon: RunningDaemon) -> None:
        with opened(daemon, "/reads") as socket:
            socket.send("abc")
            assert socket.recv(timeout=20) == "cba"
            socket.send("and a message")
            assert socket.recv(timeout=20) == "AND A MESSAGE"
            assert closeCode(socket) == 1000

    def test_refuses_as_the_others_do(self, daemon: RunningDaemon) -> None:
        with pytest.raises(InvalidStatus) as refused:
            opened(daemon, "/reads?refuse")
        assert refused.value.response.status_code == 403

    def test_ends_with_its_peer(self, daemon: RunningDaemon) -> None:
        with opened(daemon, "/reads") as client:
            client.socket.close()


class TestACoroutine:
    def test_answers_without_a_thread(self, daemon: RunningDaemon) -> None:
        threads = len(list(Path(f"/proc/{daemon.process.pid}/task").iterdir()))
        with ExitStack() as sockets:
            clients = [sockets.enter_context(opened(daemon, "/later")) for _ in range(20)]
            for number, socket in enumerate(clients):
                socket.send(f"{number} 😀")
            assert [socket.recv(timeout=20) for socket in clients] == [f"{number} 😀" for number in range(20)]
            assert len(list(Path(f"/proc/{daemon.process.pid}/task").iterdir())) <= threads
            assert clients[0].response is not None
            assert clients[0].response.headers["X-Later"] == "yes"
            assert clients[0].response.headers["X-Second"] == "too"

    def test_closes_as_it_likes(self, daemon: RunningDaemon) -> None:
        with opened(daemon, "/later") as socket:
            socket.send("close")
            assert closeCode(socket) == 4003

    def test_closes_with_1011_and_its_line_is_in_the_log(self, daemon: RunningDaemon) -> None:
        with opened(daemon, "/later") as socket:
            socket.send("slip")
            assert closeCode(socket) == 1011
        daemon.waitFor(r"the handler failed at .*later_wsh\.py:10$")

    def test_waits_while_its_peer_does_not_read(self, daemon: RunningDaemon) -> None:
        before = daemon.memory
        with create_connection(("localhost", daemon.port())) as client:
            client.sendall(
                b"GET /flood HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            time.sleep(1.0)
            assert daemon.memory - before < 16 << 20

    def test_is_cancelled_when_its_peer_is_gone(self, daemon: RunningDaemon) -> None:
        with opened(daemon, "/forever") as client:
            client.socket.close()
        daemon.waitFor("the coroutine was told")


class TestAHandlerThatMisbehaves:
    def test_closes_with_1011_and_its_line_is_in_the_log(self, daemon: RunningDaemon, folder: Path) -> None:
        with opened(daemon, "/raises") as socket:
            assert closeCode(socket) == 1011
        line = FILES["raises_wsh.py"].splitlines().index("    raise ValueError('a slip')") + 1
        daemon.waitFor(rf"\[\w+\] the handler failed at {re.escape(str(folder))}/raises_wsh\.py:{line}")

    def test_may_close_twice_but_not_send_after_it(self, daemon: RunningDaemon) -> None:
        with opened(daemon, "/twice") as socket:
            assert closeCode(socket) == 4001
        daemon.waitFor(r"the handler failed at .*twice_wsh\.py")

    def test_leaves_the_others_their_time_when_it_loops(self, daemon: RunningDaemon) -> None:
        with opened(daemon, "/loops") as looping, opened(daemon, "/echo") as socket:
            socket.send("still there")
            assert socket.recv(timeout=20) == "still there"
            looping.socket.close()

    def test_answers_by_bytes_of_its_own(self, daemon: RunningDaemon) -> None:
        with pytest.raises(InvalidStatus) as refused:
            opened(daemon, "/bytes")
        assert refused.value.response.status_code == 418

    def test_refuses_as_it_likes(self, daemon: RunningDaemon) -> None:
        with pytest.raises(InvalidStatus) as refused:
            opened(daemon, "/refuses", origin="http://else.test")
        assert refused.value.response.status_code == 403
        with opened(daemon, "/refuses", origin="http://here.test") as socket:
            assert socket.recv(timeout=20) == "welcome"

    @pytest.mark.parametrize("path", ["/lacks", "/half", "/none"])
    def test_is_not_there_when_it_cannot_be_loaded(self, daemon: RunningDaemon, path: str) -> None:
        with pytest.raises(InvalidStatus) as refused:
            opened(daemon, path)
        assert refused.value.response.status_code == 404

    def test_that_does_not_read_stops_its_sender(self, daemon: RunningDaemon) -> None:
        with opened(daemon, "/sleeps", max_size=None) as client:
            before = daemon.memory
            client.socket.settimeout(2.0)
            with pytest.raises(TimeoutError):
                sendAll(client, 156_000_000)
            assert daemon.memory - before < 16 << 20
            client.socket.close()


class TestLoading:
    WARNINGS = (
        r"lacks_wsh\.py:1: ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
        r"half_wsh\.py: web_socket_transfer_data is not defined\.",
    )

    def test_warns_of_what_is_broken_at_the_start(self, daemon: RunningDaemon) -> None:
        for warning in self.WARNINGS:
            daemon.waitFor(warning)

    def test_warns_of_it_in_a_check(self, folder: Path, tmp_path: Path) -> None:
        done = run(tmp_path, commandLine("twistd -n", "--check", "-w", str(folder)))
        assert (done.returncode, done.stdout) == (0, "ok\n")
        assert [re.search(warning, done.stderr) is not None for warning in self.WARNINGS] == [True, True]

    def test_ends_the_daemon_when_it_is_strict(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text(f'port = 0\nhandlers = "{folder}"\nhandlers_strict = true\n')
        for arguments in (["--check"], []):
            done = run(tmp_path, commandLine("twistd -n", *arguments, "-c", "wsd.toml"))
            assert done.returncode == 1
            assert done.stderr.splitlines()[-1].endswith("fix it, or set handlers_strict = false")

    def test_reads_a_file_again_when_it_changes(self, tmp_path: Path) -> None:
        file = tmp_path / "say_wsh.py"
        says = OPENS + "def web_socket_transfer_data(request):\n    request.ws_stream.send_message({!r})\n"
        stays = says + "    request.ws_stream.receive_message()\n    request.ws_stream.send_message({!r})\n"
        file.write_text(stays.format("old", "old still"))
        with runningDaemon("-w", str(tmp_path)) as daemon, opened(daemon, "/say") as before:
            assert before.recv(timeout=20) == "old"
            seen = len(daemon.lines)
            file.write_text(says.format("new"))
            daemon.waitFor("say_wsh.py at /say", seen)
            with opened(daemon, "/say") as after:
                assert after.recv(timeout=20) == "new"
            before.send("go on")
            assert before.recv(timeout=20) == "old still"
            file.write_text("def broken(:\n")
            daemon.waitFor(r"say_wsh\.py:1: SyntaxError: .*\(the previous version stays in use\)")
            with opened(daemon, "/say") as after:
                assert after.recv(timeout=20) == "new"
            (tmp_path / "more_wsh.py").write_text(says.format("more"))
            daemon.waitFor("more_wsh.py at /more")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("shown")
    page = (ROOT / "docs" / "handlers.md").read_text()
    for code, name in re.findall(r'```python\n("""handlers/(.*?)""".*?)```', page, re.DOTALL):
        (folder / name).write_text(code)
    with runningDaemon("-w", str(folder), config=BRIEF) as daemon:
        yield daemon


class TestThePage:
    @pytest.mark.parametrize(("path", "answer"), [("/choosy", "welcome, you"), ("/shout", "YOU")])
    def test_shows_handlers_that_answer(self, shown: RunningDaemon, path: str, answer: str) -> None:
        with opened(shown, path) as socket:
            socket.send("you")
            assert socket.recv(timeout=20) == answer
