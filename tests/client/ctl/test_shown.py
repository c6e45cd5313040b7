"""Numbers, times and tables for people."""

from __future__ import annotations

import pytest

from wsd.client.ctl.shown import Column, details, duration, milliseconds, size, table


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0K"), (1536, "1.5K"), (10240, "10K"), (5 << 20, "5.0M"), (3 << 30, "3.0G")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.9, "0s"), (59, "59s"), (65, "1m05s"), (3599, "59m59s"), (12000, "3h20m"), (460800, "5d08h")],
)
def test_times(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_round_trips() -> None:
    assert [milliseconds(seconds) for seconds in (None, 0.0123, 2)] == ["-", "12.3ms", "2000.0ms"]


def test_a_table_has_its_numbers_at_the_right() -> None:
    columns = [Column("A", lambda row: row["a"]), Column("N", lambda row: str(row["n"]), True)]
    rows = [{"a": "x", "n": 1}, {"a": "long", "n": 100}]
    assert list(table(rows, columns)) == ["A       N", "x       1", "long  100"]
    assert list(table([], columns)) == ["A  N"]


def test_details_name_what_is_within() -> None:
    told = {"a": None, "b": {"c": True, "d": [], "e": ["x", "y"]}, "f": "\x1b[0m", "g": {}}
    assert [line.split(None, 1) for line in details(told)] == [
        ["a", "-"],
        ["b.c", "yes"],
        ["b.d", "-"],
        ["b.e", "x, y"],
        ["f", "\\x1b[0m"],
        ["g", "-"],
    ]
