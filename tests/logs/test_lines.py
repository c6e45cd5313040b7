"""Lines of the log, which nobody outside can forge or break: as text, as JSON, and for systemd's journal."""

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

from wsd.logs import (
    ConnectionLog,
    LineObserver,
    escaped,
    forJournal,
    isJournal,
    jsonLine,
    observer,
    textLine,
)

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
