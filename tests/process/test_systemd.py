"""
The daemon and systemd: the notify socket, sockets that are passed, and the files of conf/.

No systemd runs here: the tests speak its protocols, with its own tools where there are some.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import pytest
from websockets.sync.client import connect, unix_connect

from tests.commands import MODES, PATIENCE, ROOT, commandLine, environment, running, stateIn, until
from tests.threadedtls import trusting

CONF = ROOT / "conf"
TWISTD = str(Path(sysconfig.get_path("scripts")) / "twistd")


class Manager:
    """The end of the notify socket that systemd has, on an abstract address."""

    def __init__(self, reader: socket.socket) -> None:
        self._reader = reader
        self.told: list[str] = []

    @property
    def address(self) -> str:
        name: bytes = self._reader.getsockname()
        return f"@{name[1:].decode()}"

    @property
    def pending(self) -> list[str]:
        """What has been told and not heard yet."""
        self._reader.settimeout(0)
        messages: list[str] = []
        with suppress(BlockingIOError):
            while True:
                messages.append(self._reader.recv(4096).decode())
        return messages

    def hear(self, state: str) -> str:
        """The next message with this state, waited for; those before it are in `told`."""
        end = time.monotonic() + PATIENCE
        while True:
            self._reader.settimeout(max(end - time.monotonic(), 0.001))
            message = self._reader.recv(4096).decode()
            self.told.append(message)
            if state in message.split("\n"):
                return message


@pytest.fixture
def manager() -> Iterator[Manager]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind("")
        yield Manager(reader)


def echoes(url: str, context: ssl.SSLContext | None = None) -> bool:
    with connect(f"{url}/echo", ssl=context, proxy=None) as client:
        client.send("hello")
        return client.recv(10) == "hello"


class TestTheNotifySocket:
    """sd_notify(3)."""

    def test_ready_is_told_when_every_listener_answers(self, manager: Manager, tmp_path: Path) -> None:
        unix = tmp_path / "wsd.sock"
        options = ("-p", "0", "--listen", f"unix:{unix}", "--listen", "tcp:0:interface=127.0.0.1")
        with running(tmp_path, "twistd -n", *options, NOTIFY_SOCKET=manager.address):
            status = manager.hear("READY=1").split("\n")[1]
            assert manager.told == [f"READY=1\n{status}"]
            urls = re.findall(r"ws://\S+(?=/)", status)
            assert len(urls) == 3
            assert status == f"STATUS=listening {urls[0]}/ {urls[1]}/ ws+unix:{unix} {urls[2]}/"
            assert all(echoes(url) for url in urls)
            with unix_connect(str(unix), uri="ws://localhost/echo") as client:
                client.send("hello")
                assert client.recv(10) == "hello"
            with urlopen(f"{urls[0].replace('ws:', 'http:')}/readyz", timeout=10) as answer:
                assert json.load(answer)["ready"] is True

    def test_it_may_lie_in_the_file_system(self, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
            reader.bind(str(tmp_path / "notify"))
            with running(tmp_path, "twistd -n", "-p", "0", NOTIFY_SOCKET=str(tmp_path / "notify")):
                Manager(reader).hear("READY=1")

    def test_a_daemon_that_cannot_start_is_never_ready(self, manager: Manager, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            with running(tmp_path, "twistd -n", "-p", port, NOTIFY_SOCKET=manager.address) as daemon:
                daemon.logged("is in use by another program")
                daemon.waitForEnd()
        assert manager.pending == []

    def test_signs_of_life_come_twice_in_the_watchdogs_time(self, manager: Manager, tmp_path: Path) -> None:
        environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "2000000"}
        with running(tmp_path, "twistd -n", "-p", "0", **environ):
            manager.hear("READY=1")
            heard = []
            for _ in range(4):
                assert manager.hear("WATCHDOG=1") == "WATCHDOG=1"
                heard.append(time.monotonic())
            gaps = [later - earlier for earlier, later in pairwise(heard)]
            assert max(gaps) < 2
            assert 2 < sum(gaps) < 4

    def test_the_watchdog_of_another_process_is_not_ours(self, manager: Manager, tmp_path: Path) -> None:
        environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
        with running(tmp_path, "twistd -n", "-p", "0", **environ) as daemon:
            daemon.url()
            daemon.stop()
        manager.hear("STOPPING=1")
        assert "WATCHDOG=1" not in manager.told

    def test_stopping_is_told_while_the_connections_are_closed(self, manager: Manager, tmp_path: Path) -> None:
        with running(tmp_path, "twistd -n", "-p", "0", NOTIFY_SOCKET=manager.address) as daemon:
            manager.hear("READY=1")
            with connect(f"{daemon.url()}/echo", proxy=None) as client:
                daemon.send(signal.SIGTERM)
                assert manager.hear("STOPPING=1") == "STOPPING=1\nSTATUS=closing the connections"
                with pytest.raises(Exception, match="1001"):
                    client.recv(10)

    def test_a_reload_is_told_from_its_beginning_to_its_end(self, manager: Manager, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text("")
        with running(tmp_path, "twistd -n", "-p", "0", "-c", "wsd.toml", NOTIFY_SOCKET=manager.address) as daemon:
            first = manager.hear("READY=1")
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            daemon.send(signal.SIGHUP)
            began = int(manager.hear("RELOADING=1").partition("MONOTONIC_USEC=")[2])
            assert before <= began <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            assert manager.hear("READY=1") == first

    def test_a_reload_that_was_refused_is_in_the_status(self, manager: Manager, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text("")
        with running(tmp_path, "twistd -n", "-p", "0", "-c", "wsd.toml", NOTIFY_SOCKET=manager.address) as daemon:
            manager.hear("READY=1")
            (tmp_path / "wsd.toml").write_text("prot = 1")
            daemon.send(signal.SIGHUP)
            assert "prot: there is no such key" in manager.hear("READY=1").split("\nSTATUS=not reloaded: ")[1]


class TestTheJournal:
    """$JOURNAL_STREAM, and what a watchdog leaves there."""

    def test_lines_have_priorities_and_no_time(self, tmp_path: Path) -> None:
        with (tmp_path / "journal").open("w") as journal:
            found = os.fstat(journal.fileno())
            process = subprocess.Popen(
                commandLine("twistd -n", "-p", "0"),
                cwd=tmp_path,
                env=environment(JOURNAL_STREAM=f"{found.st_dev}:{found.st_ino}"),
                stdin=subprocess.DEVNULL,
                stdout=journal,
                stderr=journal,
            )
        try:
            until(lambda: "listening ws://[::1]" in (tmp_path / "journal").read_text(), "listening")
        finally:
            process.terminate()
            process.wait(PATIENCE)
        lines = (tmp_path / "journal").read_text().splitlines()
        assert any(line.startswith("<6>info  wsd ") for line in lines)
        assert all(re.match(r"<[2-7]>\w+ +\S", line) for line in lines)

    @pytest.mark.parametrize("options", [["--check"], []])
    def test_what_keeps_it_from_starting_is_an_error(self, options: list[str], tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text("prot = 1")
        with (tmp_path / "journal").open("w") as journal:
            found = os.fstat(journal.fileno())
            done = subprocess.run(
                commandLine("twistd -n", "-c", "wsd.toml", *options),
                cwd=tmp_path,
                env=environment(JOURNAL_STREAM=f"{found.st_dev}:{found.st_ino}"),
                stderr=journal,
                timeout=PATIENCE,
            )
        assert done.returncode == 1
        said = (tmp_path / "journal").read_text()
        assert said.startswith(f"<3>wsd: {tmp_path}/wsd.toml: prot: there is no such key")

    @pytest.mark.parametrize("mode", MODES)
    def test_a_daemon_that_is_aborted_leaves_its_stacks(self, mode: str, tmp_path: Path) -> None:
        with running(tmp_path, mode, "-p", "0") as daemon:
            daemon.url()
            daemon.send(signal.SIGUSR1)
            daemon.stop(signal.SIGABRT)
            # It may end amid the rotation of its log.
            logs = [daemon.log, *(path.read_text() for path in tmp_path.glob("*.log.*"))]
            (stacks,) = (log.partition("Fatal Python error: Aborted\n")[2] for log in logs if "Fatal Python" in log)
            assert re.search(r"^  File .*/twisted/internet/\w+\.py", stacks, re.MULTILINE)


# -- sockets that are passed ------------------------------------------------------------------------------------------

_PASS = """
import os, sys
count, names, *command = sys.argv[1:]
passed = [os.dup2(int(number), 100 + index) for index, number in enumerate(count.split(","))]
for index, number in enumerate(passed):
    os.dup2(number, 3 + index)
    os.close(number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(passed)), LISTEN_FDNAMES=names)
