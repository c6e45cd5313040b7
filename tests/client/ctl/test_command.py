"""`wsd ctl` against a running daemon, as an operator types it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.commands import PATIENCE, Running, environment, running

TEXT = """\
port = 0
host = "127.0.0.1"
built_in = false
[route."/echo"]
protocol = "echo"
[route."/other/*"]
protocol = "echo"
"""


class Operator:
    """A person at a shell beside a daemon."""

    def __init__(self, daemon: Running, folder: Path) -> None:
        self.daemon = daemon
        self.folder = folder

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """`wsd ctl ARGUMENTS`."""
        return subprocess.run(
            [sys.executable, "-m", "wsd", "ctl", *arguments],
            cwd=self.folder,
            env=environment(**{"STATE_DIRECTORY": str(self.folder / "kept"), **more}),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )

    def ctl(self, *arguments: str) -> str:
        """What a command that succeeds prints."""
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def fails(self, *arguments: str, **more: str) -> str:
        """The one line with which a command fails."""
        done = self.run(*arguments, **more)
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        return line

    def connect(self, path: str = "/echo") -> ClientConnection:
        return connect(f"{self.daemon.url()}{path}")


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    (tmp_path / "wsd.toml").write_text(TEXT)
    with running(tmp_path, "wsd serve", "--config", "wsd.toml") as daemon:
        daemon.url()
        yield Operator(daemon, tmp_path)


def test_the_connections_are_listed_shown_and_closed(operator: Operator) -> None:
    with operator.connect() as first, operator.connect("/other/x") as second:
        for client in (first, second):
            client.send("hello")
            client.recv()
        lines = operator.ctl("connections", "--sort", "route").splitlines()
        assert lines[0].split() == "ID ROUTE CLIENT USER STATE AGE IN OUT MSGS IN MSGS OUT UNSENT RTT".split()
        assert [line.split()[1] for line in lines[1:3]] == ["/echo", "/other/*"]
        assert lines[1].split()[-7:] == ["0s", "5", "5", "1", "1", "0", "-"] or int(lines[1].split()[-7][:-1]) > 0
        assert lines[-1] == "2 of 2 connections"

        listed = [
            json.loads(line) for line in operator.ctl("connections", "--json", "--route", "/other/*").splitlines()
        ]
        assert [row["path"] for row in listed] == ["/other/x"]

        shown = operator.ctl("show", listed[0]["id"])
        assert re.search(r"^handshake\.headers\.Host +127\.0\.0\.1:\d+$", shown, re.MULTILINE)
        assert re.search(r"^tls +-$", shown, re.MULTILINE)
        assert json.loads(operator.ctl("show", listed[0]["id"], "--json"))["id"] == listed[0]["id"]

        assert (
            operator.ctl("close", "--route", "/other/*", "--code", "4001", "--reason", "再见")
            == "closed 1 connection\n"
        )
        with pytest.raises(ConnectionClosed) as closed:
            second.recv(timeout=PATIENCE)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, f"再见 [{listed[0]['id']}]")
        assert operator.ctl("connections").splitlines()[-1] == "1 of 1 connections"
        assert "closed: operator" in operator.daemon.log
        assert operator.fails("show", listed[0]["id"]).startswith(
            f'wsd: there is no open connection with the id "{listed[0]["id"]}"'
        )


def test_status_tells_what_the_daemon_does(operator: Operator) -> None:
    lines = operator.ctl("status").splitlines()
    assert re.fullmatch(rf"wsd \S+ is serving, process {operator.daemon.pid}, up \d+s", lines[0])
    assert f"listening {operator.daemon.url()}/" in lines
    assert re.search(r"^/echo +echo +0 +0 +0 +0$", "\n".join(lines), re.MULTILINE)
    assert json.loads(operator.ctl("status", "--json"))["pid"] == operator.daemon.pid


def test_a_reload_succeeds_or_fails_with_the_reason(operator: Operator) -> None:
    file = operator.folder / "wsd.toml"
    assert operator.ctl("reload") == "reloaded, nothing has changed\n"
    file.write_text(TEXT + 'origins = "*"\n')
    assert operator.ctl("reload") == 'reloaded, changed: route."/other/*"\n'
    file.write_text(f'frames = "plain"\n{TEXT}')
    assert operator.fails("reload") == (
        "wsd: not reloaded, the old configuration stays in use: only a restart can change frames; restart wsd, or "
        "change it back"
    )
    file.write_text(TEXT + 'origin = "*"\n')
    assert operator.fails("reload") == (
        f'wsd: not reloaded, the old configuration stays in use: {file}: route."/other/*".origin: '
        'there is no such key; did you mean "origins"?'
    )
    with operator.connect() as client:
        client.send("still there")
        assert client.recv() == "still there"


def test_the_level_of_the_log_changes_at_once(operator: Operator) -> None:
    assert operator.ctl("log-level") == "info\n"
    assert operator.ctl("log-level", "error") == "error\n"
    with operator.connect("/echo?delay=0"):
        pass
    assert operator.ctl("log-level", "info") == "info\n"
    with operator.connect("/other/loud"):
        pass
    operator.daemon.logged("opened /other/loud")
    assert "opened /echo" not in operator.daemon.log


def test_a_drain_closes_everything_and_can_be_undone(operator: Operator) -> None:
    with operator.connect() as client:
        told = operator.ctl("drain", "--timeout", "1s")
        assert re.fullmatch(r"drained: closed 1 connection in \d\.\d s; new ones are refused\n", told)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    assert "is draining" in operator.ctl("status").splitlines()[0]
    assert operator.fails("drain") == "wsd: the daemon is draining; there is nothing else to drain"
    operator.ctl("resume")
    with operator.connect() as client:
        client.send("again")
        assert client.recv() == "again"


def test_top_prints_the_view_once_without_a_terminal(operator: Operator) -> None:
    with operator.connect():
        lines = operator.ctl("top").splitlines()
    assert lines[0].startswith("wsd ")
    assert lines[4].split()[0] == "ID"
    assert lines[5].split()[1] == "/echo"


def test_a_reader_that_stops_is_no_error(operator: Operator) -> None:
    with operator.connect():
        done = subprocess.run(
            ["bash", "-c", f'set -o pipefail; "{sys.executable}" -m wsd ctl connections --json | head -c 1 >/dev/null'],
            env=environment(STATE_DIRECTORY=str(operator.folder / "kept")),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert done.stderr == ""


class TestTheSocketThatIsMeant:
    def test_nobody_listens(self, operator: Operator, tmp_path: Path) -> None:
        assert operator.fails("status", STATE_DIRECTORY=str(tmp_path / "other")).startswith(
            f"wsd: no daemon listens at {tmp_path}/other/control.sock or "
        )
        named = operator.fails("status", "--socket", "none.sock")
        assert named == (
            f"wsd: no daemon listens at {tmp_path}/none.sock; start one with wsd serve, "
            "or name its socket with --socket"
        )

    def test_it_is_named(self, operator: Operator, tmp_path: Path) -> None:
        named = f"{tmp_path}/kept/control.sock"
        elsewhere = {"STATE_DIRECTORY": str(tmp_path / "other")}
        assert operator.run("log-level", "--socket", named, **elsewhere).stdout == "info\n"
        assert operator.run("log-level", WSD_CONTROL_PATH=named, **elsewhere).stdout == "info\n"

    def test_several_daemons_are_not_guessed_at(self, operator: Operator, tmp_path: Path) -> None:
        other = tmp_path / "run"
        other.mkdir()
        with socket.socket(socket.AF_UNIX) as second:
            second.bind(f"{other}/control.sock")
            second.listen()
            line = operator.fails("status", RUNTIME_DIRECTORY=str(other))
        assert line == (
            f"wsd: several daemons listen, at {other}/control.sock and {tmp_path}/kept/control.sock; "
            "name the one that you mean with --socket"
        )

    def test_a_file_is_no_socket(self, operator: Operator, tmp_path: Path) -> None:
        assert operator.fails("status", "--socket", "wsd.toml").startswith(
            f"wsd: no daemon listens at {tmp_path}/wsd.toml"
        )
        long = operator.fails("status", "--socket", "x" * 200)
        assert long.endswith("is too long for a socket; the path may have 107 bytes")

    def test_it_is_gone_with_the_daemon(self, operator: Operator, tmp_path: Path) -> None:
        operator.daemon.stop()
        assert not (tmp_path / "kept" / "control.sock").exists()
        assert operator.fails("status").startswith("wsd: no daemon listens at ")


class TestTheCommandLine:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["close", "--older", "soon"], 'argument --older: "soon" is not a time; write seconds, or 10m, 2h, 1d'),
            (["connections", "--limit", "x"], 'argument --limit: "x" is not a whole number'),
            (["connections", "--bytes", "1 XB"], 'argument --bytes: "1 XB" is not a size; write bytes or "1 MiB"'),
            (["log-level", "loud"], "argument LEVEL: invalid choice: 'loud'"),
        ],
        ids=str,
    )
    def test_a_mistake_is_told(self, tmp_path: Path, arguments: list[str], sentence: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "wsd", "ctl", *arguments],
            env=environment(STATE_DIRECTORY=str(tmp_path)),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 2
        assert sentence in done.stderr
