"""Running a coroutine without a Deferred as long as it does not wait, which most never do."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

_T = TypeVar("_T")


@coroutine
def remainder(begun: Coroutine[Any, Any, Any], awaited: Any) -> Generator[Any, Any, Any]:
    """
    Returns the rest of a coroutine, which has run until it awaits `awaited`, as a new coroutine.

    The new one can be given to `Deferred.fromCoroutine`, which does not take a coroutine that has begun.
    """
    try:
        while True:
            try:
                value = yield awaited
            except GeneratorExit:
                begun.close()
                raise
            except BaseException as error:
                awaited = begun.throw(error)
            else:
                awaited = begun.send(value)
    except StopIteration as done:
        return done.value


def begin(begun: Coroutine[Any, Any, _T]) -> _T | Deferred[_T]:
    """Returns the result of a coroutine if it does not wait, else a Deferred of it. Raises what it raises at once."""
    try:
        awaited = begun.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    return Deferred.fromCoroutine(remainder(begun, awaited))
