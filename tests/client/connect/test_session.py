"""How `wsd connect` begins and ends: its request, its exit status and sentence, and when it connects again."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import Clock
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close
from websockets.sync.server import ServerConnection

from tests.client.connect.peers import answering, connect, connecting, serving
from tests.commands import PATIENCE
from tests.ports import freePort
from wsd.__main__ import main
from wsd.client.connect import session as module
from wsd.client.connect.session import ClientSession, Outcome, SessionOptions
from wsd.client.failures import ExitStatus, Unanswered, Unwelcome
from wsd.client.target import Target


def refusal(status: str, kind: str = "", body: bytes = b"", more: str = "") -> bytes:
    """A response that refuses."""
    about = f"Content-Type: {kind}\r\n" if kind else ""
    head = f"HTTP/1.1 {status}\r\n{about}{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class TestARefusal:
    def test_is_told_when_its_body_has_come(self, tmp_path: Path) -> None:
        with answering(refusal("403 Forbidden", "text/plain", b"The key has expired.\n")) as (place, _):
            done = connect(tmp_path, f"ws://{place}/")
        assert (done.returncode, done.stderr.decode()) == (
            1,
            f"wsd: ws://{place}/: refused with 403 Forbidden: The key has expired.\n",
        )

    def test_is_told_when_the_server_has_ended_its_body_by_closing(self, tmp_path: Path) -> None:
        with answering(b"HTTP/1.0 401 Who\r\nContent-Type: text/plain\r\n\r\nLog in.") as (place, _):
            done = connect(tmp_path, f"ws://{place}/")
        assert (done.returncode, done.stderr.decode()) == (1, f"wsd: ws://{place}/: refused with 401 Who: Log in.\n")

    def test_by_a_library_is_told_too(self, tmp_path: Path) -> None:
        def refuse(connection: ServerConnection, request: Any) -> Any:
            return connection.respond(403, "Only members.\n")

        with serving(process_request=refuse) as url:
            done = connect(tmp_path, url)
        assert (done.returncode, done.stderr.decode()) == (
            1,
            f"wsd: {url}: refused with 403 Forbidden: Only members.\n",
        )


class TestNoConnection:
    def test_nobody_listens(self, tmp_path: Path) -> None:
        port = freePort()
        done = connect(tmp_path, f"localhost:{port}/x")
        assert done.returncode == ExitStatus.UNREACHABLE
        assert done.stderr.decode() == (
            f"wsd: localhost:{port}/x: refused: nothing listens at localhost port {port}; "
            "start the daemon, or check the port\n"
        )

    def test_there_is_no_such_host(self, tmp_path: Path) -> None:
        done = connect(tmp_path, "ws://nowhere.invalid/")
        assert done.returncode == ExitStatus.UNREACHABLE
        assert done.stderr == b"wsd: ws://nowhere.invalid/: the host nowhere.invalid was not found; check its name\n"

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (b"220 mail.example.com ESMTP\r\n\r\n", "is not a WebSocket server: its answer is not HTTP"),
            (b"", "the server closed the connection without an answer; does it expect TLS (wss://)?"),
            (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
                "is not a WebSocket server, or a broken one: HTTP Sec-WebSocket-Accept header missing in opening "
                "handshake reply",
            ),
        ],
    )
    def test_it_is_no_websocket_server(self, tmp_path: Path, answer: bytes, said: str) -> None:
        with answering(answer) as (place, _):
            done = connect(tmp_path, f"ws://{place}/")
        assert (done.returncode, done.stderr.decode()) == (3, f"wsd: ws://{place}/: {said}\n")


class TestAClose:
    @pytest.mark.parametrize(
        ("code", "status", "said"),
        [
            (1000, 0, ""),
            (1001, 0, ""),
            (1008, 4, "the server closed with 1008 (policy violation): why"),
            (1011, 4, "the server closed with 1011 (internal error): why"),
            (4000, 4, "the server closed with 4000: why"),
        ],
    )
    def test_has_its_exit_status(self, tmp_path: Path, code: int, status: int, said: str) -> None:
        with serving(lambda connection: connection.close(code, "why")) as url:
            done = connect(tmp_path, url)
        assert (done.returncode, done.stderr.decode()) == (status, f"wsd: {url}: {said}\n" if said else "")

    def test_before_enough_messages_came_is_told(self, tmp_path: Path) -> None:
        with serving(lambda connection: connection.send("only")) as url:
            done = connect(tmp_path, url, "--messages", "2")
        assert (done.returncode, done.stdout) == (5, b"only\n")
        assert done.stderr.decode() == (
            f"wsd: {url}: 1 of 2 messages received, then the server closed with 1000 (normal closure)\n"
        )

    def test_that_is_missing_is_told(self, tmp_path: Path) -> None:
        with serving(lambda connection: connection.socket.shutdown(socket.SHUT_RDWR)) as url:
            done = connect(tmp_path, url)
        assert (done.returncode, done.stderr.decode()) == (4, f"wsd: {url}: the connection was lost without a close\n")

    def test_because_of_a_fault_of_the_server_names_the_fault(self, tmp_path: Path) -> None:
        codes: list[int | None] = []

        def handler(connection: ServerConnection) -> None:
            connection.socket.sendall(b"\x81\x01\xff")
            with suppress(ConnectionClosed):
                connection.recv()
            received: Close | None = connection.protocol.close_rcvd
            codes.append(received.code if received else None)

        with serving(handler, compression=None) as url:
            done = connect(tmp_path, url)
        assert done.returncode == 4
        assert re.fullmatch(
            rf"wsd: {url}: the server violated the WebSocket protocol: .*UTF-8.*\n", done.stderr.decode(), re.IGNORECASE
        )
        assert codes == [1007]


class TestTheRequest:
    def request(self, folder: Path, *arguments: str, url: str = "") -> list[str]:
        """The lines of the request."""
        with answering(refusal("400 Enough")) as (place, heads):
            connect(folder, url.replace("HOST", place) or place, *arguments)
        return heads[0].decode().split("\r\n")

    def test_takes_http_for_ws_and_no_scheme_for_ws(self, tmp_path: Path) -> None:
        for url in ("http://HOST/a b?q=é", "HOST/a b?q=é", "ws://HOST/a b?q=é"):
            assert self.request(tmp_path, url=url)[0] == "GET /a%20b?q=%C3%A9 HTTP/1.1"

    def test_has_header_fields_of_ones_own(self, tmp_path: Path) -> None:
        lines = self.request(
            tmp_path, "-H", "X-One: 1", "-H", "x-one: é", "-H", "Host: example.com", "-H", "User-Agent: me"
        )
        assert "X-One: 1" in lines
        assert "x-one: é" in lines
        assert [line for line in lines if line.startswith(("Host", "User-Agent"))] == [
            "Host: example.com",
            "User-Agent: me",
        ]

    def test_has_an_origin_subprotocols_and_credentials(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("abc\n")
        lines = self.request(tmp_path, "--origin", "https://example.com", "--subprotocol", "b", "--subprotocol", "a")
        assert "Origin: https://example.com" in lines
        assert "Sec-WebSocket-Protocol: b,a" in lines
        assert "Authorization: Basic bWU6czplY3JldA==" in self.request(tmp_path, "--basic", "me:s:ecret")
        assert "Authorization: Bearer abc" in self.request(tmp_path, "--bearer", "@token")
        assert "Authorization: Basic bWU6eA==" in self.request(tmp_path, url="ws://me:x@HOST/")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["-H", "nothing"], '"nothing" is not a header field; write NAME: VALUE'),
            (["-H", "a b: c"], '"a b: c" is not a header field; write NAME: VALUE'),
            (["-H", "A: b\nC: d"], "the value of A contains a line break"),
            (["-H", "Upgrade: h2c"], "Upgrade is part of the handshake and cannot be changed"),
            (["-H", "Sec-WebSocket-Protocol: a"], "--subprotocol NAME offers a subprotocol"),
            (["--subprotocol", "a b"], '"a b" is not the name of a subprotocol'),
            (["--basic", "me"], "--basic: write USER:PASSWORD, with a colon between them"),
            (["--bearer", "@nowhere"], "--bearer: nowhere cannot be read: No such file or directory"),
            (["--key", "k.pem"], "--key: needs the certificate that it belongs to; add --cert"),
            (["--messages", "0"], '"0" is not a number of messages; write 1 or more'),
            (["--wait", "soon"], '"soon" is not a number of seconds; write one such as 2.5, or inf'),
            (["--wait", "nan"], '"nan" is not a number of seconds'),
            (["--chunk", "0"], "0 is not a size; write 1 or more"),
            (["--chunk", "some"], '"some" is not a size; write bytes or "1 MiB"'),
            (["--proxy", "socks5://a:1"], '"socks5" is not a supported kind of proxy; write http://HOST:PORT'),
            (["--lines", "--binary"], "not allowed with argument"),
            (["--ca", "a", "--insecure"], "not allowed with argument"),
        ],
    )
    def test_that_cannot_be_is_told(self, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
        with pytest.raises(SystemExit) as raised:
            main(["connect", "ws://localhost:1/", *arguments])
        assert raised.value.code == ExitStatus.USAGE
        assert said in capsys.readouterr().err.splitlines()[-1]

    def test_to_no_url_is_told(self, tmp_path: Path) -> None:
        done = connect(tmp_path, "ftp://localhost/")
        assert done.returncode == ExitStatus.USAGE
        assert done.stderr.decode() == (
            'wsd: ftp://localhost/: is not a WebSocket URL (the scheme "ftp" is not ws or wss); '
            "write ws://HOST:PORT/PATH\n"
        )


class TestReconnect:
    def test_goes_on_until_the_server_closes_normally(self, tmp_path: Path) -> None:
        acts: list[Callable[[ServerConnection], object]] = [
            lambda connection: connection.socket.shutdown(socket.SHUT_RDWR),
            lambda connection: connection.close(1012),
            lambda connection: connection.send("there"),
        ]
        with serving(lambda connection: acts.pop(0)(connection)) as url:
            done = connect(tmp_path, url, "--reconnect", "--wait", "inf")
        assert (done.returncode, done.stdout) == (0, b"there\n")
        lost, restarted = done.stderr.decode().splitlines()
        assert re.fullmatch(r"wsd: the connection was lost without a close; retrying in \d\.\d s", lost)
        assert re.fullmatch(r"wsd: the server closed with 1012 \(service restart\); retrying in \d\.\d s", restarted)

    def test_a_line_that_was_not_sent_is_sent_on_the_next_connection(self, tmp_path: Path) -> None:
        acts: list[Callable[[ServerConnection], object]] = [
            lambda connection: connection.close(1012),
            lambda connection: connection.send(connection.recv()),
        ]
        with (
            serving(lambda connection: acts.pop(0)(connection)) as url,
            connecting(tmp_path, url, "--reconnect", "--messages", "1") as process,
        ):
            assert process.stderr is not None
            assert b"retrying" in process.stderr.readline()
            out, _ = process.communicate(b"kept\n", PATIENCE)
        assert (process.returncode, out) == (0, b"kept\n")


class Front:
    """A front that notes what it is told."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.messages: list[bytes] = []
        self.isFull = False

    def handshake(self, lines: list[str]) -> None:
        """There is none."""

    def connected(self, connection: object) -> None:
        """Nothing is to be sent."""

    def frame(self, mark: str, text: str) -> None:
        """Nothing is shown."""

    def received(self, payload: bytes, isBinary: bool) -> bool:
        self.messages.append(payload)
        return not self.isFull

    def retrying(self, sentence: str, seconds: float) -> None:
        self.pauses.append(seconds)

    def finish(self, interrupted: bool) -> Deferred[None]:
        return succeed(None)