os.execv(command[0], command)
"""
"""Puts descriptors where systemd would, and becomes the daemon."""


@contextmanager
def activated(
    folder: Path, sockets: list[socket.socket], names: str, *options: str, mode: str = "twistd -n", **environ: str
) -> Iterator[subprocess.Popen[str]]:
    """The daemon, given sockets under these names."""
    numbers = [passed.fileno() for passed in sockets]
    process = subprocess.Popen(
        [sys.executable, "-c", _PASS, ",".join(map(str, numbers)), names, *commandLine(mode, *options)],
        cwd=folder,
        env=environment(**environ, **stateIn(folder, environ)),
        pass_fds=numbers,
        stdin=subprocess.DEVNULL,
        stdout=(folder / "out.log").open("w"),
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)


@pytest.fixture
def two() -> Iterator[list[socket.socket]]:
    """What conf/wsd.socket has: a stream of IPv4 and one of IPv6, listening."""
    with ExitStack() as stack:
        four = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        six = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        yield [four, six]


def urlOf(listening: socket.socket, scheme: str = "ws") -> str:
    host, port = listening.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class TestWorkers:
    """Several processes are one service: the parent has the sockets, and speaks with systemd."""

    CONFIG = (
        "workers = 2\nbuilt_in = false\n[route.'/echo']\nprotocol = 'echo'\n[route.'/topics/*']\nprotocol = 'topics'\n"
    )

    def options(self, folder: Path) -> list[str]:
        (folder / "wsd.toml").write_text(self.CONFIG)
        return ["-c", str(folder / "wsd.toml")]

    def test_share_the_sockets_that_are_passed(
        self, two: list[socket.socket], manager: Manager, tmp_path: Path
    ) -> None:
        with activated(tmp_path, two, "wsd:wsd", *self.options(tmp_path), NOTIFY_SOCKET=manager.address) as process:
            told = manager.hear("READY=1")
            assert told == f"READY=1\nSTATUS=2 workers, listening {urlOf(two[0])}/ {urlOf(two[1])}/"
            with ExitStack() as stack:
                clients = [
                    stack.enter_context(connect(f"{urlOf(two[0])}/echo", proxy=None, compression=None))
                    for _ in range(100)
                ]
                log = (tmp_path / "out.log").read_text()
                assert all(log.count(f"{worker} [") > 20 for worker in ("w0", "w1")), log
                process.send_signal(signal.SIGHUP)
                manager.hear("RELOADING=1")
                manager.hear("READY=1")
                for client in clients:
                    client.send("hello")
                    assert client.recv(10) == "hello"
                process.send_signal(signal.SIGTERM)
                manager.hear("STOPPING=1")
                assert process.wait(PATIENCE) in (0, -signal.SIGTERM)
        assert two[0].getsockname()[1], "the socket is still systemd's"

    def test_give_one_sign_of_life_and_one_refusal_of_a_reload(self, manager: Manager, tmp_path: Path) -> None:
        environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "4000000"}
        with running(tmp_path, "twistd -n", "-p", "0", *self.options(tmp_path), **environ) as daemon:
            manager.hear("READY=1")
            manager.hear("WATCHDOG=1")
            (tmp_path / "wsd.toml").write_text(self.CONFIG + "[route.'/other']\nprotocol = 'nothing'\n")
            daemon.send(signal.SIGHUP)
            manager.hear("RELOADING=1")
            assert "not reloaded" in manager.hear("READY=1")

    def test_log_to_the_file_of_a_daemon_that_left_its_terminal(self, two: list[socket.socket], tmp_path: Path) -> None:
        with activated(tmp_path, two, "wsd:wsd", *self.options(tmp_path), mode="twistd") as process:
            assert process.wait(PATIENCE) == 0
            pid = int(until((tmp_path / "wsd.pid").read_text, "the pid"))
            try:
                assert echoes(urlOf(two[0]))
                until(lambda: re.search(r"info  w[01] .*opened /echo", (tmp_path / "daemon.log").read_text()), "a line")
            finally:
                os.kill(pid, signal.SIGTERM)


class TestSocketsThatArePassed:
    """sd_listen_fds(3)."""

    @pytest.mark.parametrize("names", ["wsd:wsd", "four:six", ""])
    def test_both_answer_whatever_their_names_and_nothing_else_is_opened(
        self, names: str, two: list[socket.socket], manager: Manager, tmp_path: Path
    ) -> None:
        with activated(tmp_path, two, names, NOTIFY_SOCKET=manager.address):
            assert manager.hear("READY=1") == f"READY=1\nSTATUS=listening {urlOf(two[0])}/ {urlOf(two[1])}/"
            assert echoes(urlOf(two[0]))
            assert echoes(urlOf(two[1]))

    @pytest.mark.parametrize(
        "places",
        [
            ("systemd:index=0", "systemd:index=1"),
            ("systemd:name=four", "systemd:name=six"),
            ("systemd:domain=INET:name=four", "systemd:domain=INET6:index=1"),
        ],
    )
    def test_both_answer_when_they_are_named(
        self, places: tuple[str, str], two: list[socket.socket], manager: Manager, tmp_path: Path
    ) -> None:
        options = [word for place in places for word in ("--listen", place)]
        with activated(tmp_path, two, "four:six", *options, NOTIFY_SOCKET=manager.address):
            manager.hear("READY=1")
            assert echoes(urlOf(two[0]))
            assert echoes(urlOf(two[1]))

    def test_a_unix_socket_keeps_the_mode_that_it_was_made_with(self, manager: Manager, tmp_path: Path) -> None:
        path = tmp_path / "wsd.sock"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            path.chmod(0o660)
            listening.listen()
            with activated(tmp_path, [listening], "wsd", NOTIFY_SOCKET=manager.address):
                manager.hear("READY=1")
                with unix_connect(str(path), uri="ws://localhost/echo"):
                    assert path.stat().st_mode & 0o777 == 0o660

    def test_a_unix_socket_may_lie_where_the_daemon_has_no_business(self, manager: Manager, tmp_path: Path) -> None:
        # Its path cannot be changed, nor even be found: the daemon has a root, or a user, of its own.
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(tmp_path / "before.sock"))
            listening.listen()
            (tmp_path / "before.sock").rename(tmp_path / "elsewhere.sock")
            with activated(tmp_path, [listening], "wsd", NOTIFY_SOCKET=manager.address):
                manager.hear("READY=1")
                with unix_connect(str(tmp_path / "elsewhere.sock"), uri="ws://localhost/echo") as client:
                    client.send("hello")
                    assert client.recv(10) == "hello"

    def test_they_answer_in_a_daemon_that_left_its_terminal(self, two: list[socket.socket], tmp_path: Path) -> None:
        with activated(tmp_path, two, "wsd:wsd", mode="twistd") as process:
            assert process.wait(PATIENCE) == 0
            pid = int(until((tmp_path / "wsd.pid").read_text, "the pid"))
            try:
                assert echoes(urlOf(two[0]))
                assert echoes(urlOf(two[1]))
            finally:
                os.kill(pid, signal.SIGKILL)

    def test_one_of_them_may_speak_tls(self, two: list[socket.socket], manager: Manager, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text('[tls]\nself_signed = true\nlisten = "systemd:name=tls"\n')
        environ = {"NOTIFY_SOCKET": manager.address, "STATE_DIRECTORY": str(tmp_path)}
        with activated(tmp_path, two, "plain:tls", "-c", "wsd.toml", **environ):
            manager.hear("READY=1")
            assert echoes(urlOf(two[0]))
            assert echoes(urlOf(two[1], "wss"), trustingOf(tmp_path))

    def test_clients_that_came_before_the_daemon_are_served(self, two: list[socket.socket], tmp_path: Path) -> None:
        with socket.create_connection(two[0].getsockname(), timeout=PATIENCE) as early:
            early.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with activated(tmp_path, two, "wsd:wsd"):
                assert early.recv(12) == b"HTTP/1.1 200"

    def test_they_stay_open_when_the_daemon_ends(self, two: list[socket.socket], tmp_path: Path) -> None:
        for _ in range(2):
            with activated(tmp_path, two, "wsd:wsd") as process:
                assert echoes(urlOf(two[0]))
                process.terminate()
                process.wait(PATIENCE)

    @pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two workers"])
    def test_a_reload_uses_them_in_other_ways_and_opens_others_beside_them(
        self, workers: int, two: list[socket.socket], manager: Manager, tmp_path: Path
    ) -> None:
        file, unix = tmp_path / "wsd.toml", tmp_path / "wsd.sock"
        four = f'workers = {workers}\ntrusted_proxies = "127.0.0.1"\nlisten = ["systemd:name=four"{{}}]\n'
        secure = '[tls]\nself_signed = true\nlisten = "systemd:name=six"\n'

        def reload(text: str) -> str:
            file.write_text(text)
            process.send_signal(signal.SIGHUP)
            manager.hear("RELOADING=1")
            return manager.hear("READY=1").partition("STATUS=")[2]

        file.write_text(four.format(""))
        environ = {"NOTIFY_SOCKET": manager.address, "STATE_DIRECTORY": str(tmp_path)}
        with activated(tmp_path, two, "four:six", "-c", "wsd.toml", **environ) as process:
            manager.hear("READY=1")
            assert echoes(urlOf(two[1])), "a socket that nothing mentions is served, too"
            with connect(f"{urlOf(two[0])}/echo", proxy=None) as first:
                told = reload(four.format(f', "unix:{unix}"') + secure)
                assert all(each in told for each in (urlOf(two[0]), urlOf(two[1], "wss"), str(unix)))
                assert echoes(urlOf(two[1], "wss"), trustingOf(tmp_path))
                with unix_connect(str(unix), uri="ws://localhost/echo") as client:
                    client.send("hello")
                    assert client.recv(10) == "hello"
                told = reload(four.format(', "systemd:name=seven"'))
                assert "not reloaded: " in told
                assert "systemd passed no such socket" in told
                assert echoes(urlOf(two[1], "wss"), trustingOf(tmp_path)), "as before"
                reload(four.format("").replace("name=four", "name=four:proxy=true"))
                assert not unix.exists()
                assert echoes(urlOf(two[1])), "without TLS again"
                with socket.create_connection(two[0].getsockname(), timeout=PATIENCE) as bare:
                    bare.sendall(b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n")
                    bare.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    assert bare.recv(12) == b"HTTP/1.1 200"
                first.send("hello")
                assert first.recv(10) == "hello"

    def test_what_is_no_listening_socket_is_told_in_one_line(self, manager: Manager, tmp_path: Path) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as datagram, activated(tmp_path, [datagram], "wsd") as process:
            assert process.wait(PATIENCE) == 1
        assert (tmp_path / "out.log").read_text() == (
            "wsd: systemd: descriptor 3 is not a stream socket; use ListenStream= in the .socket file\n"
        )

    def test_one_that_was_not_passed_is_told_in_one_line(self, two: list[socket.socket], tmp_path: Path) -> None:
        with activated(tmp_path, two, "four:six", "--listen", "systemd:name=seven") as process:
            assert process.wait(PATIENCE) == 1
        assert (tmp_path / "out.log").read_text() == (
            "wsd: listen 'systemd:name=seven': systemd passed no such socket, or it is already in use; "
            "it passed 0 (four), 1 (six)\n"
        )

    def test_systemds_own_tool_passes_them_too(self, two: list[socket.socket], tmp_path: Path) -> None:
        places = [two[0].getsockname()[1], two[1].getsockname()[1]]
        for listening in two:
            listening.close()
        passed = ["PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "STATE_DIRECTORY"]
        process = subprocess.Popen(
            [
                "systemd-socket-activate",
                *(f"--listen={host}:{port}" for host, port in zip(("127.0.0.1", "[::1]"), places, strict=True)),
                "--fdname=wsd:wsd",
                *(f"--setenv={name}" for name in passed),
                *commandLine("twistd -n"),
            ],
            cwd=tmp_path,
            env=environment(**stateIn(tmp_path, {})),
            stdout=(tmp_path / "out.log").open("w"),
            stderr=subprocess.STDOUT,
        )
        try:
            log = tmp_path / "out.log"
            until(lambda: log.read_text().count("Listening on") == 2, "systemd-socket-activate listens")
            assert echoes(f"ws://127.0.0.1:{places[0]}")
            assert echoes(f"ws://[::1]:{places[1]}")
        finally:
            process.kill()
            process.wait(PATIENCE)


# -- the files of conf/ -----------------------------------------------------------------------------------------------


def trustingOf(state: Path) -> ssl.SSLContext:
    """A client's context that trusts the certificate which the daemon made in this state folder, and no other."""
    (authority,) = (path for path in (state / "tls").iterdir() if "authority" in path.name and "key" not in path.name)
    return trusting(authority)


