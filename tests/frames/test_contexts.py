"""The contexts of idle connections are freed, and those of a limited number of busy ones are kept."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from twisted.internet.task import Clock

import wsd.frames.contexts
from wsd.frames.contexts import DeflateContextCache
from wsd.frames.deflate import Deflater
from wsd.policies.negotiation import Deflate
from wsd.policies.timer import GRAIN, Timer

AGREED = Deflate(False, False, 15, 15, "permessage-deflate")
HELLO = bytes.fromhex("f248cdc9c90700")


class Resting(Deflater):
    """Notes how often its contexts were freed."""

    naps = 0

    def freeContexts(self) -> bool:
        slept = super().freeContexts()
        self.naps += slept
        return slept


class House:
    def __init__(self) -> None:
        self.clock = Clock()
        self.timer = Timer(self.clock)
        self.timer.start()
        self.given = 0
        self.cache = DeflateContextCache(self.timer, self.give)

    def give(self) -> None:
        self.given += 1

    def connection(self) -> Resting:
        return Resting(AGREED, 6, 8, self.cache)

    def talking(self) -> Resting:
        deflater = self.connection()
        deflater.deflate(b"Hello")
        return deflater

    def passes(self, seconds: float) -> None:
        self.clock.pump([GRAIN] * int(seconds / GRAIN))


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.timer.stop()


def test_one_that_says_nothing_is_put_away_after_some_seconds(house: House) -> None:
    resting = [house.talking() for _ in range(10)]
    house.passes(3)
    assert [deflater.naps for deflater in resting] == [0] * 10
    house.passes(7)
    assert [deflater.naps for deflater in resting] == [1] * 10
    assert len(house.cache) == 0
    assert house.given == 1, "their memory is given back to the system, once for all of them"


def test_many_that_rest_at_once_are_put_away_a_few_at_a_time(house: House) -> None:
    resting = [house.talking() for _ in range(300)]
    seen = []
    for _ in range(60):
        house.passes(GRAIN)
        seen.append(sum(deflater.naps for deflater in resting))
    assert seen[-1] == 300
    assert max(after - before for before, after in pairwise(seen)) == 64


def test_nothing_is_looked_at_when_all_rest(house: House) -> None:
    house.talking()
    house.passes(10)
    assert house.timer._buckets == {}


def test_one_that_talks_is_left_alone(house: House) -> None:
    talking = house.talking()
    for _ in range(20):
        house.passes(2)
        talking.deflate(b"Hello")
    assert talking.naps == 0
    house.passes(10)
    assert talking.naps == 1


def test_one_that_wakes_is_put_away_again(house: House) -> None:
    talking = house.talking()
    for naps in (1, 2, 3):
        house.passes(10)
        assert talking.naps == naps
        talking.deflate(b"Hello")


def test_one_in_the_middle_of_a_message_waits_for_its_end(house: House) -> None:
    reading = house.connection()
    reading.begin()
    reading.inflate(HELLO[:3], False, 99)
    house.passes(30)
    assert reading.naps == 0
    reading.inflate(HELLO[3:], True, 99)
    house.passes(10)
    assert reading.naps == 1


def test_one_that_left_is_no_more(house: House) -> None:
    first, second = house.talking(), house.talking()
    first.close()
    assert len(house.cache) == 1
    second.close()
    second.close()
    assert len(house.cache) == 0
    assert house.timer._buckets == {}


class TestMoreThanThereIsRoomFor:
    @pytest.fixture(autouse=True)
    def room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wsd.frames.contexts, "MAX_CONTEXTS", 4)

    def test_put_away_those_that_were_not_used_for_longest(self, house: House) -> None:
        talking = [house.talking() for _ in range(4)]
        house.passes(3)
        for deflater in talking[2:]:
            deflater.deflate(b"Hello")
        house.talking()
        house.talking()
        assert [deflater.naps for deflater in talking] == [1, 1, 0, 0]
        assert len(house.cache) == 4

    def test_put_away_one_of_those_that_all_talk(self, house: House) -> None:
        talking = [house.talking() for _ in range(20)]
        assert len(house.cache) == 4
        assert sum(deflater.naps for deflater in talking) == 16

    def test_leave_alone_those_in_the_middle_of_a_message(self, house: House) -> None:
        reading = [house.connection() for _ in range(6)]
        for deflater in reading:
            deflater.begin()
            deflater.inflate(HELLO[:3], False, 99)
        assert len(house.cache) == 6
        assert [deflater.inflate(HELLO[3:], True, 99)[-1:] for deflater in reading] == [b"o"] * 6
        house.talking()
        house.passes(10)
        assert [deflater.naps for deflater in reading] == [1] * 6


class TestTheirMemory:
    """zconf.h: (1 << windowBits + 2) + (1 << memLevel + 9) to deflate, 1 << windowBits to inflate."""

    DEFLATING, INFLATING = (1 << 17) + (1 << 17) + 6 * 1024, 3 * (1 << 15) + 7 * 1024

    @pytest.fixture
    def weighed(self, house: House) -> House:
        self.reports: list[int] = []
        self.isTight = False
        house.cache = DeflateContextCache(
            house.timer, house.give, report=self.reports.append, isTight=lambda: self.isTight
        )
        return house

    def test_is_that_of_the_contexts_that_are_there(self, weighed: House) -> None:
        deflater = weighed.talking()
        assert weighed.cache.memory == self.DEFLATING
        deflater.begin()
        deflater.inflate(HELLO, True, 100)
        assert weighed.cache.memory == self.DEFLATING + self.INFLATING
        assert self.reports == [self.DEFLATING, self.DEFLATING + self.INFLATING]

    def test_is_that_of_the_negotiated_windows(self, weighed: House) -> None:
        deflater = Deflater(Deflate(False, False, 9, 10, ""), 6, 1, weighed.cache)
        deflater.deflate(b"Hello")
        assert weighed.cache.memory == (1 << 11) + (1 << 10) + 6 * 1024
        deflater.begin()
        deflater.inflate(HELLO, True, 100)
        assert weighed.cache.memory == (1 << 11) + (1 << 10) + 6 * 1024 + 3 * (1 << 10) + 7 * 1024

    def test_is_that_of_the_window_while_the_connection_rests(self, weighed: House) -> None:
        deflater = weighed.talking()
        deflater.begin()
        deflater.inflate(HELLO, True, 100)
        weighed.passes(10)
        assert weighed.cache.memory == len(b"Hello")

    @pytest.mark.parametrize("isResting", [False, True])
    def test_is_free_when_the_connection_is_gone(self, weighed: House, isResting: bool) -> None:
        deflater = weighed.talking()
        deflater.begin()
        deflater.inflate(HELLO, True, 100)
        if isResting:
            weighed.passes(10)
        deflater.close()
        assert (weighed.cache.memory, self.reports[-1]) == (0, 0)

    def test_is_less_when_what_was_sent_is_forgotten(self, weighed: House) -> None:
        weighed.talking().forget()
        assert weighed.cache.memory == 0

    def test_is_nothing_where_each_message_has_its_own(self, weighed: House) -> None:
        Deflater(Deflate(True, True, 15, 15, ""), 6, 8, weighed.cache).deflate(b"Hello")
        assert self.reports == []

    def test_is_freed_to_half_when_memory_is_short(self, weighed: House) -> None:
        talking = [weighed.talking() for _ in range(10)]
        weighed.cache.relieve(weighed.cache.memory)
        assert weighed.cache.memory == 5 * self.DEFLATING
        assert [deflater.naps for deflater in talking] == [1] * 5 + [0] * 5

    def test_is_not_freed_in_the_midst_of_a_message(self, weighed: House) -> None:
        deflater = weighed.connection()
        deflater.begin()
        deflater.inflate(HELLO[:3], False, 100)
        weighed.cache.relieve(weighed.cache.memory)
        assert weighed.cache.memory == self.INFLATING

    def test_is_not_kept_for_many_while_memory_is_tight(self, weighed: House) -> None:
        weighed.talking()
        weighed.passes(3)
        weighed.cache.visit(weighed.timer.now + 10)
        self.isTight = True
        weighed.talking()
        assert weighed.cache.memory == self.DEFLATING
