"""Rates over all workers, in memory: what each lets through is passed to the others as the parent does."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from wsd.config import Policies
from wsd.policies.address import Peer
from wsd.policies.rates import MessageMeter
from wsd.policies.timer import GRAIN, Timer
from wsd.processes.limits import REPORT
from wsd.processes.rates import SharedRates

FAR = Peer("192.0.2.7", 50311)
RATE = 100
POLICIES = Policies(messages_per_second_per_address=RATE, bytes_per_second_per_user=1000)


class Workers:
    """Three workers, whose reports reach the others in time."""

    def __init__(self, policies: Policies = POLICIES) -> None:
        self.clock = Clock()
        self.timer = Timer(self.clock)
        self.timer.start()
        self.waiting: list[int] = []
        self.each = [self.new(number, policies) for number in range(3)]

    def new(self, number: int, policies: Policies) -> SharedRates:
        return SharedRates(policies, self.timer, lambda: self.waiting.append(number))

    def meter(self, worker: int, user: str | None = None) -> MessageMeter:
        meter = self.each[worker].meter(POLICIES, FAR, user)
        assert meter is not None
        return meter

    def exchange(self) -> None:
        waiting, self.waiting = self.waiting, []
        assert sorted(set(waiting)) == sorted(waiting), "each tells once that it has something to report"
        for number in waiting:
            spent = self.each[number].report()
            for other, rates in enumerate(self.each):
                if other != number:
                    rates.learn(spent)


@pytest.fixture
def workers() -> Workers:
    return Workers()


def test_what_one_worker_lets_through_the_others_do_not(workers: Workers) -> None:
    first, second = workers.meter(0), workers.meter(1)
    assert first.spend(RATE, 0) == 0
    workers.exchange()
    assert second.spend(1, 0) == pytest.approx(1 / RATE)


def test_nor_for_a_connection_that_is_opened_later(workers: Workers) -> None:
    workers.meter(0).spend(3 * RATE, 0)
    workers.exchange()
    assert workers.meter(1).spend(1, 0) == pytest.approx(2 + 1 / RATE)


def test_users_are_counted_as_users_and_addresses_as_addresses(workers: Workers) -> None:
    workers.meter(0, "ann").spend(1, 3000)
    workers.exchange()
    assert workers.meter(1, "ann").spend(0, 0) == pytest.approx(2.0)
    assert workers.meter(1, "bob").spend(0, 0) == 0


def test_what_was_learned_is_not_reported_again(workers: Workers) -> None:
    workers.meter(0).spend(10, 0)
    workers.exchange()
    assert workers.waiting == []
    assert [rates.report() for rates in workers.each] == [{}, {}, {}]


def test_a_worker_without_the_limit_learns_nothing(workers: Workers) -> None:
    workers.meter(0, "ann").spend(10, 10)
    workers.each[1].configure(Policies())
    workers.exchange()
    assert workers.each[1]._buckets == {}


def test_what_was_learned_is_forgotten_when_it_is_made_up_for(workers: Workers) -> None:
    meter = workers.meter(0)
    meter.spend(5 * RATE, 0)
    workers.exchange()
    meter.end()
    assert len(workers.each[2]._buckets) == 1
    workers.clock.pump([GRAIN] * 200)
    assert [rates._buckets for rates in workers.each] == [{}, {}, {}]


@pytest.mark.parametrize("seconds", [10, 60])
def test_the_rate_holds_and_the_burst_is_one_seconds_worth_of_each_worker(workers: Workers, seconds: int) -> None:
    """A greedy client sends to all workers whatever they take, and waits as long as each tells it."""
    meters = [workers.meter(number) for number in range(3)]
    free = [0.0, 0.0, 0.0]
    sent = 0
    for step in range(round(seconds / REPORT)):
        now = step * REPORT
        for number, meter in enumerate(meters):
            while free[number] <= now:
                sent += 1
                wait = meter.spend(1, 0)
                if wait:
                    free[number] = now + wait
        workers.clock.advance(REPORT)
        workers.exchange()
    assert RATE * seconds <= sent <= RATE * seconds + 3 * RATE * (1 + REPORT) + 3
