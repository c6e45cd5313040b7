"""Many connections that echo: a short run, and what makes a row of it."""

from __future__ import annotations

import re

import pytest

from tests.soak import crowd
from tests.soak.crowd import Told, judged, slope

MIB = 1 << 20


def test_two_hundred_connections_echo_for_some_seconds() -> None:
    line = crowd.run(connections=200, seconds=6)
    assert re.match(r"(24[01]) of \1 echoes, 0 errors; ", line.measured), line.measured
    # In the first seconds memory grows; `make soak` looks at minutes.
    assert [each for each in line.broken if not each.startswith("memory grows")] == []


def grown(rate: float, noise: float = 1000.0) -> list[tuple[float, float]]:
    """Ten minutes of samples with so many bytes more in each minute, and with some noise."""
    return [(at, 100 * MIB + rate * at / 60 + noise * ((at * 7919) % 13 - 6)) for at in range(600)]


class TestTheSlope:
    def test_is_that_of_the_samples(self) -> None:
        found = slope(grown(MIB))
        assert found.rate == pytest.approx(MIB, rel=0.01)
        assert not found.isZero

    def test_is_zero_within_the_noise(self) -> None:
        assert slope(grown(0)).isZero
        assert slope(grown(0, noise=0)).isZero
        assert slope(grown(-MIB)).isZero

    def test_needs_some_time(self) -> None:
        with pytest.raises(ValueError, match="three blocks"):
            slope(grown(0)[:2], blocks=2)


class TestTheRow:
    told = Told(connections=10, sent=100, answered=100, p99=0.012)

    def test_holds(self) -> None:
        line = judged(self.told, grown(0), 600, [])
        assert line.broken == ()
        assert line.about == "10 connections echo every 5 s for 10 min"
        assert line.measured.startswith("100 of 100 echoes, 0 errors; p99 12.0 ms; 100 MiB, ")

    def test_does_not_hold_if_memory_grows(self) -> None:
        (broken,) = judged(self.told, grown(MIB), 600, []).broken
        assert broken.startswith("memory grows: +1024.")

    def test_does_not_hold_if_an_echo_is_missing_or_something_failed(self) -> None:
        told = Told(connections=10, sent=100, answered=99)
        assert judged(told, grown(0), 600, ["a connection was lost"]).broken == (
            "a connection was lost",
            "1 echoes have not come",
        )
