"""A mixed day in ten seconds, and what makes a row of it."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.soak import day
from tests.soak.actors import ACTORS
from tests.soak.day import GROWTH, Outcome, judged


def test_a_day_in_ten_seconds() -> None:
    outcome = day.whole(10.0, seed=1)
    assert outcome.faults == []
    assert set(outcome.visits) == set(ACTORS)
    assert outcome.reloads >= 1
    assert outcome.kept


def lived(growth: int, *faults: str) -> Outcome:
    samples = [(float(at), (100 << 20) + (growth if at > 50 else 0)) for at in range(100)]
    return Outcome(Counter(echo=5, soap=2), 4, 1, list(faults), samples, "1 files kept")


@pytest.mark.parametrize(
    ("outcome", "broken"),
    [
        (lived(0), ()),
        (lived(GROWTH), ()),
        (lived(GROWTH + (1 << 20)), ("33 MiB of memory more than after the first minutes",)),
        (lived(0, "echo: lost", "echo: lost"), ("echo: lost",)),
    ],
)
def test_a_row_of_it(outcome: Outcome, broken: tuple[str, ...]) -> None:
    line = judged(outcome, 100)
    assert line.broken == broken
    assert line.measured.startswith("7 visits of 2 kinds, 4 reloads, 1 certificates; ")
