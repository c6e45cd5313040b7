"""Which events become lines, and where these are written."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from twisted.logger import ILogObserver, LogLevel
from twisted.python import log as oldLog

from tests.logs.test_lines import jsonOf, logOf, written
from wsd.logs import (
    LineObserver,
    RefusalLimit,
    observer,
)


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
