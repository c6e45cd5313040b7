"""Tests that run on the reactor: coroutines, which may await Deferreds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pytest_twisted import ensureDeferred

_F = TypeVar("_F", bound=Callable[..., object])


def onReactor(test: _F) -> _F:
    """The test, an `async def`, run by pytest-twisted."""
    wrapped: _F = ensureDeferred(test)
    return wrapped
