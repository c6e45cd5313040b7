"""
Metered: a connection whose client may send only so much per second. If it sends more, it waits or is closed with 1008.

The factory of a route with such limits puts this class before that of the protocol. All other routes do without it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall

from wsd.connection.connection import Connection
from wsd.frames.codes import CloseCode
from wsd.metrics import Cause
from wsd.policies.rates import MessageMeter

CLOSE = "close"
"""The value of `over_rate` that closes the connection."""


class Metered(Connection):
    """Counts what arrives before the protocol gets it."""

    __meter: MessageMeter | None = None
    """None if no limit applies to this client: it may be on this machine, or have no user name."""
    __wait: IDelayedCall | None = None

    def _startFrames(self) -> None:
        """Called when the connection opens, or continues in this process."""
        factory = self.factory
        self.__meter = factory.rates.meter(factory.policies, self.peer, self.user)
        super()._startFrames()

    # -- what arrives ---------------------------------------------------------------------------------------------

    def received(self, payload: bytes, isBinary: bool) -> Any:
        """Called with a complete message."""
        return super().received(payload, isBinary) if self.__admits(1, len(payload)) else None

    def messageBegan(self, isBinary: bool) -> None:
        """Called in a streaming protocol when a message begins."""
        if self.__admits(1, 0):
            super().messageBegan(isBinary)

    def messageArrived(self, data: bytes) -> None:
        """Called in a streaming protocol with some bytes of the message."""
        if self.__admits(0, len(data)):
            super().messageArrived(data)

    def onPing(self, payload: bytes) -> None:
        """Called with a ping, which counts as a message."""
        if self.__admits(1, len(payload)):
            super().onPing(payload)

    # -- the limit ------------------------------------------------------------------------------------------------

    def __admits(self, messages: int, size: int) -> bool:
        """Count this, and wait if it is too much. Returns False if the connection was closed for it instead."""
        seconds = 0.0 if self.__meter is None else self.__meter.spend(messages, size)
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
            self.heldByRate = 1
            self.__wait = self.factory.clock.callLater(seconds, self.__waited)
        return True

    def __waited(self) -> None:
        self.__stopWaiting()
        self.release()

    def __stopWaiting(self) -> None:
        self.heldByRate = 0
        wait, self.__wait = self.__wait, None
        if wait is not None and wait.active():
            wait.cancel()

    def _letGo(self) -> None:
        """Free what the connection holds."""
        self.__stopWaiting()
        meter, self.__meter = self.__meter, None
        if meter is not None:
            meter.end()
        super()._letGo()
