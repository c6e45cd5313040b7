"""
Metering: a connection that sends too much waits, or is closed with 1008.

Only a connection with a limit has a meter: its hooks are then called by way of it. All others are read as fast as
without this module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from wsd.connection.backpressure import Backpressure
from wsd.frames.codes import CloseCode
from wsd.metrics import Cause
from wsd.policies.rates import MessageMeter

CLOSE = "close"
"""The value of `over_rate` that closes the connection."""

_HOOKS = ("received", "messageBegan", "messageArrived", "onPing")


class Metering(Backpressure):
    """Counts what arrives, if a rate limits it."""

    timesOverRate = 0
    """How often the peer has sent more per second than allowed."""

    __meter: MessageMeter | None = None
    __wait: IDelayedCall | None = None

    def _startMetering(self) -> None:
        """Called before the plane is made, which keeps the hook `received`."""
        factory = self.factory
        self.__meter = meter = factory.rates.meter(factory.policies, self.peer, self.user)
        if meter is None:
            return
        received, began, arrived, pinged = (getattr(self, name) for name in _HOOKS)
        metered: tuple[Callable[..., Any], ...] = (
            lambda payload, isBinary: (self.__admits(1, len(payload)) and received(payload, isBinary)) or None,
            lambda isBinary: self.__admits(1, 0) and began(isBinary),
            lambda data: self.__admits(0, len(data)) and arrived(data),
            lambda payload: self.__admits(1, len(payload)) and pinged(payload),
        )
        for name, hook in zip(_HOOKS, metered, strict=True):
            # Not by way of `__dict__`, as in `setFrames`.
            object.__setattr__(self, name, hook)

    def __admits(self, messages: int, size: int) -> bool:
        """Count this. Returns False if the connection was closed for it."""
        assert self.__meter is not None
        seconds = self.__meter.spend(messages, size)
        if not seconds:
            return True
        self.factory.counters.limited += 1
        self.timesOverRate += 1
        if self.factory.policies.over_rate == CLOSE:
            sentence = "more messages or bytes per second than allowed; send them more slowly"
            self.close(CloseCode.POLICY_VIOLATION, sentence, Cause.rate_limited)
            return False
        if self.__wait is not None:
            self.__wait.reset(seconds)
        elif self.isOpen:
            self.hold()
            self.__wait = self.factory.clock.callLater(seconds, self.__goOn)
        return True

    def __goOn(self) -> None:
        self.__wait = None
        self.release()

    @property
    def heldByRate(self) -> int:
        """The number of `hold`s because the peer has sent too much."""
        return 0 if self.__wait is None else 1

    def _stopMetering(self) -> None:
        """Called at the end: free what refers to this connection."""
        wait, self.__wait = self.__wait, None
        if wait is not None:
            wait.cancel()
        meter, self.__meter = self.__meter, None
        if meter is not None:
            meter.end()
            for name in _HOOKS:
                object.__delattr__(self, name)