class FakeConnection:
    """An open connection to a server that answers nothing by itself."""

    fault = None
    isFull = False
    heads: ClassVar[list[str]] = []

    def __init__(self) -> None:
        self.user: Any = None
        self.isOpen = True
        self.closing: tuple[int | None, str] | None = None
        self.opened = succeed(None)
        self.closed: Deferred[str] = Deferred()
        self.held: list[bool] = []

    def hold(self, held: bool) -> None:
        self.held.append(held)

    def close(self, code: int, reason: str) -> None:
        self.isOpen = False

    def abort(self) -> None:
        self.closed.callback("lost")


class TestAServerThatDoesNotAnswerTheClose:
    """In memory: the connection is not a real one, and the clock is the test's."""

    @pytest.fixture
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        async def connected(*arguments: Any) -> FakeConnection:
            return self.connection

        monkeypatch.setattr(module, "connect", connected)
        self.connection, self.clock, self.front = FakeConnection(), Clock(), Front()
        self.session = ClientSession(self.clock, Target("ws://localhost/"), SessionOptions())
        self.session.front = self.front  # type: ignore[assignment]
        self.ended: list[Outcome] = []
        ensureDeferred(self.session.run()).addCallback(self.ended.append)
        return self.session

    def test_is_waited_for_ten_seconds(self, opened: ClientSession) -> None:
        opened.inputEnded()
        self.clock.advance(1)
        assert not self.connection.isOpen
        self.clock.advance(9.9)
        assert not self.ended
        self.clock.advance(0.1)
        assert self.ended == [Outcome(ExitStatus.ABNORMAL, "the server did not answer the close")]

    def test_is_waited_for_while_messages_come(self, opened: ClientSession) -> None:
        opened.end(ExitStatus.DONE, mustClose=True)
        for _ in range(3):
            self.clock.advance(9)
            opened.received(b"late", False)
        assert not self.ended
        self.connection.closing = (1000, "")
        self.connection.closed.callback("1000")
        assert self.ended == [Outcome(ExitStatus.DONE)]
        assert self.front.messages == [b"late"] * 3
        assert not self.clock.getDelayedCalls()

    def test_is_waited_for_while_standard_output_is_full(self, opened: ClientSession) -> None:
        self.front.isFull = True
        opened.end(ExitStatus.DONE, mustClose=True)
        opened.received(b"much", False)
        self.clock.advance(10)
        self.clock.advance(10)
        assert not self.ended
        opened.resume()
        assert self.connection.held == [False, True, False]
        self.clock.advance(10)
        assert len(self.ended) == 1

    def test_is_waited_for_one_second_after_an_interrupt(self, opened: ClientSession) -> None:
        opened.interrupt()
        self.clock.advance(0.9)
        assert not self.ended
        self.clock.advance(0.1)
        assert self.ended == [Outcome(ExitStatus.INTERRUPTED)]

    def test_cannot_turn_an_end_that_was_reached_into_a_failure(self, opened: ClientSession) -> None:
        opened.end(ExitStatus.DONE)
        self.clock.advance(10)
        assert self.ended == [Outcome(ExitStatus.DONE)]


