"""The reading of the suite's report: nothing but a whole and clean one passes."""

from __future__ import annotations

import pytest

from tests.conformance.cases import everyCase, groupOf, uncompressed
from tests.conformance.report import Results, faults, table


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
