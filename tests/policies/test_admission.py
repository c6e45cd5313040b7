"""Admission: connections in total and from one address, and handshakes per second; addresses are forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from wsd.config import Policies
from wsd.head import Refused
from wsd.policies.admission import Admission, Places, accountOf
from wsd.policies.timer import GRAIN, Timer


def admission(**policies: Any) -> tuple[Clock, Admission]:
    clock = Clock()
    timer = Timer(clock)
    timer.start()
    return clock, Admission(Policies(**policies), timer)


class TestConnections:
    """The limits of connections."""

    def test_as_many_as_there_may_be(self) -> None:
        _, ours = admission(max_connections=2)
        assert [ours.arrive(), ours.arrive(), ours.arrive()] == [True, True, False]
        ours.leave()
        assert ours.arrive()
        assert ours.connections == 2

    def test_no_more_than_there_is_room_for(self) -> None:
        _, ours = admission(max_connections=5)
        ours.setRoom(2)
        assert [ours.arrive(), ours.arrive(), ours.arrive()] == [True, True, False]
        ours.configure(Policies(max_connections=1))
        assert ours.most == 1
        ours.configure(Policies(max_connections=9))
        assert ours.most == 2

    def test_as_many_of_one_address_as_it_may_have(self) -> None:
        _, ours = admission(max_connections_per_address=2)
        ours.take("203.0.113.7")
        ours.take("203.0.113.7")
        ours.take("203.0.113.8")
        with pytest.raises(Refused, match="2 connections") as caught:
            ours.take("203.0.113.7")
        assert caught.value.status == 503
        assert dict(caught.value.headers)["Retry-After"]
        ours.give("203.0.113.7")
        ours.take("203.0.113.7")

    def test_an_address_without_connections_is_forgotten(self) -> None:
        _, ours = admission()
        ours.take("203.0.113.7")
        ours.give("203.0.113.7")
        assert ours._held == {}

    @pytest.mark.parametrize(
        ("address", "account"),
        [
            ("203.0.113.7", "203.0.113.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::9%eth0", "2001:db8:1:2::"),
            ("unix", "unix"),
        ],
    )
    def test_a_64_of_ipv6_is_one_address(self, address: str, account: str) -> None:
        assert accountOf(address) == account


class TestHandshakes:
    """The limit of handshakes per second."""

    def test_two_seconds_worth_at_once_then_the_rate(self) -> None:
        clock, ours = admission(handshakes_per_second=10)
        for _ in range(20):
            ours.handshake("203.0.113.7")
        with pytest.raises(Refused, match="10 handshakes per second") as caught:
            ours.handshake("203.0.113.7")
        assert caught.value.status == 429
        clock.pump([GRAIN] * 4)
        for _ in range(10):
            ours.handshake("203.0.113.7")
        with pytest.raises(Refused):
            ours.handshake("203.0.113.7")

    def test_none_is_counted_when_the_rate_is_0(self) -> None:
        _, ours = admission(handshakes_per_second=0)
        for _ in range(10_000):
            ours.handshake("203.0.113.7")
        assert ours._buckets == {}

    def test_a_quiet_address_is_forgotten(self) -> None:
        clock, ours = admission(handshakes_per_second=10)
        for number in range(256):
            ours.handshake(f"203.0.113.{number}")
        clock.pump([GRAIN] * 60)
        assert ours._buckets == {}


class TestThePlacesOfAConnection:
    """What one connection is counted as."""

    def test_are_given_back_at_its_end(self) -> None:
        _, ours = admission()
        places = Places(ours)
        places.take("203.0.113.7")
        places.takeUser("ann")
        assert (ours.connections, ours.heldBy("203.0.113.7"), ours.users()) == (1, 1, {"ann": 1})
        places.leave()
        places.leave()
        assert (ours.connections, ours._held) == (0, {})

    def test_are_those_of_its_first_address(self) -> None:
        _, ours = admission()
        places = Places(ours)
        places.take("203.0.113.7")
        places.take("203.0.113.8")
        assert places.address == "203.0.113.7"
        assert ours.heldBy("203.0.113.8") == 0

    def test_are_none_above_a_limit(self) -> None:
        _, ours = admission(max_connections=1, max_connections_per_address=1, max_connections_per_user=1)
        first, second = Places(ours), Places(ours)
        first.take("203.0.113.7")
        first.takeUser("ann")
        with pytest.raises(Refused):
            second.take("203.0.113.7")
        with pytest.raises(Refused):
            second.takeUser("ann")
        assert (second.isAdmitted, second.address, second.user) == (False, None, None)
        second.leave()
        assert (ours.connections, ours.heldBy("203.0.113.7"), ours.users()) == (1, 1, {"ann": 1})