def value(name: str) -> str:
    """The last value of a key of conf/wsd.service."""
    values: list[str] = re.findall(rf"^{name}=(.*)$", (CONF / "wsd.service").read_text(), re.MULTILINE)
    return values[-1]


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """conf/wsd.service and conf/wsd.socket, with the path of this environment's twistd."""
    for name in ("wsd.service", "wsd.socket"):
        text = (CONF / name).read_text().replace("/opt/wsd/bin/twistd", TWISTD)
        (tmp_path / name).write_text(text.replace("/opt/wsd/bin/wsd ", f"{sys.executable} -m wsd "))
    return tmp_path


def analyze(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], cwd=folder, capture_output=True, text=True, timeout=PATIENCE
    )
    return done.returncode, done.stdout + done.stderr


class TestTheUnits:
    """conf/wsd.service and conf/wsd.socket."""

    def test_are_clean(self, units: Path) -> None:
        assert analyze(units, "verify", "./wsd.service", "./wsd.socket") == (0, "")

    def test_are_confined_to_a_score_of_2_or_better(self, units: Path) -> None:
        status, said = analyze(units, "security", "--offline=true", "--threshold=20", "./wsd.service")
        assert status == 0, said
        score = re.search(r"exposure level for wsd.service: ([\d.]+)", said)
        assert score is not None
        assert float(score[1]) <= 2.0

    def test_leave_out_the_restriction_that_breaks_tls(self) -> None:
        assert not re.search("^MemoryDenyWriteExecute", (CONF / "wsd.service").read_text(), re.MULTILINE)

    def test_give_commands_that_exist(self, units: Path) -> None:
        (units / "wsd.toml").write_text((CONF / "wsd.toml").read_text())
        commands = re.findall(r"^Exec\w+=(.*twistd.*)$", (units / "wsd.service").read_text(), re.MULTILINE)
        assert len(commands) == 2
        for command in commands:
            words = shlex.split(command.replace("/etc/wsd/wsd.toml", "wsd.toml"))
            check = [*words, *(["--check"] if "--check" not in words else [])]
            done = subprocess.run(check, cwd=units, env=environment(), capture_output=True, text=True, timeout=PATIENCE)
            assert (done.returncode, done.stdout) == (0, "ok\n")

    def test_fail_to_reload_if_the_daemon_refuses_the_new_configuration(
        self, units: Path, manager: Manager, tmp_path: Path
    ) -> None:
        *_, command = re.findall(r"^ExecReload=(.*)$", (units / "wsd.service").read_text(), re.MULTILINE)
        folders = {"RUNTIME_DIRECTORY": str(tmp_path / "run"), "STATE_DIRECTORY": str(tmp_path / "state")}
        file = tmp_path / "wsd.toml"
        file.write_text("port = 0\n")

        def reload() -> tuple[int, str]:
            done = subprocess.run(
                shlex.split(command), env=environment(**folders), capture_output=True, text=True, timeout=PATIENCE
            )
            return done.returncode, done.stderr

        with running(tmp_path, "twistd -n", "-c", "wsd.toml", NOTIFY_SOCKET=manager.address, **folders) as daemon:
            manager.hear("READY=1")
            file.write_text("port = 0\ndrain = 3\n")
            assert reload() == (0, "")
            # systemd has the end of the reload before the end of the command.
            told = [message.partition("\n")[0] for message in manager.pending]
            assert [each for each in told if not each.startswith("FDSTORE")] == ["RELOADING=1", "READY=1"]
            file.write_text("port = 0\ndrain = -3\n")
            status, sentence = reload()
            assert status == 1
            assert sentence == (
                f"wsd: not reloaded, the old configuration stays in use: {file}: drain: "
                "-3.0 is too small; the minimum is 0\n"
            )
            assert manager.pending[-1].startswith("READY=1\nSTATUS=not reloaded: ")
            assert echoes(daemon.url())
        assert reload()[0] == 1

    def test_wait_longer_for_the_end_than_the_daemon_takes(self) -> None:
        text = (CONF / "wsd.toml").read_text()
        drain, closing = (re.search(rf"^{key} = ([\d.]+)", text, re.MULTILINE) for key in ("drain", "closing_timeout"))
        assert drain is not None
        assert closing is not None
        assert float(value("TimeoutStopSec")) >= float(drain[1]) + 2 * float(closing[1])

    def test_allow_more_descriptors_than_connections(self) -> None:
        most = re.search(r"^max_connections = (\d+)", (CONF / "wsd.toml").read_text(), re.MULTILINE)
        assert most is not None
        assert int(value("LimitNOFILE")) > int(most[1]) + 1000

    def test_let_nobody_into_the_folder_of_sockets_but_a_group(self) -> None:
        assert value("RuntimeDirectoryMode") == "0750"

    def test_listen_where_the_configuration_does(self) -> None:
        streams = re.findall("^ListenStream=(.*)$", (CONF / "wsd.socket").read_text(), re.MULTILINE)
        assert streams == ["127.0.0.1:9998", "[::1]:9998"]


