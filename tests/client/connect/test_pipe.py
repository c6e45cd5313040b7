"""`wsd connect` in a pipe: lines and bytes in and out, and when it ends."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection

from tests.client.connect.peers import connect, connecting, echo, serving
from tests.commands import PATIENCE, until
from wsd.client.connect.pipe import PipeInput, PipeOptions
from wsd.client.failures import ExitStatus, Unanswered

SOME = 8 << 20
"""Bytes that may be under way between two processes and in them: buffers of the kernel and of both."""


def cut(options: PipeOptions, *pieces: bytes) -> list[bytes]:
    """The messages that these pieces of input are, after which it ends."""
    found: list[bytes] = []
    given = PipeInput(options)
    for piece in (*pieces, b""):
        given.feed(piece)
        while (message := given.next()) is not None:
            found.append(message)
    return found


class TestInput:
    @pytest.mark.parametrize(
        ("pieces", "messages"),
        [
            ([b"a\nb\n"], [b"a", b"b"]),
            ([b"a\nb"], [b"a", b"b"]),
            ([b"a\r\nb\r\n"], [b"a", b"b"]),
            ([b"\n\na\n"], [b"", b"", b"a"]),
            ([b"lo", b"ng", b" line\nne", b"xt"], [b"long line", b"next"]),
            (["世".encode()[:1], "世\n".encode()[1:]], ["世".encode()]),
            ([], []),
        ],
    )
    def test_each_line_is_a_message(self, pieces: list[bytes], messages: list[bytes]) -> None:
        assert cut(PipeOptions(), *pieces) == messages

    def test_a_line_that_is_not_text_is_named(self) -> None:
        with pytest.raises(Unanswered, match="line 2 of standard input is not UTF-8; --binary") as raised:
            cut(PipeOptions(), b"a\n\xff\n")
        assert raised.value.status is ExitStatus.USAGE

    def test_the_whole_is_one_binary_message(self) -> None:
        assert cut(PipeOptions(binary=True), b"a\n", b"\xff") == [b"a\n\xff"]
        assert cut(PipeOptions(binary=True)) == []

    def test_or_it_is_cut_into_chunks(self) -> None:
        assert cut(PipeOptions(binary=True, chunk=2), b"abc", b"de") == [b"ab", b"cd", b"e"]


class TestMessages:
    def test_lines_are_sent_and_answers_are_lines(self, tmp_path: Path) -> None:
        with serving() as url:
            done = connect(tmp_path, url, stdin="one\n\n世界".encode())
        assert (done.returncode, done.stdout, done.stderr) == (0, "one\n\n世界\n".encode(), b"")

    def test_fragments_are_one_message(self, tmp_path: Path) -> None:
        with serving(lambda connection: connection.send(iter(["frag", "men", "ted"]))) as url:
            done = connect(tmp_path, url)
        assert (done.returncode, done.stdout) == (0, b"fragmented\n")

    def test_binary_is_sent_and_written_unchanged(self, tmp_path: Path) -> None:
        payload = bytes(range(256)) * 1000
        kinds: list[type] = []

        def handler(connection: ServerConnection) -> None:
            for message in connection:
                kinds.append(type(message))
                connection.send(message)

        with serving(handler) as url:
            whole = connect(tmp_path, url, "--binary", "--messages", "1", stdin=payload)
            parts = connect(tmp_path, url, "--chunk", "64KiB", "--messages", "4", stdin=payload)
        assert (whole.returncode, whole.stdout == payload) == (0, True)
        assert (parts.returncode, parts.stdout == payload) == (0, True)
        assert kinds == [bytes] * 5

    def test_input_that_is_not_text_ends_it(self, tmp_path: Path) -> None:
        with serving() as url:
            done = connect(tmp_path, url, stdin=b"\xff\n")
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr == b"wsd: line 1 of standard input is not UTF-8; --binary sends any bytes\n"


class TestTheEnd:
    def test_comes_after_so_many_messages(self, tmp_path: Path) -> None:
        with serving() as url:
            began = time.monotonic()
            done = connect(tmp_path, url, "--messages", "2", "--wait", "20", stdin=b"a\nb\nc\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"a\nb\n", b"")
        assert time.monotonic() - began < 15

    def test_comes_when_too_few_came_in_the_time_to_wait(self, tmp_path: Path) -> None:
        with serving() as url:
            done = connect(tmp_path, url, "--messages", "2", "--wait", "0.3", stdin=b"a\n")
        assert (done.returncode, done.stdout) == (5, b"a\n")
        assert done.stderr.decode() == f"wsd: {url}: 1 of 2 messages received, then the wait timed out\n"

    def test_comes_a_second_after_the_end_of_the_input(self, tmp_path: Path) -> None:
        def late(connection: ServerConnection) -> None:
            message = connection.recv()
            time.sleep(0.3)
            connection.send(message)
            for _ in connection:
                pass

        with serving(late) as url:
            done = connect(tmp_path, url, stdin=b"slow\n")
        assert (done.returncode, done.stdout) == (0, b"slow\n")

    def test_waits_for_the_server_if_it_is_told_to(self, tmp_path: Path) -> None:
        def feed(connection: ServerConnection) -> None:
            for number in range(3):
                time.sleep(0.6)
                connection.send(str(number))

        with serving(feed) as url:
            done = connect(tmp_path, url, "--wait", "inf")
        assert (done.returncode, done.stdout) == (0, b"0\n1\n2\n")

    def test_comes_with_the_reader_of_standard_output(self, tmp_path: Path) -> None:
        closed = threading.Event()

        def handler(connection: ServerConnection) -> None:
            connection.send("first")
            for _ in connection:
                pass
            closed.set()

        with serving(handler) as url, connecting(tmp_path, url, "--wait", "inf") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"first\n"
            process.stdout.close()
            assert process.wait(PATIENCE) == 0
            assert closed.wait(PATIENCE)
            assert process.stderr is not None
            assert process.stderr.read() == b""

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_comes_with_a_signal_after_a_close(self, tmp_path: Path, number: signal.Signals, status: int) -> None:
        codes: list[object] = []

        def handler(connection: ServerConnection) -> None:
            connection.send("open")
            for _ in connection:
                pass
            codes.append(connection.protocol.close_rcvd and connection.protocol.close_rcvd.code)

        with serving(handler) as url, connecting(tmp_path, url) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"open\n"
            process.send_signal(number)
            assert process.wait(PATIENCE) == status
            until(lambda: codes == [1000], "a close with 1000")
            assert process.stderr is not None
            assert process.stderr.read() == b""

    def test_comes_at_once_while_it_connects_again(self, tmp_path: Path) -> None:
        with connecting(tmp_path, "ws://127.0.0.1:1/", "--reconnect") as process:
            assert process.stderr is not None
            assert b"; retrying in " in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 130

    def test_a_disk_that_is_full_is_told(self, tmp_path: Path) -> None:
        with serving() as url, open("/dev/full", "wb") as full, connecting(tmp_path, url, stdout=full) as process:
            _, said = process.communicate(b"a\n", PATIENCE)
        assert process.returncode == 2
        assert said == b"wsd: standard output cannot be written: No space left on device\n"


class TestBackpressure:
    def test_a_slow_standard_output_slows_the_server(self, tmp_path: Path) -> None:
        sent = 0
        message = b"x" * 65536
        count = 800

        def flood(connection: ServerConnection) -> None:
            nonlocal sent
            for _ in range(count):
                connection.send(message)
                sent += len(message)

        with serving(flood, compression=None) as url, connecting(tmp_path, url, "--binary", "--wait", "inf") as process:
            self.standsStill(lambda: sent)
            assert 0 < sent < count * len(message) - SOME
            out, _ = process.communicate(timeout=PATIENCE)
        assert len(out) == count * len(message)

    def test_a_slow_server_slows_standard_input(self, tmp_path: Path) -> None:
        read = threading.Event()

        def slow(connection: ServerConnection) -> None:
            read.wait(PATIENCE)
            total = sum(len(message) for message in connection)
            assert total == count * 65535

        count, written = 800, 0

        def write(process: subprocess.Popen[bytes]) -> None:
            nonlocal written
            assert process.stdin is not None
            for _ in range(count):
                process.stdin.write(b"x" * 65535 + b"\n")
                written += 65536
            process.stdin.close()

        with serving(slow, compression=None, max_queue=1) as url, connecting(tmp_path, url, "--wait", "0") as process:
            writer = threading.Thread(target=write, args=(process,), daemon=True)
            writer.start()
            self.standsStill(lambda: written)
            assert 0 < written < count * 65536 - SOME
            read.set()
            assert process.wait(PATIENCE) == 0
            writer.join(PATIENCE)

    @staticmethod
    def standsStill(count: object) -> None:
        """Wait until a count has grown and does not grow any more for half a second."""
        last, since, end = 0, time.monotonic(), time.monotonic() + PATIENCE
        while not last or time.monotonic() - since < 0.5:
            assert time.monotonic() < end
            now = count()  # type: ignore[operator]
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.02)


class TestPrint:
    def test_the_handshake_goes_to_standard_error(self, tmp_path: Path) -> None:
        with serving() as url:
            done = connect(tmp_path, url, "--print", "handshake", "--basic", "me:secret", stdin=b"a\n")
        lines = done.stderr.decode().splitlines()
        assert done.stdout == b"a\n"
        assert lines[0] == "> GET / HTTP/1.1"
        assert "> Authorization: Basic ..." in lines
        assert "< HTTP/1.1 101 Switching Protocols" in lines
        assert all(line[:2] in ("> ", "< ") for line in lines)

    def test_all_adds_what_is_sent_and_control_frames(self, tmp_path: Path) -> None:
        def handler(connection: ServerConnection) -> None:
            connection.ping(b"beat").wait(PATIENCE)
            echo(connection)

        with serving(handler) as url:
            done = connect(tmp_path, url, "--print", "all", "--messages", "1", stdin=b"a\n")
        assert done.stdout == b"a\n"
        lines = [line for line in done.stderr.decode().splitlines() if not line.startswith(("> Sec", "< Sec"))]
        assert set(lines[-4:]) == {
            '< ping "beat"',
            '> "a" (text, 1 byte)',
            "> close 1000 (normal closure)",
            "< close 1000 (normal closure)",
        }

    def test_without_it_nothing_but_messages_is_printed(self, tmp_path: Path) -> None:
        with serving(lambda connection: connection.ping().wait(PATIENCE)) as url:
            done = connect(tmp_path, url)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