class TestPauses:
    """In memory: nothing can be connected to, and the clock is the test's."""

    def session(
        self, monkeypatch: pytest.MonkeyPatch, error: Unanswered, reconnect: bool = True
    ) -> tuple[ClientSession, Front, Clock, list[Outcome]]:
        async def refuse(*arguments: Any) -> None:
            raise error

        monkeypatch.setattr(module, "connect", refuse)
        clock, front = Clock(), Front()
        session = ClientSession(clock, Target("ws://localhost/"), SessionOptions(reconnect=reconnect))
        session.front = front  # type: ignore[assignment]
        ended: list[Outcome] = []
        ensureDeferred(session.run()).addCallback(ended.append)
        return session, front, clock, ended

    def test_grow_to_half_a_minute_with_jitter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _, front, clock, ended = self.session(monkeypatch, Unanswered("no"))
        for _ in range(12):
            clock.advance(front.pauses[-1])
        longest = [min(30.0, 0.5 * 2**number) for number in range(13)]
        assert all(most / 2 <= pause <= most for pause, most in zip(front.pauses, longest, strict=True))
        assert len(set(front.pauses)) == 13
        assert not ended

    def test_end_with_the_session(self, monkeypatch: pytest.MonkeyPatch) -> None:
        session, _, clock, ended = self.session(monkeypatch, Unanswered("no"))
        session.interrupt()
        assert [outcome.status for outcome in ended] == [ExitStatus.INTERRUPTED]
        assert not clock.getDelayedCalls()

    @pytest.mark.parametrize(
        ("error", "isFinal"),
        [
            (Unanswered("no"), False),
            (Unanswered("no", ExitStatus.USAGE), True),
            (Unwelcome("no", 401), True),
            (Unwelcome("no", 404), True),
            (Unwelcome("no", 408), False),
            (Unwelcome("no", 429), False),
            (Unwelcome("no", 502), False),
            (Unwelcome("no", 503), False),
        ],
    )
    def test_are_made_only_if_another_attempt_may_succeed(
        self, monkeypatch: pytest.MonkeyPatch, error: Unanswered, isFinal: bool
    ) -> None:
        _, _, _, ended = self.session(monkeypatch, error)
        assert bool(ended) == isFinal

    def test_are_not_made_unless_they_are_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _, _, _, ended = self.session(monkeypatch, Unanswered("no"), reconnect=False)
        assert ended == [Outcome(ExitStatus.UNREACHABLE, "no")]