class TestConfinement:
    """The daemon under what the unit restricts, as far as that can be had without systemd as process 1."""

    def test_it_serves_ws_and_wss(self, units: Path, manager: Manager, tmp_path: Path) -> None:
        state = tmp_path / "state"
        state.mkdir()
        os.chown(state, 65534, 65534)
        kept = dict.fromkeys(os.path.realpath(path) for path in (ROOT, sys.prefix, sys.base_prefix))
        command = [TWISTD, "-n", "--pidfile=", "wsd", "-p", "0", "--tls-port", "0", "--tls-self-signed"]
        environ = {name: environment()[name] for name in ("PATH", "PYTHONPATH", "PYTHONUNBUFFERED")}
        confined = [sys.executable, str(Path(__file__).parent / "confined.py"), str(units / "wsd.service")]
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", *confined, str(state), *kept, "--", *command],
            env={**environ, "NOTIFY_SOCKET": manager.address, "STATE_DIRECTORY": str(state)},
            stdin=subprocess.DEVNULL,
            stdout=(tmp_path / "out.log").open("w"),
            stderr=subprocess.STDOUT,
        )
        try:
            log = tmp_path / "out.log"
            until(lambda: process.poll() is not None or "listening wss://" in log.read_text(), "listening")
            assert process.poll() is None, log.read_text()
            said = manager.hear("READY=1")
            plain, secure = (re.search(rf"{scheme}://127\.0\.0\.1:\d+", said) for scheme in ("ws", "wss"))
            assert plain is not None
            assert secure is not None
            assert echoes(plain[0])
            assert echoes(secure[0], trustingOf(state))
            with urlopen(f"{plain[0].replace('ws:', 'http:')}/metrics", timeout=10) as answer:
                assert b"\nprocess_resident_memory_bytes " in answer.read()
            status = Path(f"/proc/{process.pid}/status").read_text()
            assert re.search(r"^Uid:\s+65534\s+65534", status, re.MULTILINE)
            assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)
            assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
            assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
            assert not os.access(f"/proc/{process.pid}/root/root/.bashrc", os.F_OK)
            process.terminate()
            manager.hear("STOPPING=1")
            process.wait(PATIENCE)
            assert "Traceback" not in log.read_text()
        finally:
            process.kill()
            process.wait(PATIENCE)


