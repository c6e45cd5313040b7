"""An upgrade of a daemon with live connections: real processes, real sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect, unix_connect

from tests.commands import until
from tests.daemon import PATIENCE, ROOT
from tests.process.upgradeload import measure
from tests.threadedtls import trusting
from tests.upgrades import Upgradable, isAlive, isListening, upgradable


def opened(daemon: Upgradable, path: str = "/echo", **more: Any) -> ClientConnection:
    client: ClientConnection = connect(f"ws://127.0.0.1:{daemon.port}{path}", proxy=None, legacy=True, **more)
    return client


def says(client: ClientConnection, text: str) -> bool:
    client.send(text)
    return client.recv(10) == text


def stopsInOrder(daemon: Upgradable, clients: list[ClientConnection]) -> None:
    """All clients are told, and both the old daemon and the new one end."""
    for client in clients:
        with pytest.raises(ConnectionClosed, match="1001"):
            client.recv(PATIENCE)
    assert daemon.daemon.process.wait(PATIENCE) == -signal.SIGTERM
    assert not isListening(daemon.port)
    assert not any("going on without it" in line for line in daemon.lines)


class TestConnectionsOfPlainRoutes:
    """echo and describe."""

    def test_stay_open_through_two_upgrades_and_new_ones_are_accepted(self) -> None:
        with upgradable() as daemon, opened(daemon) as client, opened(daemon, compression=None) as plain:
            pids = [daemon.pid]
            for number in range(2):
                said = daemon.upgrade()
                assert f"{2 + number} connections were moved, " in said
                assert said.endswith("and 0 are being closed")
                pids.append(daemon.pid)
                assert says(client, f"hello, hello, {number} " * 20)
                assert says(plain, f"plain {number}")
                with opened(daemon) as new:
                    assert says(new, "new")
                    # It is open until the next upgrade.
                    if not number:
                        kept = opened(daemon)
            assert says(kept, "kept")
            kept.close()
            assert len(set(pids)) == 3
            assert daemon.daemon.process.wait(10) == 0

    def test_describe_says_the_same_as_before(self) -> None:
        with upgradable() as daemon, opened(daemon, "/describe", origin="http://127.0.0.1") as client:
            before = client.recv(10)
            daemon.upgrade()
            client.send("again")
            assert client.recv(10) == before

    def test_a_push_goes_on(self) -> None:
        with upgradable() as daemon, opened(daemon, "/echo?push=50") as client:
            client.recv(10)
            daemon.upgrade()
            for _ in range(20):
                client.recv(10)

    def test_a_fragmented_message_goes_on_in_the_next_process(self) -> None:
        with upgradable() as daemon, opened(daemon) as client:
            halves = iter(["汉" * 500, "字" * 500])

            def pieces() -> Iterator[str]:
                yield next(halves)
                daemon.upgrade()
                yield next(halves)

            client.send(pieces())
            assert client.recv(10) == "汉" * 500 + "字" * 500

    def test_what_waits_to_be_sent_is_sent_by_the_next_process(self) -> None:
        with upgradable() as daemon:
            client = socket.create_connection(("127.0.0.1", daemon.port))
            client.sendall(
                b"GET /echo?size=20000000 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            while not client.recv(4096).endswith(b"\r\n\r\n"):
                pass
            client.sendall(b"\x82\x81\0\0\0\0x")
            before = daemon.begin()
            assert "1 connections were moved, " in daemon.finish(before)
            got = bytearray()
            while len(got) < 10 + 20_000_000:
                got += client.recv(1 << 20)
            assert got[10:] == (b"abcdefghijklmnopqrstuvwxyz" * 800_000)[:20_000_000]
            client.close()

    def test_a_connection_whose_request_is_not_complete_goes_on(self) -> None:
        config = "[policies]\nopening_timeout = 120\n"
        with upgradable(config=config) as daemon, socket.create_connection(("127.0.0.1", daemon.port)) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: local")
            daemon.upgrade()
            client.sendall(b"host\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")


class TestOtherListeners:
    """Unix sockets and TLS."""

    def test_a_unix_socket_stays_at_its_path(self, tmp_path: Path) -> None:
        path = tmp_path / "wsd.sock"
        with upgradable("--listen", f"unix:{path}", "-p", "0") as daemon:
            inode = path.stat().st_ino
            with unix_connect(str(path), uri="ws://localhost/echo") as client:
                daemon.upgrade()
                assert says(client, "hello")
            daemon.daemon.process.wait(10)
            assert path.stat().st_ino == inode
            with unix_connect(str(path), uri="ws://localhost/echo") as client:
                assert says(client, "again")
            daemon.stop()
            assert not path.exists()

    def test_wss_is_closed_with_the_advice_to_reconnect(self) -> None:
        context = trusting()
        with upgradable("--tls-self-signed", "--tls-port", "0") as daemon:
            url = f"wss://127.0.0.1:{daemon.daemon.port('wss')}/echo"
            with connect(url, ssl=context, proxy=None) as client:
                assert says(client, "hello")
                daemon.upgrade()
                with pytest.raises(ConnectionClosed) as closed:
                    client.recv(10)
                assert closed.value.rcvd is not None
                assert (closed.value.rcvd.code, closed.value.rcvd.reason.partition(" [")[0]) == (
                    1012,
                    "the server has been upgraded; reconnect now",
                )
            with connect(url, ssl=context, proxy=None) as client:
                assert says(client, "again")


class TestTheControlSocket:
    """`wsd ctl upgrade`."""

    def ctl(self, daemon: Upgradable, *arguments: str) -> tuple[int, str]:
        path = daemon.daemon.waitFor(r"control socket (\S+)")[1]
        command = [sys.executable, "-m", "wsd", "ctl", *arguments, "--socket", path]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
        return done.returncode, (done.stdout + done.stderr).rstrip()

    def test_an_upgrade_tells_its_outcome_and_the_new_process_has_the_socket(self) -> None:
        with upgradable(config="drain = 1\n") as daemon, opened(daemon) as client:
            for number in range(2):
                before = len(daemon.lines)
                status, said = self.ctl(daemon, "upgrade")
                assert said == daemon.finish(before)
                assert (status, said.partition(": ")[0]) == (0, "upgraded")
                assert says(client, f"hello {number}")
                until(lambda: f"process {daemon.pid}," in self.ctl(daemon, "status")[1], "the new process answers")

    def test_an_upgrade_does_not_begin_to_use_workers(self) -> None:
        with upgradable(config="drain = 1\n") as daemon, opened(daemon) as client:
            (daemon.daemon.folder / "wsd.toml").write_text("workers = 2\n")
            before = len(daemon.lines)
            assert self.ctl(daemon, "upgrade")[0] == 1
            daemon.daemon.waitFor("workers: an upgrade cannot change 1 to 2; restart wsd", before)
            assert says(client, "still here")

    def test_one_that_fails_tells_why(self) -> None:
        with upgradable(config="drain = 1\n") as daemon:
            (daemon.daemon.folder / "wsd.toml").write_text("drain = 'soon'\n")
            status, said = self.ctl(daemon, "upgrade")
            assert status == 1
            assert said.startswith("wsd: not upgraded, this process serves on: the new process has ended ")
            assert f"process {daemon.pid}," in self.ctl(daemon, "status")[1]


class TestANewVersionThatFails:
    """The old process serves on, and nothing is lost."""

    def check(self, daemon: Upgradable, client: ClientConnection) -> None:
        assert isAlive(daemon.daemon.process.pid)
        assert says(client, "still here")
        with opened(daemon) as new:
            assert says(new, "new")

    def test_its_configuration_is_wrong(self) -> None:
        with upgradable(config="drain = 1\n") as daemon, opened(daemon) as client:
            (daemon.daemon.folder / "wsd.toml").write_text("drain = 'soon'\n")
            assert daemon.refused().startswith("the new process has ended with the status 1")
            assert any("drain" in line and "soon" in line for line in daemon.lines)
            self.check(daemon, client)
            (daemon.daemon.folder / "wsd.toml").write_text("drain = 1\n")
            daemon.upgrade()
            assert says(client, "moved")

    def test_it_dies_while_it_starts(self) -> None:
        with upgradable(environ={"WSD_TEST_UPGRADE": "import"}, config=FAILING) as daemon, opened(daemon) as client:
            assert "the new process has ended with the status 1" in daemon.refused()
            self.check(daemon, client)

    @pytest.mark.parametrize("place", ["restore", "state"])
    def test_it_dies_while_it_takes_over(self, place: str) -> None:
        environ = {"WSD_TEST_UPGRADE": place}
        with (
            upgradable(environ=environ, config=FAILING) as daemon,
            opened(daemon, "/fails") as client,
            opened(daemon, "/fails") as other,
        ):
            assert "the new process was ended by the signal 9" in daemon.refused()
            self.check(daemon, client)
            assert says(client, "hello")
            assert says(other, "hello")

    def test_a_connection_that_it_cannot_resume_is_closed_with_1012(self) -> None:
        environ = {"WSD_TEST_UPGRADE": "raise"}
        with (
            upgradable(environ=environ, config=FAILING) as daemon,
            opened(daemon, "/fails") as client,
            opened(daemon) as other,
        ):
            daemon.upgrade()
            assert says(other, "hello")
            with pytest.raises(ConnectionClosed, match="1012"):
                client.recv(10)

    def test_one_that_has_gone_on_does_not_need_the_old_process(self) -> None:
        environ = {"WSD_TEST_UPGRADE": "first"}
        with upgradable(environ=environ, config=FAILING) as daemon, opened(daemon, "/fails") as client:
            before = daemon.begin()
            daemon.goesOnAlone(before)
            assert daemon.daemon.process.wait(PATIENCE) == -signal.SIGKILL
            assert says(client, "moved")
            with opened(daemon) as new:
                assert says(new, "new")
            daemon.daemon.waitFor("control socket ", before)

    def test_a_second_upgrade_does_not_begin_during_the_first(self) -> None:
        with upgradable() as daemon, opened(daemon) as client:
            before = daemon.begin()
            daemon.daemon.waitFor("the upgrade begins", before)
            os.kill(daemon.pid, signal.SIGUSR2)
            assert daemon.refusal(before) == "an upgrade is under way already"
            daemon.finish(next(number for number, line in enumerate(daemon.lines) if "under way already" in line) + 1)
            assert says(client, "hello")
            assert sum("the upgrade begins" in line for line in daemon.lines) == 1

    def test_a_daemon_that_is_stopped_meanwhile_stops(self) -> None:
        with upgradable() as daemon, opened(daemon) as client:
            before = daemon.begin()
            daemon.daemon.waitFor("the upgrade begins", before)
            os.kill(daemon.pid, signal.SIGTERM)
            with pytest.raises(ConnectionClosed, match="1001"):
                client.recv(10)
            daemon.daemon.process.wait(20)

    def test_one_that_is_stopped_after_the_new_version_has_gone_on_stops_both_in_order(self) -> None:
        with (
            upgradable(environ={"WSD_TEST_UPGRADE": "stop"}, config=FAILING) as daemon,
            opened(daemon, "/fails") as moved,
            opened(daemon, "/busy") as stayed,
        ):
            daemon.begin()
            stopsInOrder(daemon, [moved, stayed])

    def test_one_that_is_stopped_when_the_new_version_serves_leaves_it_serving(self) -> None:
        with (
            upgradable(config=FAILING) as daemon,
            opened(daemon) as moved,
            opened(daemon, "/busy") as stayed,
        ):
            before = daemon.begin()
            daemon.daemon.waitFor("control socket ", before)
            os.kill(daemon.pid, signal.SIGTERM)
            with pytest.raises(ConnectionClosed, match="1012"):
                stayed.recv(PATIENCE)
            daemon.finish(before)
            assert daemon.daemon.process.wait(PATIENCE) == -signal.SIGTERM
            assert says(moved, "moved")


FAILING = """
[route."/fails"]
protocol = "tests.process.failing:FailingFactory"
[route."/busy"]
protocol = "tests.process.failing:BusyFactory"
"""


def test_numbered_messages_of_a_talking_client_arrive_once_and_in_order() -> None:
    with upgradable() as daemon, opened(daemon) as client:
        stop, sent = threading.Event(), 0

        def talk() -> None:
            nonlocal sent
            while not stop.is_set() and sent < 100_000:
                client.send(f"{sent} {'x' * (sent % 300)}")
                sent += 1

        talking = threading.Thread(target=talk)
        talking.start()
        received, deadline = 0, time.monotonic() + 60
        before = daemon.begin()
        while received < sent or not stop.is_set():
            assert client.recv(10) == f"{received} {'x' * (received % 300)}"
            received += 1
            if any("upgraded: " in line for line in daemon.lines[before:]) or time.monotonic() > deadline:
                stop.set()
        talking.join()
        daemon.finish(before)
        assert received == sent


def test_the_deflate_window_moves() -> None:
    with upgradable() as daemon, opened(daemon) as client:
        noise = zlib.compress(os.urandom(20000)).hex()
        for number in range(3):
            assert says(client, f"{noise} {number}")
            daemon.upgrade()
        assert says(client, noise)


def test_a_short_run_of_the_load_that_soak_runs_whole() -> None:
    report = measure(idle=150, talking=40, times=2)
    print(report)
    report.check()
    assert all("190 connections were moved" in said for said in report.said)
