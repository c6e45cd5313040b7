"""A reload of listeners and of the log, in a daemon of one process and of several: real sockets and files."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection, connect, unix_connect

from tests.commands import until
from tests.daemon import RunningDaemon, runningDaemon
from tests.logs.test_journal import Journal
from tests.ports import freePort
from tests.threadedtls import trusting

WORKERS = pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two workers"])


class Reloadable:
    """A daemon that is reloaded with HUP."""

    def __init__(self, daemon: RunningDaemon, workers: int) -> None:
        self.daemon = daemon
        self.folder = daemon.folder
        self._workers = workers

    def reload(self, text: str) -> None:
        """Reload, and wait until every process has done so."""
        for number in range(self._workers if self._workers > 1 else 0):
            self._send(text, rf"w{number} reloaded, changed", isSent=number == 0)
        if self._workers == 1:
            self._send(text, "reloaded, changed")

    def refused(self, text: str) -> str:
        """Reload, and return why it was refused."""
        return self._send(text, "not reloaded, the old configuration stays in use: (.*)")

    def write(self, text: str) -> None:
        """Reload, and do not wait."""
        (self.folder / "wsd.toml").write_text(f"workers = {self._workers}\n{text}", encoding="utf-8")
        self.daemon.process.send_signal(signal.SIGHUP)

    def _send(self, text: str, pattern: str, isSent: bool = True) -> str:
        if isSent:
            self._since = len(self.daemon.lines)
            self.write(text)
        match = self.daemon.waitFor(pattern, self._since)
        return match[1] if match.re.groups else ""


@contextmanager
def reloadable(text: str, workers: int = 1) -> Iterator[Reloadable]:
    with runningDaemon(config=f"workers = {workers}\n{text}") as daemon:
        daemon.waitFor(r"listening \S+")
        yield Reloadable(daemon, workers)


def says(client: ClientConnection, text: str) -> bool:
    client.send(text)
    return bool(client.recv(10) == text)


def at(port: int, host: str = "127.0.0.1") -> ClientConnection:
    return connect(f"ws://{host}:{port}/echo", compression=None, open_timeout=20)


def isRefused(port: int) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


@WORKERS
class TestListeners:
    def test_come_and_go_and_touch_no_other(self, workers: int) -> None:
        ports = freePort(), freePort()
        both = 'listen = ["tcp:{}:interface=127.0.0.1", "tcp:{}:interface=127.0.0.1"]\n'.format(*ports)
        one = f'listen = "tcp:{ports[0]}:interface=127.0.0.1"\n'
        with reloadable(one, workers) as ours, at(ports[0]) as first:
            ours.reload(both)
            assert says(first, "still here")
            with at(ports[0]) as again, at(ports[1]) as second:
                ours.reload(one)
                assert says(again, "again")
                assert says(second, "what is open stays, although its listener is gone")
                # The parent of workers closes its own socket when they have closed theirs.
                until(lambda: isRefused(ports[1]), "the port is closed")
            assert says(first, "to the end")

    def test_that_cannot_be_bound_refuse_the_whole_reload(self, workers: int) -> None:
        port, added = freePort(), freePort()
        with closing(socket.create_server(("127.0.0.1", 0))) as taken, reloadable(f"port = {port}\n", workers) as ours:
            number = taken.getsockname()[1]
            listen = f'listen = ["tcp:{added}:interface=127.0.0.1", "tcp:{number}:interface=127.0.0.1"]\n'
            told = ours.refused(f'port = {port}\n{listen}[route."/new"]\nprotocol = "echo"\n')
            assert told == f"port {number} on 127.0.0.1 is in use by another program; stop it, or choose another port"
            with pytest.raises(ConnectionRefusedError):
                at(added)
            with pytest.raises(InvalidStatus, match="404"):
                connect(f"ws://127.0.0.1:{port}/new")
            with at(port) as client:
                assert says(client, "as before")

    def test_become_wide_without_a_moment_in_which_nobody_listens(self, workers: int) -> None:
        port = freePort()
        narrow, wide = (f'port = {port}\nhost = "{host}"\nhosts = "*"\n' for host in ("127.0.0.1", "0.0.0.0"))
        with reloadable(narrow, workers) as ours, at(port) as first:
            ours.reload(wide)
            with at(port, "127.0.0.2") as other:
                assert says(other, "by another address")
            ours.reload(narrow)
            with at(port) as second:
                assert says(second, "narrow again")
            assert says(first, "never touched")

    def test_of_unix_sockets_have_the_mode_of_now_and_leave_no_path(self, workers: int, tmp_path: Path) -> None:
        path, port = tmp_path / "wsd.sock", freePort()
        listen = f'port = {port}\nlisten = "unix:{path}:mode={{}}"\n'
        with reloadable(listen.format(660), workers) as ours:
            ours.reload(listen.format(600))
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            with unix_connect(str(path), "ws://localhost/echo") as client:
                ours.reload(f"port = {port}\n")
                assert says(client, "still here")
            assert not path.exists()

    def test_begin_with_tls_and_end_with_it_at_the_same_port(self, workers: int, tmp_path: Path) -> None:
        port = freePort()
        plain, secure = f"port = {port}\n", f"port = false\n[tls]\nport = {port}\nself_signed = true\n"
        with reloadable(plain, workers) as ours, at(port) as first:
            ours.reload(secure)
            with connect(f"wss://127.0.0.1:{port}/echo", ssl=trusting(), compression=None) as client:
                assert says(client, "by TLS")
                ours.reload(plain)
                assert says(client, "by TLS to the end")
            with at(port) as client:
                assert says(client, "plain again")
            assert says(first, "plain")

    def test_read_the_proxy_protocol_or_do_not(self, workers: int) -> None:
        port = freePort()
        plain = f'port = {port}\nhost = "127.0.0.1"\ntrusted_proxies = "127.0.0.1"\n'
        with reloadable(plain, workers) as ours, at(port) as first:
            ours.reload(f"{plain}proxy_protocol = true\n")
            with pytest.raises((InvalidMessage, ConnectionError, InvalidStatus)):
                at(port)
            raw = socket.create_connection(("127.0.0.1", port))
            raw.sendall(b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n")
            with connect("ws://localhost/echo", sock=raw, compression=None) as client:
                assert says(client, "by a proxy")
            ours.reload(plain)
            with at(port) as client:
                assert says(client, "plain again")
            assert says(first, "plain")


@WORKERS
class TestTheLog:
    def test_goes_on_in_another_file_in_another_format(self, workers: int, tmp_path: Path) -> None:
        one, two = tmp_path / "one.log", tmp_path / "two.log"
        port = freePort()
        text = f'port = {port}\n[log]\nfile = "{{}}"\nformat = "{{}}"\n'
        with reloadable(f"port = {port}\n", workers) as ours:
            ours.write(text.format(one, "text"))
            lines = waitIn(one, "reloaded, changed: log.file", 1)
            assert any("reloaded, changed: log.file" in line for line in lines)
            ours.write(text.format(two, "json"))
            lines = waitIn(two, '"event": "reload.done"', 1)
            assert all(line.startswith("{") for line in lines)
            with at(port) as client:
                assert says(client, "logged")
            assert any('"connection.closed"' in line for line in waitIn(two, "connection.closed", 1))

    def test_that_cannot_be_opened_refuses_the_whole_reload(self, workers: int, tmp_path: Path) -> None:
        port = freePort()
        with reloadable(f"port = {port}\n", workers) as ours:
            told = ours.refused(f'port = {port}\ndrain = 3\n[log]\nfile = "{tmp_path}/none/wsd.log"\n')
            assert told == (
                f"log.file: {tmp_path}/none/wsd.log cannot be written: No such file or directory; name a file that wsd "
                "can write"
            )
            ours.reload(f"port = {port}\ndrain = 3\n")


@contextmanager
def journal() -> Iterator[tuple[Journal, list[str]]]:
    """A journal, and the beginning of the command of a process that finds it at its usual place."""
    with TemporaryDirectory(prefix="wsd-journal-") as name:
        found = Journal(Path(name) / "socket")
        script = 'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && mount --bind "$0" /run/systemd/journal'
        with closing(found.socket):
            yield found, [*_UNSHARE, "sh", "-c", f'{script} && exec "$@"', name]


_UNSHARE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
_CANNOT_MOUNT = bool(
    subprocess.run([*_UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/run"], capture_output=True).returncode
)


@WORKERS
@pytest.mark.skipif(_CANNOT_MOUNT, reason="needs unshare, and the right to mount")
class TestTheJournal:
    """journald's socket, at its usual place in a mount namespace of the daemon's own."""

    def hears(self, journal: Journal, **fields: str) -> dict[str, str]:
        """The next entry with these fields."""
        while True:
            entry = journal.receive()
            if fields.items() <= entry.items():
                return entry

    def test_takes_the_log_and_gives_it_up_again(self, workers: int, tmp_path: Path) -> None:
        port, file = freePort(), tmp_path / "wsd.log"
        start = f"workers = {workers}\nport = {port}\n"
        with journal() as (found, prefix), runningDaemon(config=start, prefix=prefix) as daemon:
            ours = Reloadable(daemon, workers)
            text = f"port = {port}\n[log]\n"
            ours.write(f'{text}format = "journal"\n')
            for _ in range(workers):
                done = self.hears(found, WSD_EVENT="reload.done")
                assert "log.format" in done["MESSAGE"]
                assert (done["PRIORITY"], done["SYSLOG_IDENTIFIER"]) == ("6", "wsd")
            with at(port) as client:
                opened = self.hears(found, WSD_EVENT="connection.opened", WSD_PATH="/echo")
                assert says(client, "hello")
            closed = self.hears(found, WSD_EVENT="connection.closed", WSD_ID=opened["WSD_ID"])
            assert (closed["WSD_CODE"], closed["WSD_MESSAGES_RECEIVED"]) == ("1000", "1")
            said = len(daemon.lines)
            ours.write(f'{text}format = "text"\nfile = "{file}"\n')
            waitIn(file, "reloaded, changed: log.format, log.file", workers)
            found.drain()
            with at(port) as client:
                assert says(client, "hello")
            waitIn(file, "closed: peer_closed", 1)
            assert found.drain() == []
            assert [line for line in daemon.lines[said:] if "opened /echo" in line] == []

    def test_that_is_not_there_refuses_the_whole_reload(self, workers: int) -> None:
        port = freePort()
        start = f"workers = {workers}\nport = {port}\n"
        with journal() as (found, prefix), runningDaemon(config=start, prefix=prefix) as daemon:
            daemon.waitFor(r"listening \S+")
            ours = Reloadable(daemon, workers)
            found.path.unlink()
            told = ours.refused(f'port = {port}\ndrain = 3\n[log]\nformat = "journal"\n')
            assert told == (
                "log.format: there is no journal at /run/systemd/journal/socket (No such file or directory); use "
                '"text" or "json"'
            )
            told = ours.refused(f'port = {port}\ndrain = 3\n[access]\nformat = "journal"\n')
            assert told.startswith("access.format: there is no journal at ")
            ours.reload(f"port = {port}\ndrain = 3\n")

    def test_takes_the_access_lines_alone(self, workers: int) -> None:
        port = freePort()
        start = f"workers = {workers}\nport = {port}\n"
        with journal() as (found, prefix), runningDaemon(config=start, prefix=prefix) as daemon:
            daemon.waitFor(r"listening \S+")
            ours = Reloadable(daemon, workers)
            ours.reload(f'port = {port}\n[access]\nformat = "journal"\n')
            said = len(daemon.lines)
            with at(port) as client:
                assert says(client, "hello")
            self.hears(found, WSD_EVENT="connection.closed", WSD_PATH="/echo")
            assert [line for line in daemon.lines[said:] if "closed: " in line] == []


def waitIn(path: Path, text: str, times: int) -> list[str]:
    """The lines of a file, when the text is in so many of them."""
    until(lambda: path.exists() and path.read_text().count(text) >= times, f"{text} in {path.name}")
    return path.read_text().splitlines()