class TestTheLog:
    """conf/logrotate."""

    def test_turns_without_losing_a_line(self, tmp_path: Path) -> None:
        (tmp_path / "logs").mkdir()
        log = tmp_path / "logs" / "wsd.log"
        (tmp_path / "wsd.toml").write_text('[log]\nfile = "logs/wsd.log"')
        with running(tmp_path, "twistd -n", "-p", "0", "-c", "wsd.toml", log="logs/wsd.log") as daemon:
            url = daemon.url()
            text = (CONF / "logrotate").read_text().replace("/var/log/wsd", str(log.parent))
            kill = f"kill -USR1 {daemon.pid}"
            rules, changed = re.subn("systemctl kill .*", kill, text)
            assert changed == 1
            (tmp_path / "rules").write_text(rules)
            subprocess.run(
                ["logrotate", "--force", "--state", str(tmp_path / "state"), str(tmp_path / "rules")],
                check=True,
                timeout=PATIENCE,
            )
            until(log.exists, "a new log")
            assert echoes(url)
            daemon.logged("opened /echo")
            assert "listening ws://" in (log.parent / "wsd.log.1").read_text()


class TestTheFolders:
    """conf/tmpfiles.conf."""

    def test_are_made_for_a_user_wsd(self, tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nwsd:x:990:990::/var/lib/wsd:/bin/false\n")
        (tmp_path / "etc/group").write_text("root:x:0:\nadm:x:4:\nwsd:x:990:\n")
        done = subprocess.run(
            ["systemd-tmpfiles", "--create", f"--root={tmp_path}", str(CONF / "tmpfiles.conf")],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert (done.returncode, done.stderr) == (0, "")
        found = {}
        for name in ("etc/wsd", "run/wsd", "var/lib/wsd", "var/log/wsd"):
            status = (tmp_path / name).stat()
            found[name] = (oct(status.st_mode)[-3:], status.st_uid, status.st_gid)
        assert found == {
            "etc/wsd": ("755", 0, 0),
            "run/wsd": ("750", 990, 990),
            "var/lib/wsd": ("700", 990, 990),
            "var/log/wsd": ("750", 990, 4),
        }
