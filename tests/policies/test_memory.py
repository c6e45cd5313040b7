"""Freed memory is kept while there is traffic, and returned to the system afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest
from twisted.internet.task import Clock

from wsd.config import Policies
from wsd.policies.budget import Budget, MemoryUse
from wsd.policies.memory import HeapBound, HeapTrimmer, residentBytes
from wsd.policies.meter import Meter
from wsd.policies.timer import GRAIN, Timer

MIB = 1024 * 1024


class Busy:
    """A daemon's traffic, and the trimming of its heap."""

    def __init__(self) -> None:
        self.clock = Clock()
        timer = Timer(self.clock)
        timer.start()
        self.transferred = 0
        self.given = 0
        HeapTrimmer(timer, lambda: self.transferred, self.give).start()

    def give(self) -> None:
        self.given += 1

    def transfer(self, size: int, seconds: int = 11) -> None:
        """Transfer this many bytes of messages, and let time pass."""
        self.transferred += size
        self.clock.pump([GRAIN] * int(seconds / GRAIN))


@pytest.fixture
def daemon() -> Busy:
    return Busy()


def test_while_there_is_traffic_nothing_is_given_back(daemon: Busy) -> None:
    for _ in range(10):
        daemon.transfer(20 * MIB)
    assert daemon.given == 0


def test_once_it_ceases_memory_is_given_back_once(daemon: Busy) -> None:
    daemon.transfer(100 * MIB)
    daemon.transfer(1 * MIB, 120)
    assert daemon.given == 1


def test_after_little_traffic_there_is_nothing_to_give(daemon: Busy) -> None:
    daemon.transfer(1 * MIB, 120)
    assert daemon.given == 0


class Heap:
    """A process with 50 MiB of its own, and what the C library keeps beside what is in use."""

    def __init__(self) -> None:
        self.own, self.kept, self.used = 50 * MIB, 0, 0
        self.seconds = 0.0
        self.trimmed = 0
        self.bound = HeapBound(lambda: self.own + self.kept + self.used, self.trim, lambda: self.seconds)

    def trim(self) -> None:
        self.trimmed += 1
        self.kept = 0
        self.seconds += 0.01

    def check(self, used: int, kept: int) -> None:
        """The ledger has this many bytes in use, and the C library has kept so many that were freed."""
        self.used, self.kept = used, kept
        self.bound.check(used, 100 * MIB)


class TestTheBoundOfTheHeap:
    def test_freed_memory_is_kept_while_it_fits(self) -> None:
        heap = Heap()
        heap.check(90 * MIB, 40 * MIB)
        heap.check(0, 130 * MIB)
        assert heap.trimmed == 0

    def test_it_is_given_back_when_it_does_not(self) -> None:
        heap = Heap()
        heap.check(90 * MIB, 43 * MIB)
        assert (heap.trimmed, heap.kept) == (1, 0)

    def test_it_takes_a_fifth_of_the_time_at_most(self) -> None:
        heap = Heap()
        heap.check(90 * MIB, 60 * MIB)
        heap.seconds += 0.039
        heap.check(90 * MIB, 60 * MIB)
        assert heap.trimmed == 1
        heap.seconds += 0.002
        heap.check(90 * MIB, 60 * MIB)
        assert heap.trimmed == 2

    def test_what_cannot_be_given_back_is_not_tried_again(self) -> None:
        heap = Heap()
        heap.own += 500 * MIB
        heap.check(10 * MIB, 0)
        for _ in range(10):
            heap.seconds += 10
            heap.check(10 * MIB, 0)
        assert heap.trimmed == 1

    def test_what_is_not_there_any_more_is_not_allowed_for(self) -> None:
        heap = Heap()
        heap.own += 500 * MIB
        heap.check(10 * MIB, 0)
        heap.own -= 500 * MIB
        heap.seconds += 10
        heap.check(10 * MIB, 0)
        heap.check(10 * MIB, 130 * MIB)
        assert heap.trimmed == 2

    def test_the_ledger_has_it_checked_after_each_16_mib_taken(self) -> None:
        budget = Budget(Policies(memory_max=100 * MIB), Clock())
        checks: list[tuple[int, int]] = []
        budget.checkHeap = lambda used, most: checks.append((used, most))
        meter = Meter(budget, MemoryUse.rooms)
        for size in (10, 15, 0, 1, 30, 0):
            meter.put(size * MIB)
        assert checks == [(1 * MIB, 100 * MIB), (30 * MIB, 100 * MIB)]

    def test_the_resident_bytes_are_those_of_this_process(self) -> None:
        before = residentBytes()
        block = b"x" * 40 * MIB
        assert 35 * MIB < residentBytes() - before < 60 * MIB
        del block


MEASURE = """
import ctypes, re
from wsd.policies.memory import trimHeap, tuneMalloc

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) >> 10

tuneMalloc()
before = resident()
pieces = [bytes(b"x" * 512_000) for _ in range(100)]
del pieces
kept = resident()
trimHeap()
print(kept - before, resident() - before)
"""


def test_what_is_freed_is_there_for_the_next_and_what_is_given_back_is_gone() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    kept, left = map(int, done.stdout.split())
    assert kept > 40
    assert left < 10
