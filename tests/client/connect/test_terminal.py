"""`wsd connect` at a real pseudo-terminal, whose screen is looked at."""

from __future__ import annotations

import os
import signal
import stat
import threading
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from tests.client.connect.peers import echo, serving
from tests.commands import PATIENCE, ROOT, until
from tests.terminal import Terminal, atTerminal
from wsd.client.connect.slash import Entered, read

READY = "* type a message and press Enter; /help lists the commands; ^D closes"


def prompted(terminal: Terminal, text: str = "") -> None:
    """Wait for the prompt with this text behind it."""
    terminal.waitFor(lambda lines: lines[-1:] == [f"> {text}".rstrip()])


def after(lines: list[str]) -> list[str]:
    """The lines below what is told at the beginning."""
    return lines[lines.index(READY) + 1 :]


class TestThePrompt:
    def test_sends_lines_and_shows_what_comes(self, tmp_path: Path) -> None:
        with serving(compression=None) as url, atTerminal(tmp_path, "connect", url) as terminal:
            prompted(terminal)
            terminal.type("hello 世界\r")
            terminal.waitForLine("< hello")
            prompted(terminal)
            terminal.type("\x04")
            assert terminal.waitForEnd() == 0
            text = "\n".join(terminal.lines)
        assert text.startswith(f"* connected to {url}\n{READY}\n> hello")
        assert text.endswith("\n> close 1000 (normal closure)\n< close 1000 (normal closure)")

    def test_keeps_the_line_being_typed_whole_below_what_comes(self, tmp_path: Path) -> None:
        say = threading.Event()

        def handler(connection: ServerConnection) -> None:
            say.wait(PATIENCE)
            for number in range(2000):
                connection.send(f"message {number}")
            echo(connection)

        with serving(handler) as url, atTerminal(tmp_path, "connect", url) as terminal:
            prompted(terminal)
            terminal.type("half of a li")
            prompted(terminal, "half of a li")
            say.set()
            terminal.waitForLine("< message 1999")
            prompted(terminal, "half of a li")
            assert terminal.lines[-30:-1] == [f"< message {number}" for number in range(1971, 2000)]
            terminal.type("ne\r")
            terminal.waitForLine("< half of a line")

    def test_takes_a_pasted_text_as_one_message(self, tmp_path: Path) -> None:
        got: list[object] = []

        def handler(connection: ServerConnection) -> None:
            for message in connection:
                got.append(message)
                connection.send(message)

        with serving(handler) as url, atTerminal(tmp_path, "connect", url) as terminal:
            prompted(terminal)
            terminal.paste('{\n  "a": 1\n}\n')
            terminal.waitFor(lambda lines: lines[-1:] == ["  }"])
            terminal.type("\r")
            terminal.waitForLine("< {")
            terminal.type("one\x1b\rtwo\r")
            terminal.waitForLine("< one")
            assert after(terminal.lines)[3:6] == ["< {", '    "a": 1', "  }"]
        assert got == ['{\n  "a": 1\n}', "one\ntwo"]

    def test_has_the_history_of_earlier_runs(self, tmp_path: Path) -> None:
        with serving() as url:
            with atTerminal(tmp_path, "connect", url) as terminal:
                prompted(terminal)
                terminal.type("kept 世界\r")
                terminal.waitForLine("< kept")
                terminal.type("\x04")
                assert terminal.waitForEnd() == 0
            history = tmp_path / "connect.history"
            assert stat.S_IMODE(history.stat().st_mode) == 0o600
            with atTerminal(tmp_path, "connect", url) as terminal:
                prompted(terminal)
                terminal.type("\x1b[A")
                terminal.waitForLine("> kept")
                terminal.type(" again\r")
                terminal.waitForLine("< kept")
                assert "世" in terminal.lines[-2]
                assert terminal.lines[-2].endswith("again")

    def test_tells_if_the_history_cannot_be_kept(self, tmp_path: Path) -> None:
        (tmp_path / "connect.history").mkdir()
        with serving() as url, atTerminal(tmp_path, "connect", url) as terminal:
            terminal.waitForLine("* the history is not saved: ")
            prompted(terminal)
            terminal.type("works\r")
            terminal.waitForLine("< works")

    def test_ends_at_an_interrupt_of_an_empty_line(self, tmp_path: Path) -> None:
        with serving() as url, atTerminal(tmp_path, "connect", url) as terminal:
            prompted(terminal)
            terminal.type("away with this")
            prompted(terminal, "away with this")
            terminal.type("\x03")
            prompted(terminal)
            terminal.type("\x03")
            assert terminal.waitForEnd() == 130
            assert terminal.lines[-2:] == ["> close 1000 (normal closure)", "< close 1000 (normal closure)"]

    def test_ends_at_a_signal(self, tmp_path: Path) -> None:
        with serving() as url, atTerminal(tmp_path, "connect", url) as terminal:
            prompted(terminal)
            os.kill(terminal.pid, signal.SIGTERM)
            assert terminal.waitForEnd() == 143

    def test_ends_with_the_connection(self, tmp_path: Path) -> None:
        close = threading.Event()

        def handler(connection: ServerConnection) -> None:
            close.wait(PATIENCE)
            connection.close(4000, "enough")

        with serving(handler) as url, atTerminal(tmp_path, "connect", url) as terminal:
            prompted(terminal)
            terminal.type("unsent")
            prompted(terminal, "unsent")
            close.set()
            assert terminal.waitForEnd() == 4
            assert terminal.lines[-1] == f"wsd: {url}: the server closed with 4000: enough"

    def test_tells_why_there_is_no_connection(self, tmp_path: Path) -> None:
        with atTerminal(tmp_path, "connect", "ws://127.0.0.1:1/") as terminal:
            assert terminal.waitForEnd() == 3
            assert "".join(terminal.lines) == (
                "wsd: ws://127.0.0.1:1/: refused: nothing listens at 127.0.0.1 port 1; start the daemon, or check the "
                "port"
            )

    @pytest.mark.parametrize("more", [["--lines"], []])
    def test_is_a_pipe_if_asked_or_if_the_terminal_can_do_nothing(self, tmp_path: Path, more: list[str]) -> None:
        term = "xterm" if more else "dumb"
        with serving() as url, atTerminal(tmp_path, "connect", url, *more, TERM=term) as terminal:
            terminal.type("hello\r")
            terminal.waitFor(lambda lines: lines == ["hello", "hello"])
            terminal.type("\x04")
            assert terminal.waitForEnd() == 0

    def test_connects_again(self, tmp_path: Path) -> None:
        lose, count = threading.Event(), 0

        def handler(connection: ServerConnection) -> None:
            nonlocal count
            count += 1
            if count == 1:
                lose.wait(PATIENCE)
                connection.close(1012)
            echo(connection)

        with serving(handler) as url, atTerminal(tmp_path, "connect", url, "--reconnect") as terminal:
            prompted(terminal)
            terminal.type("wai")
            lose.set()
            terminal.waitForLine("! the server closed with 1012 (service restart); retrying in ")
            until(lambda: count == 2, "another connection")
            terminal.type("ted\r")
            terminal.waitForLine("< waited")


