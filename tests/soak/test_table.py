"""The table: what a row says, what is kept of it, and what tests and programs have said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.soak import __main__ as runner
from tests.soak import rows, table
from tests.soak.faults import FAULTS
from tests.soak.outcome import Asserted, Tried
from tests.soak.rig import MEMORY_MAX, Row
from tests.soak.rows import attackLine
from tests.soak.table import Line

GOOD = Line("good", "something\nhostile", "1 | 2", "3")
BAD = Line("bad", "something else", "4 ms", "3 ms", ("4 ms, more than 3", "and it ended"))


class TestARow:
    def test_says_that_it_holds(self) -> None:
        assert str(GOOD) == "| something hostile | 1 \\| 2 | 3 | yes |"

    def test_says_what_does_not(self) -> None:
        assert str(BAD) == "| something else | 4 ms | 3 ms | **no**: 4 ms, more than 3; and it ended |"

    def test_of_an_attack_has_its_figures_and_bounds(self) -> None:
        row = Row("PingFlood", "Pings.", 20, 0.01, 0.031, 5 << 20, MEMORY_MAX, 0.12, ())
        line = attackLine(row)
        assert line.measured == "20 connections; p99 10.0 → 31.0 ms, 5 MiB more; a call that took 120 ms of CPU"
        assert line.bound == "p99 30 ms, 96 MiB, 150 ms"
        assert line.broken == ("p99 31.0 ms, more than 30.0",)
        assert attackLine(row, "node").name == "node/PingFlood"

    def test_that_cannot_be_made_does_not_hold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_: rows.Options) -> Line:
            raise ValueError("no such thing\nat all")

        monkeypatch.setattr(rows, "ROWS", {"x": rows.Made("x", fail)})
        assert runner.tried("x", rows.Options()).broken == ("ValueError: no such thing",)


class TestWhatIsKept:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(table, "STORE", tmp_path / "soak.json")
        monkeypatch.setattr(table, "PAGE", tmp_path / "soak.md")
        monkeypatch.setattr(table, "machine", lambda: "two cores")
        (tmp_path / "soak.md").write_text(f"before\n{table.BEGIN}old\n{table.END}after\n")

    def test_a_row_that_was_not_run_again_keeps_its_day(self) -> None:
        table.write([BAD], "2026-01-01", ["good", "bad"])
        table.write([GOOD], "2026-02-02", ["good", "bad"])
        page = table.PAGE.read_text()
        assert page.startswith(f"before\n{table.BEGIN}\nMeasured on two cores. 1 of 2 rows hold.\n")
        assert page.endswith(f"\n{table.END}after\n")
        (good,) = [line for line in page.splitlines() if "hostile" in line]
        (bad,) = [line for line in page.splitlines() if "else" in line]
        assert good.endswith("| yes | 2026-02-02 |")
        assert bad.endswith("and it ended | 2026-01-01 |")
        assert page.index(good) < page.index(bad)

    def test_a_row_without_a_place_is_removed(self) -> None:
        table.write([GOOD, BAD], "2026-01-01", ["good", "bad"])
        table.write([], "2026-01-02", ["good"])
        assert list(table.read()) == ["good"]

    def test_other_servers_stand_beside(self) -> None:
        mine, theirs = (
            Line("wsd/Flood", "A flood", "1 ms", "3 ms"),
            Line("node/Flood", "A flood", "9 ms", "3 ms", ("9 ms",)),
        )
        table.write([mine, theirs], "2026-01-01", ["wsd/Flood", "node/Flood"])
        page = table.PAGE.read_text()
        assert "| A flood | 1 ms: held |  |  | 9 ms: **no**, 9 ms |" in page
        assert "| **held** | 1 of 1 |  |  | 0 of 1 |" in page
        assert "0 of 0 rows hold" in page

    def test_a_page_without_the_marks_is_an_error(self) -> None:
        table.PAGE.write_text("nothing")
        with pytest.raises(ValueError, match="lacks the marks"):
            table.write([GOOD], "2026-01-01", ["good"])


class TestTheDocumentation:
    def test_is_what_the_kept_rows_make(self) -> None:
        page = table.PAGE.read_text("utf-8")
        assert table.inserted(page, table.part(table.read())) == page

    def test_keeps_rows_that_there_are_in_their_order(self) -> None:
        kept = list(json.loads(table.STORE.read_text("utf-8")))
        assert kept == [name for name in rows.ROWS if name in kept]


class TestWhichRows:
    def test_are_all_if_nothing_is_said(self) -> None:
        assert rows.chosen(()) == list(rows.ROWS)

    def test_are_those_of_a_name_a_group_or_a_server(self) -> None:
        assert rows.chosen(["Flood", "crowd"]) == ["Flood", "crowd"]
        assert rows.chosen(["faults"])[0] == "killed"
        assert {name.partition("/")[0] for name in rows.chosen(["node/"])} == {"node"}
        assert rows.chosen(["none"]) == []


REPORT = """<testsuites><testsuite><testcase name="a" time="1"/>{}</testsuite></testsuites>"""


class TestTests:
    tested = Asserted("x", "a fault", "an outcome", ("tests/none.py",))

    def line(self, status: int, more: str = "") -> Line:
        return self.tested.line(status, REPORT.format(more), "the last line")

    def test_that_pass_hold(self) -> None:
        line = self.line(0, '<testcase name="b" time="200"/>')
        assert (line.measured, line.broken) == ("2 of 2 tests pass (3 min)", ())

    def test_that_fail_or_are_skipped_do_not(self) -> None:
        line = self.line(
            1,
            '<testcase name="b" time="0"><failure message="it is&#10;wrong"/></testcase>'
            '<testcase name="c" time="0"><skipped message="no root"/></testcase>',
        )
        assert line.broken == ("b fails: it is", "c is skipped: no root")
        assert line.measured == "1 of 3 tests pass (1 s)"

    def test_that_are_not_there_do_not(self) -> None:
        assert self.tested.line(4, "", "not found").broken == ("pytest ended with 4: not found",)
        assert self.tested.line(0, "<testsuites/>", "").broken == ("there is no such test",)

    def test_are_really_run(self) -> None:
        line = Asserted("x", "", "", ("tests/soak/test_table.py::TestWhichRows",)).run()
        assert (line.measured.partition(" (")[0], line.broken) == ("2 of 2 tests pass", ())


class TestAProgram:
    def test_says_last_what_it_has_counted(self) -> None:
        line = Tried("x", "kills", "none lost", ("-c", "print('seed 1'); print('3 kills')")).run()
        assert (line.measured, line.broken) == ("3 kills (0 s)", ())

    def test_that_fails_does_not_hold(self) -> None:
        line = Tried("x", "kills", "none lost", ("-c", "raise SystemExit('one is lost')")).run()
        assert line.broken == ("it ended with 1: one is lost",)


@pytest.mark.parametrize("name", ["crowd", "day", "killed", "kills", "Flood", "wsd/Flood"])
def test_there_is_a_row(name: str) -> None:
    assert name in rows.ROWS


def test_the_tests_of_all_faults_exist(pytestconfig: pytest.Config) -> None:
    missing = [
        test
        for fault in FAULTS
        for test in fault.tests
        if test.startswith("tests/") and not _exists(pytestconfig.rootpath, test)
    ]
    assert missing == []


def _exists(root: Path, test: str) -> bool:
    """Whether a node id names something: every part after the file's is defined there."""
    file, *parts = test.split("::")
    path = root / file
    if path.is_dir():
        return True
    text = path.read_text("utf-8") if path.exists() else ""
    return bool(text) and all(f"def {part}(" in text or f"class {part}:" in text for part in parts)
