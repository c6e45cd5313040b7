"""Rates: messages and bytes per second, as token buckets."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from wsd.config import Policies
from wsd.policies.address import Peer
from wsd.policies.rates import Rates, TokenBucket, hasRates
from wsd.policies.timer import Timer

FAR = Peer("192.0.2.7", 1)
NEAR = Peer("127.0.0.1", 1, direct=True)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timer(clock: Clock) -> Timer:
    timer = Timer(clock)
    timer.start()
    return timer


class TestABucket:
    def test_lets_one_second_through_at_once(self, timer: Timer) -> None:
        bucket = TokenBucket(10, 0, timer)
        assert [bucket.spend(1, 1000) for _ in range(10)] == [0.0] * 10
        assert bucket.spend(1, 0) == pytest.approx(0.1)
        assert bucket.spend(1, 0) == pytest.approx(0.2)

    def test_fills_again_with_time_and_no_further(self, timer: Timer, clock: Clock) -> None:
        bucket = TokenBucket(10, 0, timer)
        for _ in range(11):
            bucket.spend(1, 0)
        clock.advance(0.2)
        assert bucket.spend(1, 0) == 0
        clock.advance(1000)
        assert [bucket.spend(1, 0) for _ in range(10)] == [0.0] * 10
        assert bucket.spend(1, 0) > 0

    def test_counts_bytes_as_well(self, timer: Timer) -> None:
        bucket = TokenBucket(0, 1000, timer)
        assert bucket.spend(100, 1000) == 0
        assert bucket.spend(1, 500) == pytest.approx(0.5)

    def test_the_longer_wait_counts(self, timer: Timer) -> None:
        assert TokenBucket(1, 10, timer).spend(3, 100) == pytest.approx(9.0)


class TestWhetherThereAreLimits:
    def test_by_default_there_are_none(self) -> None:
        assert not hasRates(Policies())

    @pytest.mark.parametrize("of", ["", "_per_address", "_per_user"])
    @pytest.mark.parametrize("what", ["messages", "bytes"])
    def test_any_of_them_is_one(self, what: str, of: str) -> None:
        limits: dict[str, Any] = {f"{what}_per_second{of}": 1}
        assert hasRates(Policies(**limits))


class TestTheMeterOfAConnection:
    def test_there_is_none_without_a_limit(self, timer: Timer) -> None:
        assert Rates(timer).meter(Policies(), FAR, "ann") is None

    def test_is_its_own_for_the_limit_of_a_connection(self, timer: Timer) -> None:
        policies = Policies(messages_per_second=1)
        rates = Rates(timer)
        for _ in range(2):
            meter = rates.meter(policies, FAR, None)
            assert meter is not None
            assert meter.spend(1, 0) == 0
            assert meter.spend(1, 0) > 0

    @pytest.mark.parametrize(
        ("policies", "same", "other"),
        [
            (Policies(messages_per_second_per_address=1), (FAR, "bob"), (Peer("192.0.2.8", 1), "ann")),
            (Policies(messages_per_second_per_user=1), (Peer("192.0.2.8", 1), "ann"), (FAR, "bob")),
        ],
        ids=["address", "user"],
    )
    def test_is_shared_by_an_address_or_a_user(
        self, timer: Timer, policies: Policies, same: tuple[Peer, str], other: tuple[Peer, str]
    ) -> None:
        rates = Rates(timer)
        first, second, third = (rates.meter(policies, *who) for who in ((FAR, "ann"), same, other))
        assert first is not None
        assert second is not None
        assert third is not None
        assert first.spend(1, 0) == 0
        assert second.spend(1, 0) > 0
        assert third.spend(1, 0) == 0

    def test_is_not_shared_by_clients_on_this_machine_or_without_a_name(self, timer: Timer) -> None:
        policies = Policies(messages_per_second_per_address=1, messages_per_second_per_user=1)
        assert Rates(timer).meter(policies, NEAR, None) is None

    def test_is_kept_until_it_is_full_so_that_a_new_connection_is_no_way_around(
        self, timer: Timer, clock: Clock
    ) -> None:
        policies = Policies(messages_per_second_per_address=1)
        rates = Rates(timer)
        meter = rates.meter(policies, FAR, None)
        assert meter is not None
        for _ in range(20):
            meter.spend(1, 0)
        meter.end()
        clock.pump([0.25] * 48)
        again = rates.meter(policies, FAR, None)
        assert again is not None
        assert again.spend(1, 0) > 5
        again.end()
        clock.pump([0.25] * 160)
        assert rates._buckets == {}

    def test_is_kept_while_a_connection_has_it_so_that_an_idle_one_is_no_way_around(
        self, timer: Timer, clock: Clock
    ) -> None:
        policies = Policies(messages_per_second_per_address=1)
        rates = Rates(timer)
        idle = rates.meter(policies, FAR, None)
        assert idle is not None
        clock.pump([0.25] * 160)
        new = rates.meter(policies, FAR, None)
        assert new is not None
        assert (idle.spend(1, 0), new.spend(1, 0) > 0) == (0, True)

    def test_follows_a_reload(self, timer: Timer) -> None:
        rates = Rates(timer)
        rates.meter(Policies(messages_per_second_per_address=1), FAR, None)
        meter = rates.meter(Policies(messages_per_second_per_address=100), FAR, None)
        assert meter is not None
        assert meter.spend(50, 0) == 0
