"""Handlers of signals, until the daemon has stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any


class Signals:
    """Calls functions for signals, on the reactor's thread in one of its turns."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._before: dict[int, Any] = {}

    def handle(self, number: int, call: Callable[[], object]) -> None:
        """Call this for each signal of this number from now on."""
        before = signal.signal(number, lambda *_: self._reactor.callFromThread(call))
        self._before.setdefault(number, before)

    def restore(self) -> None:
        """Set the handlers from before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