class TestThePage:
    """docs/connect.md."""

    def test_shows_what_is_seen(self, tmp_path: Path) -> None:
        page = (ROOT / "docs" / "connect.md").read_text("utf-8")
        shown = next(block for block in page.split("```\n") if block.startswith("* connected")).splitlines()
        with serving() as url, atTerminal(tmp_path, "connect", url) as terminal:
            for line, after in pairwise(shown):
                if line.startswith("> ") and not line.startswith("> close"):
                    prompted(terminal)
                    terminal.type(f"{line[2:]}\r")
                    terminal.waitForLine(after)
            assert terminal.waitForEnd() == 0
        told = shown[0].replace("ws://localhost:9998/echo", url)
        assert [line for line in terminal.lines if line != ">"] == [told, *shown[1:]]


class TestColours:
    def test_tell_the_direction(self, tmp_path: Path) -> None:
        with serving() as url, atTerminal(tmp_path, "connect", url) as terminal:
            prompted(terminal)
            terminal.type("hello\r/nothing\r")
            terminal.waitForLine("! unknown command /nothing")
            terminal.waitForLine("< hello")
            assert terminal.color("> hello") == "green"
            assert terminal.color("< hello") == "cyan"
            assert terminal.color("! unknown") == "red"

    def test_are_not_used_where_nobody_wants_them(self, tmp_path: Path) -> None:
        with serving() as url, atTerminal(tmp_path, "connect", url, NO_COLOR="1") as terminal:
            prompted(terminal)
            terminal.type("hello\r")
            terminal.waitForLine("< hello")
            assert terminal.color("> hello") == terminal.color("< hello") == "default"

    def test_a_message_cannot_make_its_own(self, tmp_path: Path) -> None:
        def handler(connection: ServerConnection) -> None:
            connection.send("\x1b[31mred\x07")
            echo(connection)

        with serving(handler) as url, atTerminal(tmp_path, "connect", url) as terminal:
            terminal.waitForLine("< \\x1b[31mred\\x07")


