"""
Backpressure in both directions, and the time-outs of an open connection.

A protocol can hold reading, and is told when too many bytes are unsent and when they are sent. A peer that takes no
data, or answers no ping, is dropped. All time-outs use the daemon's one coarse timer.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from wsd.connection.accounting import MemoryAccounting
from wsd.metrics import Cause
from wsd.policies.shedding import STALLED, Progress, Shed
from wsd.policies.turns import Step

NEVER = float("inf")

_EARLY = 65536
"""Bytes that are still accepted from the transport while reading is held. Above this, the transport is paused."""


@implementer(IPushProducer)
class Backpressure(MemoryAccounting):
    """Pauses and resumes reading and writing, and drops a peer that does not respond."""

    due = -1

    isFull = False
    """Whether the unsent bytes have passed the high water mark, and not yet fallen to the low one."""

    fulls = 0
    """How often the unsent bytes have passed the high water mark."""

    _heldByFull = 0
    """The number of `hold`s by the hook `full`."""

    heldByRate = 0
    """The number of `hold`s because the client has sent more per second than allowed: see `wsd.connection.metering`."""

    timesOverRate = 0
    """How often the client has sent more per second than allowed."""

    __pinged: float | None = None
    __sentAt: float | None = None
    _pingAt = 0.0
    __pingStart = 0
    __pingSeen = 0
    __taken = 0
    _takenAt = 0.0
    __pong: bytes | None = None
    __roomWaiters: list[Deferred[None]] | None = None

    # -- reading --------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Stop reading, even messages that have arrived already. Calls are counted: each needs its own `release`."""
        if self.state not in (self.STATE_OPEN, self.STATE_CONNECTING):
            return
        self.held += 1
        if self.held == 1:
            self.factory.counters.holds += 1
            self.transport.pauseProducing()

    def release(self) -> None:
        """Undo one `hold`. Reading resumes when all are undone."""
        if not self.held:
            return
        self.held -= 1
        if self.held or self.state == self.STATE_CONNECTING:
            return
        if self.frames is not None:
            self.frames.resumeReading()
        if not self.held and self.state in (self.STATE_OPEN, self.STATE_CLOSING):
            self.transport.resumeProducing()

    def yieldToReactor(self) -> None:
        """Hold reading until the next turn of the reactor, so that other connections get their turn."""
        self.held += 1
        if self.held == 1:
            self.transport.pauseProducing()
        self.factory.clock.callLater(0, self.release)

    def inflateInTurn(self) -> None:
        """Hold reading until it is this connection's turn among all that inflate or deflate large messages in steps."""
        self.held += 1
        if self.held == 1:
            self.transport.pauseProducing()

        def goOn() -> bool:
            self.release()
            return False

        self.factory.turns.add(goOn)

    def onBuffered(self, size: int) -> None:
        """Called while reading is held, with the number of bytes that were received meanwhile."""
        if size > _EARLY:
            self.transport.pauseProducing()

    def room(self) -> Deferred[None]:
        """
        Returns a Deferred that fires when there is room to send, or the connection is gone.

        It never fires before the next turn of the reactor, so that a loop that sends a lot does not block others.
        """
        waiting: Deferred[None] = Deferred()
        if self.state != self.STATE_CLOSED and (self.isFull or (self.frames is not None and self.frames.isBusy)):
            if self.__roomWaiters is None:
                self.__roomWaiters = []
            self.__roomWaiters.append(waiting)
        else:
            self.factory.clock.callLater(0, waiting.callback, None)
        return waiting

    @property
    def isRoomAwaited(self) -> bool:
        """Whether somebody waits for a Deferred of `room`."""
        return self.__roomWaiters is not None

    def deflateInSteps(self, step: Step) -> None:
        """Deflate a large message in steps. Reading is held meanwhile: answers would wait behind the message anyway."""
        self.hold()

        def guarded() -> bool:
            try:
                return step()
            except Exception:
                # The message cannot be finished, and later ones wait behind it.
                self.log.failure("deflating a message failed", Failure(), event="connection.error")
                self.drop(Cause.internal_error)
                return False

        self.factory.turns.add(guarded)

    def deflateDone(self) -> None:
        """Called when the large message is sent."""
        self.release()
        if not self.isFull and (self.frames is None or not self.frames.isBusy):
            self._makeRoom()

    # -- writing --------------------------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Called by the transport when the high water mark is passed."""
        if self.isFull:
            return
        self.isFull = True
        factory = self.factory
        factory.counters.fulls += 1
        self.fulls += 1
        self.__taken, self._takenAt = self._wire.acknowledged(), factory.timer.now
        factory.timer.scheduleBy(self, factory.timer.now + factory.policies.stall_timeout)
        before = self.held
        self._call(self.full)
        self._heldByFull = self.held - before

    def resumeProducing(self) -> None:
        """Called by the transport when the low water mark is reached."""
        if not self.isFull:
            return
        self.isFull = False
        self._heldByFull = 0
        pong, self.__pong = self.__pong, None
        if pong is not None and self.state == self.STATE_OPEN:
            self.sendPongFrame(pong)
        self._call(self.drained)
        if self.frames is None or not self.frames.isBusy:
            self._makeRoom()

    def stopProducing(self) -> None:
        """Called when the transport is gone. `connectionLost`, which is called as well, does the work."""

    def _makeRoom(self) -> None:
        """Fire the Deferreds that `room` returned."""
        waiters, self.__roomWaiters = self.__roomWaiters, None
        for waiting in waiters or ():
            waiting.callback(None)

    def overrun(self) -> None:
        """Called when there are more unsent bytes than allowed."""
        self.drop(Cause.overrun)

    def onPing(self, payload: bytes) -> None:
        """Answer with a pong. While `isFull`, only the latest ping is answered, as RFC 6455 5.5.3 allows."""
        if self.state != self.STATE_OPEN:
            return
        if self.isFull:
            self.__pong = payload
        else:
            self.sendPongFrame(payload)

    def onPong(self, payload: bytes) -> None:
        """Measure the round trip. For the keep-alive, any received byte is a sign of life."""
        sentAt, self.__sentAt = self.__sentAt, None
        if sentAt is not None and not payload:
            self.roundTrip = self.factory.clock.seconds() - sentAt
            self.factory.counters.roundTrips.observe(self.roundTrip)

    @property
    def copies(self) -> bool:
        """Whether writing to the transport copies large data."""
        return self._wire.copies

    @property
    def progress(self) -> Progress:
        """How fast the client takes what is unsent, since the last check."""
        if not self.isFull:
            return Progress(Shed.large)
        taken, passed = self._wire.acknowledged() - self.__taken, self.factory.timer.now - self._takenAt
        if not taken and passed >= STALLED:
            return Progress(Shed.stalled)
        return Progress(Shed.slow, taken / max(passed, STALLED))

    # -- time -----------------------------------------------------------------------------------------------------

    def visit(self, now: float) -> None:
        """Called by the timer: handle what is overdue, and schedule the next visit."""
        if self.state == self.STATE_OPEN:
            due = self.__stall(now)
            if self.state == self.STATE_OPEN:
                due = min(due, self.__keepAlive(now))
            if self.state == self.STATE_OPEN and due != NEVER:
                self.factory.timer.schedule(self, due)
        elif self.state == self.STATE_CONNECTING:
            self.openingOverdue()
        elif self.wasClean and not self._wire.unsent:
            # The closing handshake is done. Only TLS still waits, for a close_notify that many clients never send.
            self.transport.abortConnection()
        else:
            self.drop(Cause.closing_timeout)

    def openingOverdue(self) -> None:
        """Called when the opening handshake has taken too long."""
        raise NotImplementedError

    def __stall(self, now: float) -> float:
        """Drop a peer that takes no byte for `stall_timeout` while some are unsent. Returns when to check again."""
        wire, patience = self._wire, self.factory.policies.stall_timeout
        if not wire.unsent and not self.isFull:
            return NEVER
        taken = wire.acknowledged()
        if taken != self.__taken:
            self.__taken, self._takenAt = taken, now
        elif now - self._takenAt >= patience:
            self.drop(Cause.stalled)
        return self._takenAt + patience

    def __keepAlive(self, now: float) -> float:
        """Ping when it is time, and drop a peer that does not answer (RFC 6455 5.5.2). Returns when to check again."""
        policies = self.factory.policies
        if not policies.ping_interval:
            return NEVER
        if self.__pinged is not None:
            if self.frames.heard:
                self.__pinged = None
            elif self.held:
                self.__pinged = now
            elif now - self.__pinged >= policies.ping_timeout and not self.__pingIsOnItsWay(now):
                self.drop(Cause.ping_timeout)
                return NEVER
        if self.__pinged is None and now >= self._pingAt:
            self._pingAt = now + policies.ping_interval
            if not self.isFull:
                self.frames.heard = False
                self.__pinged = now
                self.__pingStart, self.__pingSeen = self._wire.written(), self._wire.acknowledged()
                self.__sentAt = self.factory.clock.seconds()
                self.ping()
        return self._pingAt if self.__pinged is None else min(self.__pinged + policies.ping_timeout, self._pingAt)

    def __pingIsOnItsWay(self, now: float) -> bool:
        """Returns whether the peer is still receiving what was sent before the ping; if so, restarts the time-out."""
        seen, self.__pingSeen = self.__pingSeen, self._wire.acknowledged()
        if seen < self.__pingStart and seen != self.__pingSeen:
            self.__pinged = now
            return True
        return False

    def closeBegun(self) -> None:
        """Called when the closing handshake has begun: read until the peer's close frame, for `closing_timeout`."""
        if self.held and self.state == self.STATE_CLOSING:
            self.held = 0
            self.transport.resumeProducing()
            self.frames.resumeReading()
        timer = self.factory.timer
        timer.schedule(self, timer.now + self.factory.policies.closing_timeout)

    def sendingEnded(self) -> None:
        """Called when nothing more will be sent: stop being the transport's producer."""
        self.transport.unregisterProducer()
