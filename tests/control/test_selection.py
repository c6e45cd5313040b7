"""In which order connections are found, and that sorting many of them leaves nothing for the garbage collector."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from wsd.control.selection import Selection


class Row:
    """As much of a connection as is needed to sort it."""

    __slots__ = ("bytesReceived", "bytesSent", "number", "peer")

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.bytesReceived, self.bytesSent = size, 0
        self.peer = SimpleNamespace(address=f"10.0.{size // 256}.{size % 256:03}")


def found(rows: list[Row], **arguments: Any) -> list[tuple[int, int]]:
    """The sizes and numbers of the connections, in the order in which they are found."""
    clock = Clock()
    told: list[tuple[int, int]] = []

    async def collect() -> None:
        chosen: Any = Selection(clock, rows, lambda row: True, **arguments)  # type: ignore[arg-type]
        told.extend([(row.bytesReceived, row.number) async for row in chosen])

    ended: list[Failure | None] = []
    Deferred.fromCoroutine(collect()).addBoth(ended.append)
    while not ended:
        clock.advance(0)
    assert ended == [None]
    return told


ROWS = [Row(number, number * 7919 % 1300) for number in range(2600)]
SIZES = [(row.bytesReceived, row.number) for row in ROWS]


@pytest.mark.parametrize("limit", [None, 0, 1, 40, 2599, 5000])
class TestTheOrder:
    def test_without_a_key_is_as_they_come(self, limit: int | None) -> None:
        assert found(ROWS, limit=limit) == SIZES[:limit]

    @pytest.mark.parametrize("isReversed", [False, True])
    def test_of_numbers_begins_with_the_largest_and_equal_ones_stay_as_they_come(
        self, limit: int | None, isReversed: bool
    ) -> None:
        expected = sorted(SIZES, key=lambda pair: pair[0], reverse=not isReversed)
        assert found(ROWS, sort="bytes", reverse=isReversed, limit=limit) == expected[:limit]

    @pytest.mark.parametrize("isReversed", [False, True])
    def test_of_texts_begins_with_a(self, limit: int | None, isReversed: bool) -> None:
        expected = sorted(SIZES, key=lambda pair: f"10.0.{pair[0] // 256}.{pair[0] % 256:03}", reverse=isReversed)
        assert found(ROWS, sort="address", reverse=isReversed, limit=limit) == expected[:limit]


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501])
def test_runs_of_any_length_are_sorted(count: int) -> None:
    assert found(ROWS[:count], sort="bytes") == sorted(SIZES[:count], key=lambda pair: -pair[0])


def test_sorting_many_does_not_start_the_garbage_collector() -> None:
    """A full collection goes through all objects of all connections, and nobody is served meanwhile."""
    runs: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            runs.append(info["generation"])

    rows = [Row(number, number * 7919 % 9973) for number in range(10_000)]
    gc.collect()
    gc.callbacks.append(note)
    try:
        found(rows, sort="bytes", limit=40)
    finally:
        gc.callbacks.remove(note)
    assert runs.count(0) <= 1
    assert set(runs) <= {0}
