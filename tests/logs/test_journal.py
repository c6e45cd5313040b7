"""
The journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/), read by a real socket as journald reads it;
and by a real journald where there is one.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger, LogPublisher

from tests.logs.test_lines import NASTY
from wsd.logs import observer
from wsd.logs.journal import JournalObserver, encoded

_MEMORY = 1 << 20
"""More than a datagram takes on this machine."""


def decoded(entry: bytes) -> list[tuple[str, str]]:
    """The fields of an entry, by the two forms of the protocol."""
    fields = []
    while entry:
        line, _, rest = entry.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if equals:
            entry = rest
        else:
            size = int.from_bytes(rest[:8], "little")
            value, end, entry = rest[8 : 8 + size], rest[8 + size : 9 + size], rest[9 + size :]
            assert end == b"\n"
        fields.append((name.decode("ascii"), value.decode()))
    return fields


class Journal:
    """The receiving end: takes a datagram, or the sealed memory whose descriptor comes with an empty one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(5)

    def drain(self) -> list[dict[str, str]]:
        """All entries that have come."""
        found = []
        self.socket.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                found.append(self.receive())
        self.socket.settimeout(5)
        return found

    def receive(self) -> dict[str, str]:
        data, ancillary, _, _ = self.socket.recvmsg(_MEMORY, socket.CMSG_SPACE(4))
        for _, _, rights in ancillary:
            (file,) = array("i", rights)
            with open(file, "r+b", buffering=0) as memory:
                assert data == b""
                with pytest.raises(PermissionError):
                    memory.write(b"x")
                with pytest.raises(PermissionError):
                    memory.truncate(1)
                memory.seek(0)
                data = memory.read()
        return dict(decoded(data))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    here = Journal(tmp_path / "socket")
    yield here
    here.socket.close()


def logTo(journal: Journal) -> Logger:
    return Logger(namespace="wsd", observer=LogPublisher(observer(JournalObserver(str(journal.path)), "info")))


class TestAnEntry:
    def test_has_the_sentence_the_priority_and_a_field_for_each_value(self, journal: Journal) -> None:
        logTo(journal).warn("closed: {cause}", event="connection.closed", id="3f9a1b2c4d", cause="lost", code=1006)
        assert journal.receive() == {
            "MESSAGE": "[3f9a1b2c4d] closed: lost",
            "PRIORITY": "4",
            "SYSLOG_IDENTIFIER": "wsd",
            "WSD_EVENT": "connection.closed",
            "WSD_ID": "3f9a1b2c4d",
            "WSD_CAUSE": "lost",
            "WSD_CODE": "1006",
        }

    @pytest.mark.parametrize("text", ["", "a=b", "two\nlines", "\n", "\0", "你好", NASTY], ids=repr)
    def test_keeps_every_value_apart(self, journal: Journal, text: str) -> None:
        logTo(journal).info("x", reason=text, behind="it")
        entry = journal.receive()
        assert entry["WSD_REASON"] == text.encode("utf-8", "backslashreplace").decode()
        assert entry["WSD_BEHIND"] == "it"

    @given(st.lists(st.tuples(st.just("WSD_X"), st.text(st.characters(exclude_categories=["Cs"])))))
    def test_can_be_read_whatever_is_in_it(self, fields: list[tuple[str, str]]) -> None:
        assert decoded(encoded(fields)) == fields

    def test_has_the_traceback_of_an_error(self, journal: Journal) -> None:
        log = logTo(journal)
        try:
            raise RuntimeError("oh")
        except RuntimeError:
            log.failure("a hook failed")
        first, *rest = journal.receive()["MESSAGE"].splitlines()
        assert first == "a hook failed"
        assert rest[-1].endswith("RuntimeError: oh")

    def test_of_a_library_has_no_fields_since_they_may_be_private(self, journal: Journal) -> None:
        log = Logger(namespace="autobahn", observer=LogPublisher(observer(JournalObserver(str(journal.path)), "info")))
        log.info("x", token="hidden")
        assert set(journal.receive()) == {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER"}

    def test_that_is_too_large_for_a_datagram_comes_in_sealed_memory(self, journal: Journal) -> None:
        text = "x" * (16 * _MEMORY)
        logTo(journal).info("large", reason=text)
        assert journal.receive()["WSD_REASON"] == text


class TestTheJournal:
    def test_must_be_there_at_the_start(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            JournalObserver(str(tmp_path / "none"))

    def test_may_be_restarted(self, tmp_path: Path) -> None:
        first = Journal(tmp_path / "socket")
        log = logTo(first)
        first.socket.close()
        os.unlink(first.path)
        log.info("nobody hears this")
        log.info("nor this")
        second = Journal(tmp_path / "socket")
        log.info("heard")
        assert second.receive()["MESSAGE"] == "the journal did not take 2 earlier entries"
        assert second.receive()["MESSAGE"] == "heard"
        second.socket.close()

    def test_that_is_full_does_not_stop_the_daemon(self, journal: Journal) -> None:
        log = logTo(journal)
        began = time.monotonic()
        for _ in range(5000):
            log.info("x" * 1000)
        assert time.monotonic() - began < 5
        assert journal.receive()["MESSAGE"] == "x" * 1000


JOURNALD = "/lib/systemd/systemd-journald"
_PROGRAM = """
import sys
from twisted.logger import Logger, LogPublisher
from wsd.logs import linesTo, observer
log = Logger(namespace="wsd", observer=LogPublisher(observer(linesTo("journal"), "info")))
log.info("closed", event="connection.closed", id="3f9a1b2c4d", reason="two\\nlines")
log.info("large", event="connection.closed", id="aaaaaaaaaa", reason="x" * 500_000)
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists(JOURNALD) or shutil.which("unshare") is None,
    reason="needs root, systemd-journald and unshare",
)
def test_a_real_journald_takes_and_finds_the_entries(tmp_path: Path) -> None:
    # In a mount namespace of its own, so that the journal of this machine, if it has one, stays as it is.
    script = f"""
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
{JOURNALD} & journald=$!
for _ in $(seq 100); do [ -S /run/systemd/journal/socket ] && break; sleep 0.05; done
{sys.executable} -c '{_PROGRAM}'
journalctl --sync 2>/dev/null || sleep 1
for id in 3f9a1b2c4d aaaaaaaaaa; do
  journalctl --directory /run/log/journal --output json --all --no-pager WSD_ID=$id
done
kill $journald; wait $journald || true
"""
    done = subprocess.run(
        ["unshare", "--mount", "--ipc", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
    )
    if not done.stdout and "ermitted" in done.stderr:
        pytest.skip(f"journald cannot run here: {done.stderr.splitlines()[-1]}")
    small, large = (json.loads(line) for line in done.stdout.splitlines())
    assert (small["WSD_EVENT"], small["WSD_REASON"]) == ("connection.closed", "two\nlines")
    assert (small["MESSAGE"], small["PRIORITY"], small["SYSLOG_IDENTIFIER"]) == ("[3f9a1b2c4d] closed", "6", "wsd")
    assert large["WSD_REASON"] == "x" * 500_000
