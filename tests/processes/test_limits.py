"""Limits over all workers, in memory: the reports of each worker are passed to the others as the parent does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.task import Clock

from wsd.config import Policies
from wsd.head import Refused
from wsd.policies.timer import Timer
from wsd.processes.limits import SharedAdmission, WorkerCounts

POLICIES = replace(
    Policies(), max_connections=10, max_connections_per_address=4, handshakes_per_second=5, max_connections_per_user=3
)
ADDRESS = "203.0.113.7"


class Workers:
    """Three workers and what their parent knows."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.timer = Timer(self.clock)
        self.counts = WorkerCounts()
        self.waiting: set[int] = set()
        self.each = [self.new(number) for number in range(3)]

    def new(self, number: int) -> SharedAdmission:
        return SharedAdmission(POLICIES, self.timer, 3, lambda: self.waiting.add(number))

    def exchange(self) -> None:
        """Let those that have changed report, and the others learn of it."""
        waiting, self.waiting = sorted(self.waiting), set()
        for number in waiting:
            report = self.each[number].report()
            spent = self.counts.reported(number, report)
            self.tell(number, list(report["held"]), spent)

    def tell(self, number: int, accounts: list[str], spent: dict[str, int] | None = None) -> None:
        for other, admission in enumerate(self.each):
            if other != number:
                admission.learn(self.counts.others(other, accounts, spent))

    def restart(self, number: int) -> None:
        """The process of a worker dies, and another one begins."""
        self.tell(number, self.counts.gone(number))
        self.each[number] = self.new(number)
        self.each[number].learn(self.counts.others(number))


@pytest.fixture
def workers() -> Workers:
    return Workers()


class TestConnections:
    def test_count_in_all_workers(self, workers: Workers) -> None:
        for number in range(10):
            assert workers.each[number % 3].arrive()
            workers.exchange()
        assert not any(each.arrive() for each in workers.each)

    def test_are_admitted_again_when_another_worker_has_fewer(self, workers: Workers) -> None:
        for _ in range(10):
            workers.each[0].arrive()
        workers.exchange()
        assert not workers.each[1].arrive()
        workers.each[0].leave()
        workers.exchange()
        assert workers.each[1].arrive()

    def test_exceed_the_limit_at_most_by_what_was_not_reported_yet(self, workers: Workers) -> None:
        admitted = sum(each.arrive() for each in workers.each for _ in range(20))
        assert admitted == 30, "each has filled up before it has heard of the others"
        workers.exchange()
        assert not any(each.arrive() for each in workers.each)

    def test_are_limited_by_the_descriptors_of_each_worker_too(self, workers: Workers) -> None:
        workers.each[0].setRoom(2)
        assert [workers.each[0].arrive() for _ in range(3)] == [True, True, False]
        assert workers.each[0].most == 6

    def test_of_a_worker_that_has_died_count_no_more(self, workers: Workers) -> None:
        for _ in range(9):
            workers.each[0].arrive()
        workers.each[1].arrive()
        workers.exchange()
        assert not workers.each[2].arrive()
        workers.restart(0)
        assert workers.each[2].arrive()
        workers.exchange()
        assert sum(workers.each[0].arrive() for _ in range(20)) == 8, "a new process knows the two of the others"


class TestAddresses:
    def test_count_in_all_workers(self, workers: Workers) -> None:
        for number in range(4):
            workers.each[number % 3].take(ADDRESS)
            workers.exchange()
        for each in workers.each:
            with pytest.raises(Refused, match="already has 4 connections"):
                each.take(ADDRESS)
            each.take("203.0.113.8")

    def test_may_come_again_when_they_have_left_another_worker(self, workers: Workers) -> None:
        for _ in range(4):
            workers.each[0].take(ADDRESS)
        workers.exchange()
        workers.each[0].give(ADDRESS)
        workers.exchange()
        workers.each[1].take(ADDRESS)

    def test_held_by_a_worker_that_has_died_are_free(self, workers: Workers) -> None:
        for _ in range(4):
            workers.each[0].take(ADDRESS)
        workers.exchange()
        workers.restart(0)
        workers.each[1].take(ADDRESS)
        workers.exchange()
        assert workers.each[2].heldBy(ADDRESS) == 1


class TestUsers:
    def test_count_in_all_workers(self, workers: Workers) -> None:
        for number in range(3):
            workers.each[number % 3].takeUser("ann")
            workers.exchange()
        for each in workers.each:
            with pytest.raises(Refused, match="this user already has 3 connections"):
                each.takeUser("ann")
            each.takeUser("bob")
        workers.each[0].giveUser("ann")
        workers.exchange()
        workers.each[1].takeUser("ann")
        assert workers.each[1].users() == {"ann": 2, "bob": 1}, "those of this worker"


class TestHandshakes:
    def test_of_one_address_count_in_all_workers(self, workers: Workers) -> None:
        for number in range(10):
            workers.each[number % 3].handshake(ADDRESS)
            workers.exchange()
        for each in workers.each:
            with pytest.raises(Refused, match="more than 5 handshakes"):
                each.handshake(ADDRESS)

    def test_are_allowed_again_after_a_time(self, workers: Workers) -> None:
        workers.timer.start()
        for _ in range(10):
            workers.each[0].handshake(ADDRESS)
        workers.exchange()
        workers.clock.pump([0.25] * 8)
        workers.each[1].handshake(ADDRESS)


def test_a_worker_tells_of_changes_once_before_each_report(workers: Workers) -> None:
    told: list[int] = []
    admission = SharedAdmission(POLICIES, workers.timer, 3, lambda: told.append(1))
    for _ in range(5):
        admission.arrive()
    assert told == [1]
    assert admission.report() == {"connections": 5, "held": {}, "spent": {}}
    admission.leave()
    assert told == [1, 1]
