"""`wsd why`: the same story from every format of the log, and something to do at the end of each."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, capturedLogs

from tests.every import EveryFactory
from tests.logs.test_journal import decoded
from tests.traces.helpers import KeptTraces, traceOf
from tests.wire import Daemon
from wsd.__main__ import main
from wsd.config import Policies
from wsd.logs import LineObserver, forJournal, textLine
from wsd.logs.journal import entryOf
from wsd.metrics import Cause
from wsd.why.records import Record, fromJournal, recordOf
from wsd.why.story import tell
from wsd.why.words import CAUSES, STATUSES

ROOT = Path(__file__).parent.parent.parent


def eventsOf(use: Callable[[Daemon], object], kept: KeptTraces | None = None) -> list[LogEvent]:
    """What is logged while a daemon is used, perhaps with traces."""
    policies, tracing = replace(Policies(), max_message=100), None if kept is None else kept.tracing
    daemon = Daemon({"/": EveryFactory}, policies, tracing=tracing)
    with capturedLogs() as events:
        use(daemon)
        daemon.pass_(10)
    return [event for event in events if "id" in event]


def tooBig(daemon: Daemon) -> None:
    daemon.open("/").say(b"x" * 101)


def leaves(daemon: Daemon) -> None:
    client = daemon.open("/")
    client.say(b"hello")
    client.close(1000, "bye; reason: none")


def expires(daemon: Daemon) -> None:
    client = daemon.open("/")
    (connection,) = daemon.connections
    connection.close(4001, "the token has expired; get a new one, and connect again")
    client.exchange()
    client.wire.serve()


def breaks(daemon: Daemon) -> None:
    wire = daemon.open("/").wire
    wire.reset()
    wire.serve()


def fails(daemon: Daemon) -> None:
    daemon.open("/").say("fail")


def refused(daemon: Daemon) -> None:
    daemon.open("/nowhere?token=hidden")


def answered(daemon: Daemon) -> None:
    daemon.connect().exchange(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")


USES = {each.__name__: each for each in (tooBig, leaves, expires, breaks, fails, refused, answered)}


def asText(events: list[LogEvent]) -> str:
    return linesOf(events, "text")


def linesOf(events: list[LogEvent], style: str) -> str:
    stream = io.StringIO()
    lines = LineObserver(style, stream=stream)
    for event in events:
        lines(event)
    return stream.getvalue()


def storyOf(text: str, name: str) -> list[str]:
    records = [record for line in text.splitlines() if (record := recordOf(line, name)) is not None]
    return tell(records)


def journalOf(events: list[LogEvent]) -> list[dict[str, Any]]:
    """The entries of the native protocol, as journalctl prints them."""
    return [
        {**dict(decoded(entryOf(event))), "__REALTIME_TIMESTAMP": str(int(event["log_time"] * 1e6))} for event in events
    ]


class TestTheStory:
    @pytest.mark.parametrize("isTraced", [False, True], ids=["without traces", "with traces"])
    @pytest.mark.parametrize("use", USES.values(), ids=USES)
    def test_is_the_same_from_each_format(self, use: Callable[[Daemon], object], isTraced: bool) -> None:
        kept = KeptTraces() if isTraced else None
        events = eventsOf(use, kept)
        name = events[0]["id"]
        story = storyOf(linesOf(events, "json"), name)
        journal = [record for entry in journalOf(events) if (record := fromJournal(entry, name)) is not None]
        prefixed = [
            {"MESSAGE": re.sub("^<.>", "", forJournal(textLine)(event).splitlines()[0]),
             "__REALTIME_TIMESTAMP": str(int(event["log_time"] * 1e6))}
            for event in events
        ]  # fmt: skip
        lines = [record for entry in prefixed if (record := fromJournal(entry, name)) is not None]
        assert len(story) >= 2
        assert tell(journal) == story
        # The sentence of a line has the peer's code, and not the daemon's own.
        assert [re.sub(r"with \d+", "", line) for line in storyOf(asText(events), name)] == [
            re.sub(r"with \d+", "", line) for line in story
        ]
        assert tell(lines) == storyOf(asText(events), name)
        assert "hidden" not in "".join(story)
        if kept is not None:
            assert f"Its trace is {traceOf(kept.only())}." in story

    def test_takes_no_trace_from_what_the_client_says(self) -> None:
        events = eventsOf(lambda daemon: daemon.open("/").close(4000, f"x; trace_id {'0' * 32}"))
        assert "Its trace" not in "".join(storyOf(asText(events), events[0]["id"]))

    def test_is_the_same_from_one_of_several_workers(self) -> None:
        events = eventsOf(tooBig)
        name = events[0]["id"]
        numbered = [{**event, "worker": 1} for event in events]
        assert " w1 [" in asText(numbered)
        assert storyOf(asText(numbered), name) == storyOf(asText(events), name)
        assert storyOf(linesOf(numbered, "json"), name) == storyOf(linesOf(events, "json"), name)

    def test_of_a_message_that_was_too_large(self) -> None:
        events = eventsOf(tooBig)
        opened, failed, closed, traffic, _, remedy = storyOf(linesOf(events, "json"), events[0]["id"])
        assert re.search(r"UTC: 127\.0\.0\.1:\d+ opened a WebSocket at /\.", opened)
        assert "The server found a fault in the received data: " in failed
        assert "exceeds the limit, so the server closed the connection with 1009 after 0.0 seconds." in closed
        assert traffic == "The server received 0 messages (0 bytes) and sent 0 messages (0 bytes)."
        assert remedy.startswith("What to do: Send smaller messages, or raise max_message")

    def test_of_a_client_that_left_has_its_reason(self) -> None:
        events = eventsOf(leaves)
        story = storyOf(asText(events), events[0]["id"])
        assert (
            'The client closed the connection with 1000 after 0.0 seconds and the reason "bye; reason: none".'
            in (story[1])
        )
        assert "received 1 message (5 bytes)" in story[2]

    def test_of_a_close_by_the_protocol_has_its_reason(self) -> None:
        events = eventsOf(expires)
        story = storyOf(asText(events), events[0]["id"])
        assert story[1].endswith(
            'The protocol of the route closed the connection with 4001 after 0.0 seconds and the reason "the token has '
            'expired; get a new one, and connect again".'
        )

    def test_of_a_refusal_has_the_sentence_and_a_remedy(self) -> None:
        events = eventsOf(refused)
        line, _, remedy = storyOf(asText(events), events[0]["id"])
        assert "The server refused GET /nowhere?... HTTP/1.1 of 127.0.0.1:" in line
        assert line.endswith(" with 404: there is no WebSocket at /nowhere.")
        assert remedy == f"What to do: {STATUSES[404]}"

    def test_of_a_connection_that_is_still_open_says_so(self) -> None:
        events = eventsOf(leaves)[:1]
        assert "it may still be open" in storyOf(asText(events), events[0]["id"])[-1]

    def test_of_a_cause_that_is_not_known_yet_is_the_line_itself(self) -> None:
        line = '{"time": "2026-11-23T07:00:00.000+00:00", "id": "3f9a1b2c4d", "message": "closed: new", '
        line += '"level": "info", "event": "connection.closed", "cause": "new", "code": 1006}'
        assert storyOf(line, "3f9a1b2c4d")[0].endswith(": closed: new")


class TestTheWords:
    def test_there_are_some_for_each_cause(self) -> None:
        assert set(CAUSES) == set(Cause)

    def test_there_are_some_for_each_status_that_a_request_is_refused_with(self) -> None:
        sources = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("wsd/**/*.py"))
        statuses = {int(each) for each in re.findall(r"\bRefused\(\s*(\d{3}),", sources)}
        assert len(statuses) > 10
        assert statuses <= set(STATUSES)

    def test_each_has_a_place_for_when(self) -> None:
        assert not [cause for cause, words in CAUSES.items() if "{after}" not in words.happened]

    @pytest.mark.parametrize("words", [*CAUSES.values()])
    def test_each_is_a_sentence(self, words: tuple[str, str]) -> None:
        assert all(re.fullmatch(r"[A-Z].*\.", text) for text in words)


class TestTheCommand:
    """With files, rotated and compressed ones, the configuration's, and the journal."""

    @pytest.fixture
    def events(self) -> list[LogEvent]:
        return eventsOf(tooBig)

    def why(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
        main(["why", *arguments])
        return capsys.readouterr().out

    def test_it_reads_the_files_that_are_named(
        self, events: list[LogEvent], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        log = tmp_path / "wsd.log"
        log.write_text(asText([*eventsOf(leaves), *events, *eventsOf(refused)]))
        assert "exceeds the limit" in self.why(capsys, events[0]["id"], str(log))

    def test_it_takes_the_whole_reason(
        self, events: list[LogEvent], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        log = tmp_path / "wsd.log"
        log.write_text(asText(events))
        reason = f"received WebSocket frame exceeds payload limit [{events[0]['id']}]"
        assert "exceeds the limit" in self.why(capsys, reason, str(log))

    @pytest.mark.parametrize(
        ("suffix", "compress"),
        [(".1", bytes), ("-20261123", bytes), (".2.gz", gzip.compress), (".3.bz2", bz2.compress),
         ("-20261123.xz", lzma.compress)],
        ids=["numbered", "dated", "gzip", "bzip2", "xz"],
    )  # fmt: skip
    def test_it_reads_a_story_that_began_in_a_rotated_file(
        self,
        events: list[LogEvent],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        suffix: str,
        compress: Callable[[bytes], bytes],
    ) -> None:
        (tmp_path / f"wsd.log{suffix}").write_bytes(compress(asText(events[:1]).encode()))
        (tmp_path / "wsd.log").write_text(asText(events[1:]))
        story = self.why(capsys, events[0]["id"], str(tmp_path / "wsd.log"))
        assert "opened a WebSocket" in story.splitlines()[0]
        assert "exceeds the limit" in story

    def test_it_finds_the_files_in_the_configuration(
        self, events: list[LogEvent], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        config = tmp_path / "wsd.toml"
        config.write_text('[log]\nfile = "wsd.log"\n[access]\nfile = "access.log"\nformat = "json"\n')
        access = [event for event in events if event["event"] != "connection.failed"]
        (tmp_path / "access.log").write_text(linesOf(access, "json"))
        (tmp_path / "wsd.log").write_text(asText([event for event in events if event not in access]))
        story = self.why(capsys, events[0]["id"], "--config", str(config))
        assert len(story.splitlines()) == 6

    @pytest.mark.parametrize("named", ["by the environment", "by nothing, at the usual place"])
    def test_it_finds_the_configuration_of_the_daemon(
        self,
        events: list[LogEvent],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        named: str,
    ) -> None:
        (tmp_path / "wsd.log").write_text(linesOf(events, "json"))
        config = tmp_path / "wsd.toml"
        config.write_text(f'[log]\nfile = "{tmp_path}/wsd.log"\n')
        if named == "by the environment":
            monkeypatch.setenv("WSD_CONFIG", str(config))
        else:
            monkeypatch.setattr("wsd.why.command._USUAL", str(config))
        assert "What to do: " in self.why(capsys, events[0]["id"])

    def test_it_finds_the_file_that_the_environment_names(
        self,
        events: list[LogEvent],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (tmp_path / "wsd.log").write_text(linesOf(events, "text"))
        monkeypatch.setenv("WSD_LOG_FILE", str(tmp_path / "wsd.log"))
        assert "What to do: " in self.why(capsys, events[0]["id"])

    def test_it_tells_what_the_page_shows(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        lines = (
            "00.123+00:00 info  [3f9a1b2c4d] opened /echo for 192.0.2.7:50311",
            "04.455+00:00 info  [3f9a1b2c4d] fails with 1009: received WebSocket message size 1048577 exceeds payload "
            "limit of 1048576 octets",
            "04.456+00:00 info  [3f9a1b2c4d] closed: too_big, 1009, by the server; /echo for 192.0.2.7:50311; 4.333 s; "
            "messages received 3 (120 bytes), sent 3 (120 bytes)",
        )
        (tmp_path / "wsd.log").write_text("".join(f"2026-11-23T07:00:{line}\n" for line in lines))
        (tmp_path / "wsd.toml").write_text('[log]\nfile = "wsd.log"\n')
        page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
        shown = page.partition("    $ wsd why 3f9a1b2c4d --config wsd.toml\n")[2].partition("\n\nIt reads")[0]
        told = self.why(capsys, "3f9a1b2c4d", "--config", str(tmp_path / "wsd.toml"))
        assert told.splitlines() == [line.removeprefix("    ") for line in shown.splitlines()]

    def test_it_says_where_it_looked(self, tmp_path: Path) -> None:
        log = tmp_path / "wsd.log"
        log.write_text("")
        with pytest.raises(SystemExit, match=rf"no line about 3f9a1b2c4d in {log}"):
            main(["why", "3f9a1b2c4d", str(log)])

    def test_it_says_what_an_id_is(self) -> None:
        with pytest.raises(SystemExit, match='"hello" has no id; an id is ten hexadecimal digits'):
            main(["why", "hello"])

    @pytest.mark.parametrize("broken", [b"no gzip", gzip.compress(b"x" * 1000)[:-20]], ids=["another", "cut"])
    def test_it_names_a_file_that_cannot_be_read(self, tmp_path: Path, broken: bytes) -> None:
        (tmp_path / "wsd.log.1.gz").write_bytes(broken)
        with pytest.raises(SystemExit, match=r"wsd\.log\.1\.gz: cannot be read"):
            main(["why", "3f9a1b2c4d", str(tmp_path / "wsd.log.1.gz")])

    @pytest.fixture
    def journalctl(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A journalctl that prints the entries of a file that match, as the real one does."""
        program = tmp_path / "journalctl"
        program.write_text(_JOURNALCTL.format(python=shutil.which("python3"), folder=tmp_path))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return tmp_path / "entries"

    def test_it_asks_the_journal_for_the_field(
        self, events: list[LogEvent], journalctl: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        journalctl.write_text("".join(f"{json.dumps(entry)}\n" for entry in journalOf(events)))
        assert "exceeds the limit" in self.why(capsys, events[0]["id"])

    def test_it_finds_lines_of_a_unit_in_the_journal(
        self, events: list[LogEvent], journalctl: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        entries = [
            {"MESSAGE": line, "_SYSTEMD_UNIT": "chat.service", "__REALTIME_TIMESTAMP": "1795417200000000"}
            for line in linesOf(events, "json").splitlines()
        ]
        journalctl.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
        assert "exceeds the limit" in self.why(capsys, events[0]["id"], "--unit", "chat")

    def test_it_says_that_there_is_no_journal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(SystemExit, match=r"journalctl cannot be run .*; name the log's files, or --config"):
            main(["why", "3f9a1b2c4d"])


_JOURNALCTL = """\
#!{python}
import json, sys
matches = [each for each in sys.argv[1:] if each.startswith(("WSD_", "--unit="))]
field, _, value = matches[0].replace("--unit", "_SYSTEMD_UNIT").partition("=")
found = 0
for line in open("{folder}/entries"):
    if str(json.loads(line).get(field, "")).removesuffix(".service") == value:
        print(line, end="")
        found = 1
sys.exit(not found)
"""


def test_a_message_that_journalctl_prints_as_numbers_is_read() -> None:
    entry = {
        "MESSAGE": list("info  [3f9a1b2c4d] opened /é for 192.0.2.7:1".encode()),
        "__REALTIME_TIMESTAMP": "1000000",
    }
    record = fromJournal(entry, "3f9a1b2c4d")
    assert isinstance(record, Record)
    assert record.fields == {"event": "connection.opened", "path": "/é", "peer": "192.0.2.7:1"}
