"""The reading of the suite's report: nothing but a whole and clean one passes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conformance import suite
from tests.conformance.cases import everyCase, groupOf, uncompressed
from tests.conformance.report import Results, endedByClock, faults, table
from tests.conformance.suite import Run, perform


def report(cases: list[str], **others: tuple[str, str]) -> dict[str, dict[str, object]]:
    """A clean report of these cases, with `c1_1_1=("FAILED", "OK")` for the ones that are not."""
    results: dict[str, dict[str, object]] = {case: {"behavior": "OK", "behaviorClose": "OK"} for case in cases}
    for name, (behavior, close) in others.items():
        results[name[1:].replace("_", ".")] = {"behavior": behavior, "behaviorClose": close}
    return results


class TestTheExpectedCases:
    def test_the_whole_suite_has_517(self) -> None:
        assert len(everyCase()) == len(set(everyCase())) == 517

    def test_groups_1_to_10_have_301(self) -> None:
        assert len(uncompressed()) == 301
        assert {groupOf(case) for case in uncompressed()} == {"1", "2", "3", "4", "5", "6", "7", "9", "10"}

    def test_the_short_run_has_the_first_seven_of_each_compression_section(self) -> None:
        cases = everyCase(7)
        assert len(cases) == 301 + 84
        assert "12.5.7" in cases
        assert "13.7.8" not in cases


class TestFaults:
    def test_a_whole_and_clean_report_has_none(self) -> None:
        assert faults(report(everyCase()), everyCase()) == []

    def test_informational_is_clean(self) -> None:
        assert faults(report(["7.1.6"], c7_1_6=("INFORMATIONAL", "INFORMATIONAL")), ["7.1.6"]) == []

    def test_an_empty_report_lacks_every_case(self) -> None:
        assert faults({}, ["1.1.1", "1.1.2"]) == ["1.1.1: missing from the report", "1.1.2: missing from the report"]

    @pytest.mark.parametrize("behavior", ["NON-STRICT", "FAILED", "UNIMPLEMENTED"])
    def test_any_other_behavior_is_one(self, behavior: str) -> None:
        assert faults(report([], c3_2=(behavior, "OK")), ["3.2"]) == [f"3.2: behavior {behavior}"]

    @pytest.mark.parametrize("close", ["FAILED", "WRONG CODE", "UNCLEAN", "FAILED BY CLIENT"])
    def test_any_other_close_is_one(self, close: str) -> None:
        assert faults(report([], c3_2=("OK", close)), ["3.2"]) == [f"3.2: behaviorClose {close}"]

    def test_a_case_without_a_result_is_one(self) -> None:
        results: Results = {"3.2": {"behavior": "OK"}}
        assert faults(results, ["3.2"]) == ["3.2: behaviorClose absent"]

    def test_a_case_that_nobody_expected_is_one(self) -> None:
        assert faults(report(["8.1.1"]), []) == ["8.1.1: not among the expected cases"]


class TestTheTable:
    def test_it_has_a_line_a_group_and_a_sum(self) -> None:
        results = report(["1.1.1", "1.1.2", "10.1.1"], c7_1_6=("INFORMATIONAL", "OK"), c7_1_1=("OK", "UNCLEAN"))
        assert table(results).splitlines()[2:] == [
            "| 1 | Framing | 2 | 2 | 0 | 0 |",
            "| 7 | Closing | 2 | 0 | 1 | 1 |",
            "| 10 | Automatic fragmentation | 1 | 1 | 0 | 0 |",
            "| all |  | 5 | 3 | 1 | 1 |",
        ]


class TestACaseThatTheSuiteEndedByItsClock:
    LATE, ANSWERED = [["TF"], ["KL", 0.5], ["KLE"], ["RF"]], [["TF"], ["KL", 0.5], ["RF"]]

    def test_is_told_from_others_by_the_log_of_the_case(self) -> None:
        assert endedByClock({"wirelog": self.LATE})
        assert not endedByClock({"wirelog": self.ANSWERED})
        assert not endedByClock({})

    @pytest.mark.parametrize("second", ["OK", "FAILED"])
    def test_is_tried_once_more_and_counts_then(
        self, second: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        runs: list[list[str]] = []

        def once(run: Run, folder: Path) -> Results:
            runs.append([*run.cases])
            reports = folder / "reports"
            reports.mkdir(parents=True)
            (reports / "late.json").write_text(json.dumps({"wirelog": self.LATE}))
            (reports / "wrong.json").write_text(json.dumps({"wirelog": self.ANSWERED}))
            behavior = "FAILED" if len(runs) == 1 else second
            found = {
                "1.1.1": {"behavior": "OK", "behaviorClose": "OK"},
                "6.21.8": {"behavior": behavior, "behaviorClose": behavior, "reportfile": "late.json"},
                "6.21.7": {"behavior": "FAILED", "behaviorClose": "OK", "reportfile": "wrong.json"},
            }
            return {case: found[case] for case in run.cases}

        monkeypatch.setattr(suite, "_performOnce", once)
        results = perform(Run("ws://localhost/", ["1.1.1", "6.21.7", "6.21.8"]), tmp_path)
        assert runs == [["1.1.1", "6.21.7", "6.21.8"], ["6.21.8"]]
        assert results["6.21.8"]["behavior"] == second
        assert results["6.21.7"]["behavior"] == "FAILED"
