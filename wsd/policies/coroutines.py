"""Coroutines that are run at once, since most of them have nothing to wait for."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any


@coroutine
def remainder(begun: Coroutine[Any, Any, Any], awaited: Any) -> Generator[Any, Any, Any]:
    """
    The rest of a coroutine that has run until it awaits `awaited`, as a coroutine that has not begun.

    `Deferred.fromCoroutine` takes it, and is only needed if there is something to wait for.
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
