"""Handlers of signals: they call on the reactor's thread, and go with the daemon."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from wsd.service.signals import Signals

NUMBER = signal.SIGUSR1


class Reactor:
    """Keeps what it is to call on its thread."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], Any]] = []

    def callFromThread(self, call: Callable[[], Any]) -> None:
        self.calls.append(call)


@pytest.fixture(autouse=True)
def before() -> Iterator[Any]:
    def handler(*_: Any) -> None:
        pass

    original = signal.signal(NUMBER, handler)
    yield handler
    signal.signal(NUMBER, original)


def test_a_signal_calls_in_a_turn_of_the_reactor() -> None:
    reactor, called = Reactor(), []
    Signals(reactor).handle(NUMBER, lambda: called.append(1))
    signal.raise_signal(NUMBER)
    assert called == []
    for call in reactor.calls:
        call()
    assert called == [1]


def test_the_handler_from_before_is_restored_even_if_another_has_followed(before: Any) -> None:
    signals = Signals(Reactor())
    signals.handle(NUMBER, lambda: None)
    signals.handle(NUMBER, lambda: None)
    signals.restore()
    assert signal.getsignal(NUMBER) is before
