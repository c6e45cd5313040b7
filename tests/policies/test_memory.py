"""Freed memory is kept while there is traffic, and returned to the system afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest
from twisted.internet.task import Clock

from wsd.policies.memory import HeapTrimmer
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
