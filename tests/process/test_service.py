"""The daemon as a process: it starts, reloads and stops, and its clients see no more of that than they must."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect, unix_connect

from tests.commands import until
from tests.daemon import PATIENCE, RunningDaemon, runningDaemon
from tests.ports import freePort
from wsd.frames import choose
from wsd.protocols.xmpp.sqlite import SqliteStore

ENDED = (0, -signal.SIGTERM)
"""Twisted ends itself by the signal it was stopped with, when all is done."""


def fetch(daemon: RunningDaemon, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.port()}{path}", timeout=10) as answer:
        return json.load(answer)


def open_(daemon: RunningDaemon, path: str = "/echo") -> ClientConnection:
    return connect(f"ws://localhost:{daemon.port()}{path}", legacy=True)


def hasReceived(daemon: RunningDaemon) -> bool:
    """Whether a message has arrived at a route. A ping would be answered only after the messages before it."""
    return any(route["messages"] for route in fetch(daemon, "/_wsd/status.json")["routes"])


def canConnect(daemon: RunningDaemon) -> bool:
    try:
        socket.create_connection(("127.0.0.1", daemon.port()), 10).close()
    except ConnectionRefusedError:
        return False
    return True


class TestStarting:
    """One line a listener."""

    def test_each_listener_is_announced_and_answers(self) -> None:
        with runningDaemon() as daemon:
            daemon.waitFor(r"listening ws://\[::1\]:\d+/")
            for host in ("127.0.0.1", "[::1]", "localhost"):
                with connect(f"ws://{host}:{daemon.port()}/echo") as client:
                    client.send("hello")
                    assert client.recv(10) == "hello"

    def test_it_is_healthy_and_ready_and_names_its_plane_and_routes(self) -> None:
        with runningDaemon() as daemon:
            assert fetch(daemon, "/healthz") == {"status": "ok"}
            ready = fetch(daemon, "/readyz")
            assert ready["ready"] is True
            assert ready["plane"] == choose("auto").name
            assert set(ready["routes"]) >= {"/", "/echo", "/ws", "/describe"}

    def test_a_wider_address_is_said(self) -> None:
        with runningDaemon("-H", "0.0.0.0") as daemon:
            daemon.waitFor(r"0\.0\.0\.0:\d+/ accepts connections from other machines")

    def test_a_unix_socket_answers_and_is_removed_at_the_end(self, tmp_path: Any) -> None:
        path = tmp_path / "wsd.sock"
        with runningDaemon("--listen", f"unix:{path}") as daemon:
            daemon.waitFor(r"listening ws\+unix:")
            with unix_connect(str(path), uri="ws://anything/echo") as client:
                client.send("hello")
                assert client.recv(10) == "hello"
            daemon.stop()
        assert not path.exists()

    @pytest.mark.parametrize("mode", ["600", "660", "666"])
    def test_a_unix_socket_keeps_its_mode_while_the_daemon_runs(self, mode: str, tmp_path: Any) -> None:
        path = tmp_path / "wsd.sock"
        with runningDaemon("--listen", f"unix:{path}:mode={mode}") as daemon:
            daemon.waitFor(r"listening ws\+unix:")
            with unix_connect(str(path), uri="ws://anything/echo"):
                assert f"{path.stat().st_mode & 0o777:o}" == mode

    def test_another_endpoint_of_twisteds_serves_too(self) -> None:
        number = freePort()
        with runningDaemon("--listen", f"haproxy:tcp:{number}:interface=127.0.0.1") as daemon:
            daemon.waitFor("listening haproxy:")
            with socket.create_connection(("127.0.0.1", number)) as client:
                client.sendall(b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n")
                client.sendall(b"GET /describe HTTP/1.0\r\nHost: localhost\r\n\r\n")
                assert b"203.0.113.7" in b"".join(iter(lambda: client.recv(4096), b""))


def stored(folder: Path) -> Path:
    """A store of XMPP with a user in it."""
    path = folder / "wsd" / "xmpp.sqlite"
    store = SqliteStore(path)
    with store.transaction():
        for number in range(200):
            store.put("account", f"user{number}@localhost", "", "x" * 100)
    store.close()
    return path


def _truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _none(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


def _anothers(path: Path) -> None:
    path.parent.chmod(0o555)
    path.chmod(0o444)


class TestAStoreThatCannotBeOpened:
    """Its routes answer 503, the others serve."""

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        """One that other users may look into, as into pytest's they may not."""
        with TemporaryDirectory(prefix="wsd-test-") as name:
            Path(name).chmod(0o755)
            yield Path(name)

    @pytest.mark.parametrize(
        ("spoil", "cause"),
        [
            (_truncated, "malformed"),
            (_none, "not a database"),
            (_anothers, "it belongs to user 0" if os.geteuid() == 0 else "readonly"),
        ],
        ids=["truncated", "no database", "a read-only folder of another user"],
    )
    def test_it_is_said_and_everything_else_serves(
        self, folder: Path, spoil: Callable[[Path], None], cause: str
    ) -> None:
        path = stored(folder)
        spoil(path)
        # As another user than the one whose files these are, where the tests may do that.
        isOther = spoil is _anothers and os.geteuid() == 0
        prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if isOther else ()
        with runningDaemon(environ={"XDG_STATE_HOME": str(folder)}, prefix=prefix) as daemon:
            for route in ("/xmpp", "/xmpp-websocket", "/ws"):
                daemon.waitFor(rf"{route} could not be started and answers 503; .*{path}: .*({cause})")
            with open_(daemon, "/echo") as client:
                client.send("hello")
                assert client.recv(10) == "hello"
            with open_(daemon, "/ws") as client:
                client.send("so does what shares a route with it")
                assert client.recv(10) == "so does what shares a route with it"
            with pytest.raises(InvalidStatus) as refused:
                connect(f"ws://localhost:{daemon.port()}/xmpp", subprotocols=["xmpp"])  # type: ignore[list-item]
            assert refused.value.response.status_code == 503
            for page in ("/xmpp", "/readyz"):
                with pytest.raises(urllib.error.HTTPError, match="503") as answer:
                    fetch(daemon, page)
            reasons = json.load(answer.value)["reasons"]
            told = {reason.partition(":")[0] for reason in reasons}
            assert {"/ws", "/xmpp", "/xmpp-websocket"} <= told
            # In a folder that is read-only, no other store can be created either.
            assert ("/blob" in told) == ("/yjs/*" in told) == (spoil is _anothers)
            assert not any(str(folder) in reason for reason in reasons)
            assert daemon.stop() in ENDED


