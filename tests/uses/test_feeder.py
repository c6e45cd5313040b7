"""The market of quotes: fed only while somebody watches, at its rate, however busy the daemon is."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from wsd.uses.quotes.feeder import SYMBOLS, TICKS, TOPIC, Feeder


class RecordingRoute:
    """A route of topics that keeps what is published."""

    def __init__(self) -> None:
        self.watching = 0
        self.published: list[list[tuple[str | None, Any]]] = []

    def subscribers(self, topic: str) -> int:
        assert topic == TOPIC
        return self.watching

    def publishJson(self, topic: str, values: list[tuple[str | None, Any]]) -> None:
        assert topic == TOPIC
        self.published.append(values)

    @property
    def ticks(self) -> list[tuple[str | None, Any]]:
        return [tick for batch in self.published for tick in batch]


class Fed:
    """A feeder under a clock of its own."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.route = RecordingRoute()
        self.feeder = Feeder(self.route, self.clock, lambda: 1000.0 + self.clock.seconds())
        self.feeder.start()

    def run(self, seconds: float, step: float = 0.02) -> None:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)


@pytest.fixture
def fed() -> Fed:
    return Fed()


def test_there_are_500_symbols() -> None:
    assert len(set(SYMBOLS)) == 500


def test_nothing_is_published_while_nobody_watches(fed: Fed) -> None:
    fed.run(5)
    assert fed.route.published == []


def test_who_comes_first_gets_a_price_of_every_symbol(fed: Fed) -> None:
    fed.route.watching = 1
    fed.run(0.02)
    assert [symbol for symbol, _ in fed.route.ticks] == SYMBOLS


def test_prices_change_5000_times_a_second(fed: Fed) -> None:
    fed.route.watching = 1
    fed.run(0.02)
    fed.route.published.clear()
    fed.run(1)
    assert TICKS == 5000
    assert len(fed.route.ticks) == pytest.approx(TICKS, rel=0.05)
    assert {symbol for symbol, _ in fed.route.ticks} == set(SYMBOLS)


def test_what_a_busy_daemon_missed_is_made_up_for(fed: Fed) -> None:
    fed.route.watching = 1
    fed.run(0.02)
    fed.route.published.clear()
    fed.clock.advance(0.2)
    assert len(fed.route.ticks) == pytest.approx(TICKS / 5, rel=0.05)


def test_a_long_pause_is_no_burst(fed: Fed) -> None:
    fed.route.watching = 1
    fed.run(0.02)
    fed.route.published.clear()
    fed.clock.advance(60)
    assert len(fed.route.ticks) <= TICKS / 5


def test_a_tick_is_a_price_and_its_time_in_milliseconds(fed: Fed) -> None:
    fed.route.watching = 1
    fed.run(0.1)
    assert {tick["at"] for _, tick in fed.route.published[-1]} == {1000_100}
    assert all(1 <= tick["price"] <= 5000 and round(tick["price"], 2) == tick["price"] for _, tick in fed.route.ticks)


def test_it_ends_when_the_last_one_goes(fed: Fed) -> None:
    fed.route.watching = 1
    fed.run(1)
    fed.route.watching = 0
    fed.route.published.clear()
    fed.run(1)
    assert fed.route.published == []


def test_after_its_end_nothing_is_left_to_be_done(fed: Fed) -> None:
    fed.feeder.stop()
    fed.feeder.stop()
    assert fed.clock.getDelayedCalls() == []
