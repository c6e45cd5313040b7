"""The log: one line an event, which nobody outside can forge or break."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, Logger, LogLevel, LogPublisher, eventAsText, formatEvent, globalLogPublisher
from twisted.python import log as oldLog
from twisted.python.failure import Failure

from tests.wire import Daemon
from wsd.logs import (
    ConnectionLog,
    LineObserver,
    RefusalLimit,
    escaped,
    forJournal,
    isJournal,
    jsonLine,
    observer,
    textLine,
)
from wsd.protocols.echo import EchoFactory

NASTY = "a\r\n2026-11-23 [root] \x1b[2J\x00\x7f\x85\u2028\u202e\ud800\t\\end"


@contextmanager
def written(style: str = "text", level: str = "info") -> Iterator[Callable[[], str]]:
    """What is logged inside, asked for as one text."""
    stream = io.StringIO()
    told = observer(LineObserver(style, stream=stream), level)
    globalLogPublisher.addObserver(told)
    try:
        yield stream.getvalue
    finally:
        globalLogPublisher.removeObserver(told)


def logOf(told: ILogObserver, namespace: str = "wsd") -> Logger:
    """A log of which only this observer hears."""
    publisher = LogPublisher(told)
    return Logger(namespace=namespace, observer=publisher)


def jsonOf(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


class TestText:
    """For people."""

    def test_a_line_has_time_level_id_and_sentence(self) -> None:
        with written() as text:
            ConnectionLog("3f9a1b2c").warn("closed with {code}", code=1009)
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 warn  \[3f9a1b2c\] closed with 1009\n", text()
        )

    def test_nobody_writes_lines_of_his_own(self) -> None:
        with written() as text:
            ConnectionLog("1").info("closed: {sentence}", sentence=NASTY)
        assert text().count("\n") == len(text().splitlines()) == 1
        assert text()[:-1].isprintable()
        assert r"a\r\n2026-11-23 [root] \x1b[2J\x00\x7f\x85\u2028\u202e\ud800\t\end" in text()

    def test_what_looks_like_a_format_is_only_text(self) -> None:
        with written() as text:
            ConnectionLog("1").info("closed: {sentence}", sentence="{log_logger} {0} {missing!r} %s")
        assert "closed: {log_logger} {0} {missing!r} %s\n" in text()

    @pytest.mark.parametrize(
        "template", ["{a}, {b}", "{b!r:>9}", "{c[0]}", "{d()}", "{0}", "{missing}", "{", "{{}}", ""]
    )
    def test_formats_mean_what_they_mean_to_twisted(self, template: str) -> None:
        event = {"log_format": template, "a": 1, "b": "x", "c": ["y"], "d": lambda: "z"}
        meant = formatEvent(event) or eventAsText(event, includeTimestamp=False, includeSystem=False)
        assert textLine(event) == f"1970-01-01T00:00:00.000+00:00 info  {meant}\n"

    @pytest.mark.parametrize("seconds", [0.0, 0.9999, 1_796_000_000.25, 1_796_000_001.0])
    def test_the_time_is_cut_to_milliseconds(self, seconds: float) -> None:
        when = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
        assert textLine({"log_format": "x", "log_time": seconds}).startswith(f"{when} ")

    def test_any_language_stays_as_it_is(self) -> None:
        assert escaped("再见, tschüß 👋") == "再见, tschüß 👋"

    def test_an_exception_has_its_traceback_beneath_it(self) -> None:
        with written() as text:
            try:
                raise ValueError("x\ny\x1b[1m")
            except ValueError:
                ConnectionLog("1").failure("a hook failed", Failure(), event="connection.error")
        first, *others = text().splitlines()
        assert first.endswith("critical [1] a hook failed")
        assert all(line.startswith("    ") and line.isprintable() for line in others)
        assert any("ValueError: x" in line for line in others)

    def test_a_terminal_of_another_encoding_gets_the_line_spelled_out(self) -> None:
        raw = io.BytesIO()
        told = observer(LineObserver("text", stream=io.TextIOWrapper(raw, "latin-1")), "info")
        logOf(told).info("{sentence}", sentence="再见")
        logOf(told).info("after")
        lines = raw.getvalue().decode("latin-1").splitlines()
        assert lines[0].endswith(r"\u518d\u89c1")
        assert lines[1].endswith("after")


class TestJson:
    """For programs: one object a line."""

    def test_a_line_has_time_level_message_and_the_events_fields(self) -> None:
        with written("json") as text:
            ConnectionLog("3f9a").info("closed with {code}", event="connection.closed", code=1000, seconds=1.5)
        (entry,) = jsonOf(text())
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", entry.pop("time"))
        assert entry == {
            "level": "info",
            "message": "closed with 1000",
            "event": "connection.closed",
            "id": "3f9a",
            "code": 1000,
            "seconds": 1.5,
        }

    def test_nobody_writes_lines_of_his_own(self) -> None:
        with written("json") as text:
            ConnectionLog("1").info("closed: {sentence}", sentence=NASTY)
        assert text().count("\n") == len(text().splitlines()) == 1
        assert text()[:-1].isprintable()
        (entry,) = jsonOf(text())
        assert entry["sentence"] == NASTY
        assert entry["message"] == f"closed: {escaped(NASTY)}"

    def test_an_exception_is_one_line_too(self) -> None:
        with written("json") as text:
            ConnectionLog("1").failure("a hook failed", Failure(ValueError("why")), event="connection.error")
        (entry,) = jsonOf(text())
        assert (entry["level"], entry["message"], entry["id"]) == ("critical", "a hook failed", "1")
        assert entry["traceback"].rstrip().endswith("ValueError: why")

    def test_of_a_librarys_event_there_is_the_message_alone(self) -> None:
        stream = io.StringIO()
        logOf(observer(LineObserver("json", stream=stream), "info"), "autobahn").info("frame", payload="secret")
        (entry,) = jsonOf(stream.getvalue())
        assert sorted(entry) == ["level", "message", "time"]

    def test_twisteds_older_log_is_json_too(self) -> None:
        with written("json") as text:
            oldLog.msg("from elsewhere")
            oldLog.err(Failure(ValueError("why")), "it failed")
        told, failed = jsonOf(text())
        assert (told["level"], told["message"]) == ("info", "from elsewhere")
        assert (failed["level"], failed["message"]) == ("critical", "it failed")
        assert "ValueError: why" in failed["traceback"]

    @given(st.text(st.characters(exclude_categories=())))
    def test_any_text_is_read_back_as_it_was(self, text: str) -> None:
        line = jsonLine({"log_format": "said", "log_namespace": "wsd", "sentence": text})
        assert line[:-1].isprintable()
        assert json.loads(line)["sentence"] == text


class TestLevels:
    """From which on there are lines."""

    @pytest.mark.parametrize(
        ("level", "kept"),
        [
            ("debug", ["debug", "info", "warn", "error", "critical"]),
            ("info", ["info", "warn", "error", "critical"]),
            ("warn", ["warn", "error", "critical"]),
            ("error", ["error", "critical"]),
        ],
    )
    def test_the_lower_ones_are_left_out(self, level: str, kept: list[str]) -> None:
        stream = io.StringIO()
        log = logOf(observer(LineObserver("json", stream=stream), level))
        for name in ("debug", "info", "warn", "error", "critical"):
            getattr(log, name)("x")
        assert [entry["level"] for entry in jsonOf(stream.getvalue())] == kept

    def test_twisteds_talk_of_factories_and_ports_is_left_out(self) -> None:
        with written() as text:
            oldLog.msg("Starting factory <Site>")
            oldLog.msg("Site starting on 9998")
            oldLog.msg("said")
        assert [line.split(" ", 2)[2].strip() for line in text().splitlines()] == ["said"]


class TestWhatStrangersCause:
    """A minute has so many lines of it for one address, and so many in all; the rest is counted."""

    def refused(self, told: ILogObserver, count: int, at: float, peer: str = "192.0.2.1:{port}") -> None:
        for port in range(count):
            told(
                {
                    "log_format": "refused {peer}",
                    "log_level": LogLevel.info,
                    "log_namespace": "wsd",
                    "log_time": at,
                    "event": "request.refused",
                    "id": "1",
                    "peer": peer.format(port=port, address=port % 250),
                }
            )

    def lines(self, stream: io.StringIO, words: str) -> int:
        return sum(words in line for line in stream.getvalue().splitlines())

    def test_is_told_up_to_a_measure_for_one_address(self) -> None:
        stream = io.StringIO()
        told = observer(LineObserver("text", stream=stream), "info")
        self.refused(told, 1000, 5000.0)
        self.refused(told, 1, 5001.0, "192.0.2.2:1")
        self.refused(told, 1000, 5001.0, "[2001:db8::1]:{port}")
        assert self.lines(stream, "refused 192.0.2.1:") == RefusalLimit.PER_ADDRESS
        assert self.lines(stream, "refused 192.0.2.2:") == 1
        assert self.lines(stream, "refused [2001:db8::1]:") == RefusalLimit.PER_ADDRESS

    def test_is_told_up_to_a_measure_in_all(self) -> None:
        stream = io.StringIO()
        told = observer(LineObserver("text", stream=stream), "info")
        self.refused(told, 5000, 5000.0, "192.0.2.{address}:{port}")
        assert self.lines(stream, "refused") == RefusalLimit.IN_TOTAL

    def test_is_counted_and_the_next_minute_says_how_many(self) -> None:
        stream = io.StringIO()
        told = observer(LineObserver("json", stream=stream), "info")
        self.refused(told, 100, 5000.0)
        self.refused(told, 5, 5061.0)
        entries = jsonOf(stream.getvalue())
        (omitted,) = [entry for entry in entries if entry["event"] == "log.omitted"]
        assert (omitted["count"], omitted["level"]) == (100 - RefusalLimit.PER_ADDRESS, "warn")
        assert entries.index(omitted) == RefusalLimit.PER_ADDRESS
        assert len(entries) == RefusalLimit.PER_ADDRESS + 1 + 5

    def test_is_not_kept_out_by_a_clock_that_goes_back(self) -> None:
        stream = io.StringIO()
        told = observer(LineObserver("text", stream=stream), "info")
        self.refused(told, 100, 5000.0)
        self.refused(told, 5, 1000.0)
        assert self.lines(stream, "refused 192") == RefusalLimit.PER_ADDRESS + 5

    def test_keeps_nothing_else_out(self) -> None:
        stream = io.StringIO()
        told = observer(LineObserver("text", stream=stream), "info")
        log = logOf(told)
        self.refused(told, 1000, 5000.0)
        for _ in range(1000):
            log.info("opened", id="1", event="connection.opened", peer="192.0.2.1:1")
        assert self.lines(stream, "opened") == 1000


class TestTheFile:
    """Its own file, and logrotate."""

    def test_is_appended_to_line_by_line(self, tmp_path: Path) -> None:
        path = tmp_path / "wsd.log"
        path.write_text("before\n")
        logOf(observer(LineObserver("text", str(path)), "info")).info("再见")
        before, line = path.read_text(encoding="utf-8").splitlines()
        assert (before, line.endswith("再见")) == ("before", True)

    def test_is_opened_anew_when_it_was_moved(self, tmp_path: Path) -> None:
        path, moved = tmp_path / "wsd.log", tmp_path / "wsd.log.1"
        lines = LineObserver("text", str(path))
        log = logOf(observer(lines, "info"))
        log.info("one")
        path.rename(moved)
        log.info("two")
        lines.reopen()
        log.info("three")
        assert [line.split()[-1] for line in moved.read_text().splitlines()] == ["one", "two"]
        assert [line.split()[-1] for line in path.read_text().splitlines()] == ["three"]

    def test_stays_the_old_one_when_there_can_be_no_new_one(self, tmp_path: Path) -> None:
        folder = tmp_path / "logs"
        folder.mkdir()
        lines = LineObserver("text", str(folder / "wsd.log"))
        log = logOf(observer(lines, "info"))
        folder.rename(tmp_path / "moved")
        with pytest.raises(FileNotFoundError):
            lines.reopen()
        log.info("still here")
        assert (tmp_path / "moved" / "wsd.log").read_text().endswith("still here\n")

    def test_on_a_full_disk_costs_lines_and_nothing_else(self) -> None:
        log = logOf(observer(LineObserver("text", "/dev/full"), "info"))
        for _ in range(1000):
            log.info("nobody will read this")


class TestOfConnections:
    """What a site that is used writes."""

    def test_each_line_has_the_connections_id(self) -> None:
        with written("json") as text:
            client = Daemon({"/echo": EchoFactory}).open("/echo")
            client.close(1000, "bye")
        opened, closed = jsonOf(text())
        assert (opened["event"], closed["event"]) == ("connection.opened", "connection.closed")
        assert opened["id"] == closed["id"]
        assert (opened["route"], closed["code"], closed["cause"]) == ("/echo", 1000, "peer_closed")

    @pytest.mark.parametrize(
        ("route", "target", "path"),
        [("/canvas/*", "/canvas/sunset?delay=1", "/canvas/sunset"), ("/*", "/chat_wsh", "/chat_wsh"),
         ("/*", "/a%0Ab%1B%5B2J", "/a%0Ab%1B%5B2J"), ("/*", f"/{'x' * 1000}", f"/{'x' * 199}...")],
        ids=["below a prefix", "a handler's", "control characters", "a long one"],
    )  # fmt: skip
    def test_the_first_has_the_path_that_was_asked_for(self, route: str, target: str, path: str) -> None:
        with written("text") as text:
            Daemon({route: EchoFactory}).open(target)
        assert f"] opened {path} for 127.0.0.1:" in text()

    def test_payloads_headers_and_queries_are_in_none(self) -> None:
        with written("json", "debug") as text:
            daemon = Daemon({"/echo": EchoFactory})
            client = daemon.open("/echo?x=hidden", headers={"Authorization": "hidden", "Cookie": "hidden"})
            assert client.response is not None
            client = daemon.open("/echo", headers={"Authorization": "hidden", "Cookie": "hidden"})
            client.say("hidden")
            client.say(b"hidden\xff")
            client.protocol.send_text(b"hidden\xff")
            client.exchange()
            daemon.open("/nowhere?token=hidden")
        assert len(jsonOf(text())) >= 4
        assert "hidden" not in text()

    def test_a_request_that_is_turned_away_is_one_line(self) -> None:
        with written("json") as text:
            Daemon({"/echo": EchoFactory}).open("/nowhere?token=1")
        (entry,) = jsonOf(text())
        assert (entry["event"], entry["status"]) == ("request.refused", 404)
        assert entry["line"] == "GET /nowhere?... HTTP/1.1"
        assert entry["id"]


def raised() -> Failure:
    """With a traceback."""
    try:
        raise ValueError("why")
    except ValueError:
        return Failure()


class TestTheJournal:
    """sd-daemon(3), systemd.exec(5)."""

    @pytest.mark.parametrize(
        ("level", "priority"), [("debug", 7), ("info", 6), ("warn", 4), ("error", 3), ("critical", 2)]
    )
    def test_a_line_has_a_priority_and_no_time(self, level: str, priority: int) -> None:
        event = {"log_time": 1.0, "log_level": LogLevel.levelWithName(level), "log_format": "hello", "id": "3f9a1b2c"}
        assert forJournal(textLine)(event) == f"<{priority}>{level:5} [3f9a1b2c] hello\n"

    def test_each_line_of_a_traceback_has_one(self) -> None:
        event = {"log_time": 1.0, "log_level": LogLevel.critical, "log_format": "no", "log_failure": raised()}
        lines = forJournal(textLine)(event).splitlines()
        assert len(lines) > 2
        assert {line[:3] for line in lines} == {"<2>"}

    def test_nobody_writes_priorities_of_his_own(self) -> None:
        event = {"log_time": 1.0, "log_level": LogLevel.info, "log_format": "{said}", "said": f"{NASTY}\n<0>panic"}
        assert forJournal(textLine)(event).count("\n") == 1

    def test_json_is_what_it_was_behind_it(self) -> None:
        event = {"log_time": 1.0, "log_level": LogLevel.warn, "log_format": "hello"}
        assert forJournal(jsonLine)(event) == "<4>" + jsonLine(event)

    def test_is_known_by_its_name_alone(self, tmp_path: Path) -> None:
        with (tmp_path / "journal").open("w") as stream, (tmp_path / "file").open("w") as other:
            found = os.fstat(stream.fileno())
            environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
            assert isJournal(stream, environ)
            assert not isJournal(other, environ)
            assert not isJournal(stream, {})
            assert not isJournal(io.StringIO(), environ)
