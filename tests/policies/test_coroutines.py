"""The rest of a coroutine that has begun is another coroutine."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from wsd.policies.coroutines import remainder


async def both(first: Deferred[str], second: Deferred[str]) -> str:
    try:
        words = [await first]
    except ValueError as error:
        words = [str(error)]
    return " ".join([*words, await second])


def begun(first: Deferred[str], second: Deferred[str]) -> Any:
    work: Any = both(first, second)
    return Deferred.fromCoroutine(remainder(work, work.send(None)))


@pytest.fixture
def waiting() -> tuple[Deferred[str], Deferred[str]]:
    return Deferred(), Deferred()


def test_its_result_is_the_coroutines(waiting: tuple[Deferred[str], Deferred[str]]) -> None:
    done: list[str] = []
    begun(*waiting).addCallback(done.append)
    waiting[0].callback("one")
    assert done == []
    waiting[1].callback("two")
    assert done == ["one two"]


def test_an_error_is_raised_where_it_waits(waiting: tuple[Deferred[str], Deferred[str]]) -> None:
    done: list[str] = []
    begun(*waiting).addCallback(done.append)
    waiting[0].errback(ValueError("wrong"))
    waiting[1].callback("two")
    assert done == ["wrong two"]


def test_an_error_that_it_raises_is_its_end(waiting: tuple[Deferred[str], Deferred[str]]) -> None:
    failed: list[Any] = []
    begun(*waiting).addErrback(failed.append)
    waiting[0].callback("one")
    waiting[1].errback(KeyError("two"))
    assert [failure.type for failure in failed] == [KeyError]


def test_when_it_is_dropped_the_coroutine_is_closed(waiting: tuple[Deferred[str], Deferred[str]]) -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await waiting[0]
        finally:
            ended.append("ended")

    coroutine: Any = work()
    rest: Any = remainder(coroutine, coroutine.send(None))
    rest.send(None)
    rest.close()
    assert ended == ["ended"]
    coroutine.close()
    again: Any = remainder(coroutine, None)
    again.send(None)
    again.close()