class TestStopping:
    """TERM."""

    def test_it_closes_with_1001_and_exits_with_0_within_the_closing_time_out(self) -> None:
        with runningDaemon() as daemon:
            clients = [open_(daemon) for _ in range(3)]
            began = time.monotonic()
            daemon.process.send_signal(signal.SIGTERM)
            for client in clients:
                with pytest.raises(ConnectionClosed) as caught:
                    client.recv(10)
                assert caught.value.rcvd is not None
                assert caught.value.rcvd.code == 1001
            assert daemon.process.wait(PATIENCE) in ENDED
            assert time.monotonic() - began < 15, "drain is 20 s"

    def test_a_client_that_does_not_answer_does_not_keep_it(self) -> None:
        with runningDaemon() as daemon, socket.create_connection(("127.0.0.1", daemon.port())) as client:
            client.sendall(
                b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert client.recv(4096).startswith(b"HTTP/1.1 101")
            began = time.monotonic()
            assert daemon.stop() in ENDED
            assert 3 < time.monotonic() - began < 15, "drain is 20 s"

    def test_an_idle_http_connection_does_not_keep_it(self) -> None:
        with runningDaemon() as daemon, socket.create_connection(("127.0.0.1", daemon.port())):
            began = time.monotonic()
            assert daemon.stop() in ENDED
            assert time.monotonic() - began < 15, "drain is 20 s"

    def test_what_is_being_answered_is_finished(self) -> None:
        with runningDaemon() as daemon:
            clients = [open_(daemon, "/echo?delay=200") for _ in range(20)]
            for client in clients:
                for number in range(5):
                    client.send(str(number))
            daemon.process.send_signal(signal.SIGTERM)
            for client in clients:
                assert [client.recv(10) for _ in range(5)] == ["0", "1", "2", "3", "4"]
                with pytest.raises(ConnectionClosed) as caught:
                    client.recv(10)
                assert caught.value.rcvd is not None
                assert caught.value.rcvd.code == 1001
            assert daemon.process.wait(PATIENCE) in ENDED

    def test_meanwhile_it_accepts_no_connection_and_answers_what_is_pending(self) -> None:
        with runningDaemon() as daemon, open_(daemon, "/echo?delay=2000") as client:
            client.send("hello")
            until(lambda: hasReceived(daemon), "the message has arrived")
            daemon.process.send_signal(signal.SIGTERM)
            daemon.waitFor("Received SIGTERM")
            until(lambda: not canConnect(daemon), "it stops accepting")
            assert client.recv(10) == "hello"

    def test_a_second_signal_drops_what_is_pending(self) -> None:
        with runningDaemon() as daemon, open_(daemon, "/echo?delay=60000") as client:
            client.send("hello")
            until(lambda: hasReceived(daemon), "the message has arrived")
            daemon.process.send_signal(signal.SIGTERM)
            daemon.waitFor("Received SIGTERM")
            until(lambda: not canConnect(daemon), "it stops accepting")
            begin = time.monotonic()
            daemon.process.send_signal(signal.SIGTERM)
            daemon.waitFor("all connections are dropped, since a second signal came")
            assert daemon.process.wait(PATIENCE) in ENDED
            assert time.monotonic() - begin < 15, "drain is 20 s"
            with pytest.raises(ConnectionClosed):
                client.recv(10)

    def test_clients_that_say_nothing_leave_no_connection_without_its_end_in_the_log(self) -> None:
        config = "drain = 1\n[policies]\nclosing_timeout = 0.5\n"
        with runningDaemon(config=config) as daemon, ExitStack() as stack:
            for _ in range(50):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", daemon.port())))
                client.sendall(
                    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                )
                assert client.recv(4096).startswith(b"HTTP/1.1 101")
            assert daemon.stop() in ENDED
            for event in ("opened /echo", "closed: "):
                assert sum(event in line for line in daemon.lines) == 50, event


class TestReloading:
    """HUP: the file is read anew; connections stay."""

    CONFIG = '[route."/one"]\nprotocol = "echo"\n'

    def reload(self, daemon: RunningDaemon, text: str, expected: str) -> None:
        (daemon.folder / "wsd.toml").write_text(text, encoding="utf-8")
        since = len(daemon.lines)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.waitFor(expected, since)

    def test_routes_come_and_go_and_open_connections_stay(self) -> None:
        with runningDaemon(config=self.CONFIG) as daemon:
            old, kept = open_(daemon, "/one"), open_(daemon, "/echo")
            self.reload(daemon, '[route."/two"]\nprotocol = "echo"\n', "reloaded")
            for client in (old, kept):
                client.send("still here")
                assert client.recv(10) == "still here"
            with open_(daemon, "/two") as client:
                client.send("new")
                assert client.recv(10) == "new"
            with pytest.raises(urllib.error.HTTPError, match="404"):
                fetch(daemon, "/one")

    def test_a_broken_file_changes_nothing_and_the_log_says_why(self) -> None:
        with runningDaemon(config=self.CONFIG) as daemon:
            self.reload(daemon, "prot = 1\n", r"not reloaded.*prot")
            with open_(daemon, "/one") as client:
                client.send("still here")
                assert client.recv(10) == "still here"

    def test_policies_of_new_connections_are_the_new_ones(self) -> None:
        with runningDaemon(config=self.CONFIG) as daemon:
            old = open_(daemon, "/one")
            self.reload(daemon, f"{self.CONFIG}max_message = 10\n", "reloaded")
            old.send("x" * 100)
            assert old.recv(10) == "x" * 100
            with open_(daemon, "/one") as client:
                client.send("x" * 100)
                with pytest.raises(ConnectionClosed) as caught:
                    client.recv(10)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1009


class TestMetrics:
    """For this machine, and who is allowed."""

    def test_a_direct_peer_reads_them_and_a_proxied_one_does_not(self) -> None:
        with runningDaemon() as daemon:
            url = f"http://127.0.0.1:{daemon.port()}/metrics"
            assert b"wsd_connections 1.0" in urllib.request.urlopen(url, timeout=10).read()
            request = urllib.request.Request(url, headers={"X-Forwarded-For": "127.0.0.1"})
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(request, timeout=10)


@pytest.fixture(scope="module")
def few() -> Iterator[RunningDaemon]:
    """A daemon with 120 descriptors, of which 64 are for other things than connections."""
    with runningDaemon(prefix=("sh", "-c", 'ulimit -n 120; exec "$@"', "sh")) as daemon:
        yield daemon


class TestFewDescriptors:
    """Less than `max_connections` needs."""

    def test_are_told_at_the_start(self, few: RunningDaemon) -> None:
        few.waitFor("max_connections is 20000, but 120 file descriptors are enough for only 56: allow 22222 ")

    def test_are_no_reason_to_be_reset(self, few: RunningDaemon) -> None:
        places = [socket.create_connection(("127.0.0.1", few.port()), timeout=30) for _ in range(200)]
        answers = []
        for place in places:
            place.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answers.append(place.recv(12))
        assert answers.count(b"HTTP/1.1 200") == 56
        assert answers.count(b"HTTP/1.1 503") == 144
        metrics = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        kept = next(place for place, answer in zip(places, answers, strict=True) if answer.endswith(b"200"))
        kept.sendall(metrics)
        read = b"".join(iter(lambda: kept.recv(65536), b""))
        assert b"\nwsd_connections_limit 56.0\n" in read
        assert len([line for line in few.lines if "could not be accepted" in line]) <= 3
        assert not [line for line in few.lines if "EMFILE" in line and "could not be accepted" not in line]
        for place in places:
            place.close()

    def test_do_for_who_comes_when_the_others_have_gone(self, few: RunningDaemon) -> None:
        def isServed() -> bool:
            with socket.create_connection(("127.0.0.1", few.port()), timeout=30) as client:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return client.recv(12) == b"HTTP/1.1 200"

        until(isServed, "a place is free")


def test_the_soft_limit_of_descriptors_is_raised() -> None:
    with runningDaemon(prefix=("sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh")) as daemon:
        limits = Path(f"/proc/{daemon.process.pid}/limits").read_text()
        soft, hard = limits.partition("Max open files")[2].split()[:2]
        assert soft == hard
