"""Many connections: the daemon answers in short steps, and soon."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from time import thread_time
from typing import Any

import pytest

from tests.control.controlled import Controlled
from tests.daemon import slowness

MANY = 10_000
STEP = 0.005
"""Seconds that one turn of the reactor may take."""
ALL = 0.2
"""Seconds until the whole answer is there."""

REQUESTS: list[dict[str, object]] = [
    {"command": "connections"},
    {"command": "connections", "sort": "bytes"},
    {"command": "connections", "sort": "bytes", "limit": 40},
    {"command": "connections", "sort": "address", "address": "127.0.0.0/8", "younger": 3600, "bytes": 0},
    {"command": "connections", "user": "nobody"},
    {"command": "close", "ids": ["0123456789"]},
    {"command": "status"},
]


@pytest.fixture(autouse=True)
def withoutOthersGarbage() -> Iterator[None]:
    """A collection would go through what all tests before have left, which takes longer than a step."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("request_", REQUESTS, ids=json.dumps)
def test_no_request_holds_the_reactor(
    controlled: Controlled, monkeypatch: pytest.MonkeyPatch, request_: dict[str, object]
) -> None:
    """By the time that the processor works on it: others may have the processor in between."""
    connection = controlled.connection(controlled.open())
    many = [connection] * MANY
    monkeypatch.setattr(type(controlled.steering), "connections", property(lambda steering: many))
    control = controlled.control()
    steps: list[float] = []

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> None:
            began = thread_time()
            call(*arguments)
            steps.append(thread_time() - began)

        return run

    # The clock in memory runs calls that are due at once one after another; each is a turn of the reactor.
    later = controlled.reactor.callLater
    monkeypatch.setattr(controlled.reactor, "callLater", lambda when, call, *rest: later(when, timed(call), *rest))
    timed(control.send)(json.dumps(request_).encode() + b"\n")
    for _ in range(1000):
        if b'{"ok":' in control.transport.value():
            break
        control.turn()
    assert control.lines[-1]["ok"] == (request_["command"] != "close")
    slow = slowness()
    assert max(steps) < STEP * slow
    assert sum(steps) < ALL * slow
