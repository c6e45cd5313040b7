"""`wsd serve`: the daemon in the foreground, for whoever does not know Twisted."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import PATIENCE, commandLine, environment, run, running, until
from wsd.commands import CommandParser
from wsd.config import Config
from wsd.listen.listener import Listener
from wsd.service.report import pagesOf
from wsd.tap import Options
from wsd.tap.serve import addOptions


def messages(log: str) -> list[str]:
    """The lines of a log without time and level."""
    return [line.split(maxsplit=2)[2] for line in log.splitlines()]


class TestItsFirstLine:
    def test_it_is_the_address_to_open_and_the_listeners_follow(self, tmp_path: Path) -> None:
        with running(tmp_path, "wsd serve", "-p", "0") as daemon:
            port = daemon.url().rpartition(":")[2]
            daemon.logged(r"listening ws://\[::1\]")
            assert messages(daemon.log)[0] == f"open http://localhost:{port}/"
            assert messages(daemon.log)[-2:] == [f"listening ws://127.0.0.1:{port}/", f"listening ws://[::1]:{port}/"]

    def test_it_names_both_with_and_without_tls(self, tmp_path: Path) -> None:
        with running(tmp_path, "wsd serve", "-p", "0", "--tls-port", "0", "--tls-self-signed") as daemon:
            plain, secure = (daemon.url(scheme).rpartition(":")[2] for scheme in ("ws", "wss"))
            assert messages(daemon.log)[0] == f"open http://localhost:{plain}/ or https://localhost:{secure}/"

    @pytest.mark.parametrize(
        ("listeners", "config", "pages"),
        [
            (["ws://127.0.0.1:1/", "ws://[::1]:1/"], Config(), ["http://localhost:1/"]),
            (["wss://127.0.0.1:2/"], Config(), ["https://localhost:2/"]),
            (["ws://0.0.0.0:3/"], Config(), ["http://localhost:3/"]),
            (["ws://0.0.0.0:3/"], Config(hosts=("ws.example.com",)), ["http://127.0.0.1:3/"]),
            (["ws://[::]:3/"], Config(hosts=("ws.example.com",)), ["http://[::1]:3/"]),
            (["ws://192.0.2.7:4/"], Config(), ["http://192.0.2.7:4/"]),
            (["ws://127.0.0.1:5/"], Config(hosts=("127.0.0.1",)), ["http://127.0.0.1:5/"]),
            (["ws://127.0.0.1:5/"], Config(hosts=("*",)), ["http://localhost:5/"]),
            (["ws://127.0.0.1:5/"], Config(hosts=("ws.example.com",)), []),
            (["ws://127.0.0.1:6/"], Config(proxy_protocol=True), []),
            (["ws+unix:/run/wsd.sock", "systemd:name=wsd"], Config(), []),
        ],
    )
    def test_it_names_only_what_a_browser_here_can_open(
        self, listeners: list[str], config: Config, pages: list[str]
    ) -> None:
        assert pagesOf(config, [Listener(url, url.startswith("wss")) for url in listeners]) == pages

    def test_it_is_said_on_the_terminal_when_the_log_is_in_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text('[log]\nfile = "wsd.log"')
        with running(tmp_path, "wsd serve", "-p", "0", "-c", "wsd.toml", log="wsd.log") as daemon:
            port = daemon.url().rpartition(":")[2]
            said = (tmp_path / "out.log").read_text()
        assert said == f"open http://localhost:{port}/; the log is in {tmp_path}/wsd.log\n"


class TestItsLog:
    def test_it_says_nothing_of_reactors_and_main_loops(self, tmp_path: Path) -> None:
        with running(tmp_path, "wsd serve", "-p", "0") as daemon:
            daemon.url()
            daemon.stop()
        assert not re.search("reactor|twistd|main loop", daemon.log, re.IGNORECASE)

    @staticmethod
    def onTerminal(folder: Path, **more: str) -> str:
        """What it writes to a terminal until it listens."""
        ours, theirs = pty.openpty()
        environ = environment(**{"STATE_DIRECTORY": str(folder), "TERM": "xterm", **more})
        process = subprocess.Popen(
            commandLine("wsd serve", "-p", "0"), cwd=folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        said = b""
        try:
            while b"listening" not in said:
                said += os.read(ours, 4096)
        finally:
            process.terminate()
            process.wait(PATIENCE)
            os.close(ours)
        return said.decode()

    def test_it_has_colours_on_a_terminal(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        first = self.onTerminal(tmp_path).partition("\r\n")[0].replace("\x1b", "")
        assert re.fullmatch(r"\[2m\S+\[0m \[32minfo \[0m\[1m open http://localhost:\d+/\[0m", first)

    @pytest.mark.parametrize("more", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
    def test_it_has_none_where_they_are_not_wanted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, str]
    ) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        assert "\x1b" not in self.onTerminal(tmp_path, **more)

    def test_it_has_none_in_a_file(self, tmp_path: Path) -> None:
        with running(tmp_path, "wsd serve", "-p", "0") as daemon:
            daemon.url()
        assert "\x1b" not in daemon.log


class TestItsEnd:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_with_0(self, tmp_path: Path, number: signal.Signals) -> None:
        with running(tmp_path, "wsd serve", "-p", "0") as daemon:
            daemon.url()
            daemon.send(number)
            assert daemon.waitForEnd() == 0

    def test_a_daemon_that_cannot_start_ends_it_with_1(self, tmp_path: Path) -> None:
        program = (
            "from twisted.internet.defer import fail\n"
            "from wsd.__main__ import main\n"
            "from wsd.listen.endpoints import CannotListen\n"
            "from wsd.service.listening import Listening\n"
            "Listening.start = lambda self: fail(CannotListen('the endpoint is gone'))\n"
            "main(['serve', '-p', '0'])\n"
        )
        done = run(tmp_path, [sys.executable, "-c", program])
        assert done.returncode == 1
        assert messages(done.stdout)[-2:] == ["wsd: the endpoint is gone", "Received SIGTERM, shutting down."]


class TestWhereItRuns:
    def test_it_needs_no_folder_that_it_may_write(self, tmp_path: Path) -> None:
        # Not even root can create a file in /proc.
        with (tmp_path / "out.log").open("wb") as out:
            process = subprocess.Popen(
                commandLine("wsd serve", "-p", "0"),
                cwd="/proc",
                env=environment(STATE_DIRECTORY=str(tmp_path / "state")),
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            until(lambda: "listening ws://[::1]" in (tmp_path / "out.log").read_text(), "it listens")
        finally:
            process.terminate()
            assert process.wait(PATIENCE) == 0

    def test_it_leaves_nothing_in_its_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "empty"
        folder.mkdir()
        with running(folder, "wsd serve", "-p", "0", STATE_DIRECTORY=str(tmp_path / "state")) as daemon:
            daemon.url()
            daemon.stop()
        assert [path.name for path in folder.iterdir()] == ["out.log"]


class TestItsOptions:
    def test_they_are_those_of_twistd(self) -> None:
        parser = CommandParser(prog="wsd serve")
        addOptions(parser)
        shown = [flag for action in parser.arguments for flag in action.option_strings]
        listed = str(Options()).partition("\nOptions:")[2]  # the usage before it has the command line of the tests
        twistds = re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*(?==?[ ,=\n])", listed)
        assert set(shown) - {"-h", "--help"} == {each.rstrip("=") for each in twistds} - {"--help", "--version"}

    def test_each_has_its_help(self) -> None:
        parser = CommandParser(prog="wsd serve")
        addOptions(parser)
        assert [action.dest for action in parser.arguments if not action.help] == []
