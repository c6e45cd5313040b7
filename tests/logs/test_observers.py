"""Which events become lines, and where these are written."""

from __future__ import annotations

import io
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from twisted.python import log as oldLog

from tests.logs.test_lines import jsonOf, logOf, written
from wsd.logs import LineObserver, observer


@contextmanager
def filesUpTo(size: int) -> Iterator[None]:
    """No file may grow larger: the kernel refuses it as it refuses when a disk is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


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

    @pytest.mark.parametrize("room", [0, 10], ids=["none", "within a line"])
    def test_says_how_many_lines_a_full_disk_has_cost(self, room: int, tmp_path: Path) -> None:
        path = tmp_path / "wsd.log"
        log = logOf(observer(LineObserver("json", str(path)), "info"))
        log.info("before")
        with filesUpTo(path.stat().st_size + room):
            for _ in range(3):
                log.info("lost")
        log.info("after")
        log.info("later")
        lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        assert [line["message"] for line in lines] == [
            "before",
            "log lines lost before this one: 3; the file could not be written, so check that its disk has room",
            "after",
            "later",
        ]
        assert (lines[1]["event"], lines[1]["count"]) == ("log.lost", 3)