class TestCommands:
    def test_do_what_they_say(self, tmp_path: Path) -> None:
        closes: list[object] = []

        def handler(connection: ServerConnection) -> None:
            with suppress(ConnectionClosed):
                echo(connection)
            closes.append(connection.protocol.close_rcvd)

        with serving(handler) as url, atTerminal(tmp_path, "connect", url) as terminal:
            prompted(terminal)
            terminal.type("/ping beat\r")
            terminal.waitForLine('< pong "beat" after ')
            terminal.type("/binary 00 ff\r")
            terminal.waitForLine("< binary, 2 bytes: 00 ff")
            terminal.type("//slash\r")
            terminal.waitForLine("< /slash")
            terminal.type("/help\r")
            terminal.waitForLine("* /close [CODE] [REASON]")
            terminal.type("/cl\t")
            prompted(terminal, "/close")
            terminal.type(" 4000 why not\r")
            assert terminal.waitForEnd() == 0
            assert terminal.lines[-2:] == ["> close 4000: why not", "< close 4000: why not"]
        until(lambda: len(closes) == 1, "the close")
        assert (getattr(closes[0], "code", 0), getattr(closes[0], "reason", "")) == (4000, "why not")

    @pytest.mark.parametrize(
        ("text", "entered"),
        [
            ("hello", Entered("message", b"hello")),
            ("//x", Entered("message", b"/x")),
            (" /x", Entered("message", b" /x")),
            ("/close", Entered("close")),
            ("/close 1001", Entered("close", b"", 1001)),
            ("/close 4000 a b", Entered("close", b"a b", 4000)),
            ("/close done", Entered("close", b"done")),
            ("/ping", Entered("ping")),
            ("/ping a b", Entered("ping", b"a b")),
            ("/binary 00FF 7f", Entered("binary", b"\x00\xff\x7f")),
            ("/help", Entered("help")),
        ],
    )
    def test_are_read(self, text: str, entered: Entered) -> None:
        assert read(text) == entered

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("/clsoe", 'unknown command /clsoe; did you mean "/close"?'),
            ("/close 1006", "1006 is not a close code; write 1000 to 1003, 1007 to 1014 or 3000 to 4999"),
            ("/close 99999999", "99999999 is not a close code"),
            ("/close 4000 " + "x" * 124, "a reason of 124 bytes is too long; the limit is 123 bytes"),
            ("/ping " + "x" * 126, "a ping of 126 bytes is too long; the limit is 125 bytes"),
            ("/binary 0", "/binary: write pairs of hexadecimal digits, such as 00 ff 7f"),
            ("a\udcff", "this is not UTF-8, but a text message must be; /binary HEX sends any bytes"),
        ],
    )
    def test_that_are_wrong_are_told(self, text: str, said: str) -> None:
        with pytest.raises(ValueError, match=r".") as raised:
            read(text)
        assert str(raised.value).startswith(said)
