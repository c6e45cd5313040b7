"""
Backpressure both ways, and the time-outs of an open connection.

Reading is held while a protocol asks for it. A protocol is told when too much waits to be sent, and when that has gone.
A peer that takes nothing, or answers no ping, is dropped. All time-outs use the one coarse timer of the daemon.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from wsd.connection.api import ConnectionApi
from wsd.frames.codes import CloseCode
from wsd.metrics import Cause
from wsd.policies.budget import Account, MemoryUse
from wsd.policies.turns import Step

NEVER = float("inf")

_EARLY = 65536
"""Bytes that are still taken from the transport while reading is held. Beyond, the peer has to wait."""


@implementer(IPushProducer)
class Backpressure(ConnectionApi):
    """When to read, when to write, and when to give up."""

    due = -1

    isFull = False
    """Whether the bytes that wait to be sent passed the high water mark, and have not fallen to the low one."""

    __pinged: float | None = None
    _pingAt = 0.0
    __pingStart = 0
    __pingSeen = 0
    __taken = 0
    _takenAt = 0.0
    __pong: bytes | None = None
    __roomWaiters: list[Deferred[None]] | None = None
    __account: Account | None = None
    __handled = 0

    # -- reading --------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Stop reading, before the next message even within what has arrived. Counted: each needs its `release`."""
        if self.state not in (self.STATE_OPEN, self.STATE_CONNECTING):
            return
        self.held += 1
        if self.held == 1:
            self.factory.counters.holds += 1
            self.transport.pauseProducing()

    def release(self) -> None:
        """Take back one `hold`; with the last, reading goes on."""
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
        """Hold reading until the others have had their turn."""
        self.held += 1
        if self.held == 1:
            self.transport.pauseProducing()
        self.factory.clock.callLater(0, self.release)

    def onBuffered(self, size: int) -> None:
        """So many bytes wait to be read: with more than a few, let the peer wait."""
        if size > _EARLY:
            self.transport.pauseProducing()

    def room(self) -> Deferred[None]:
        """
        Returns a Deferred that fires when there is room to send, or the connection is gone.

        It never fires before the next turn of the reactor, so that a loop that sends much does not block others.
        """
        waiting: Deferred[None] = Deferred()
        if self.state != self.STATE_CLOSED and (self.isFull or (self.frames is not None and self.frames.isBusy)):
            if self.__roomWaiters is None:
                self.__roomWaiters = []
            self.__roomWaiters.append(waiting)
        else:
            self.factory.clock.callLater(0, waiting.callback, None)
        return waiting

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
        """The large message is sent."""
        self.release()
        if not self.isFull and (self.frames is None or not self.frames.isBusy):
            self._makeRoom()

    # -- the transport takes --------------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Called by the transport when the high water mark is passed."""
        if self.isFull:
            return
        self.isFull = True
        factory = self.factory
        factory.counters.fulls += 1
        self.__taken, self._takenAt = self._wire.acknowledged(), factory.timer.now
        factory.timer.scheduleBy(self, factory.timer.now + factory.policies.stall_timeout)
        self._call(self.full)

    def resumeProducing(self) -> None:
        """Called by the transport when the low water mark is reached."""
        if not self.isFull:
            return
        self.isFull = False
        pong, self.__pong = self.__pong, None
        if pong is not None and self.state == self.STATE_OPEN:
            self.sendPongFrame(pong)
        self._call(self.drained)
        if self.frames is None or not self.frames.isBusy:
            self._makeRoom()

    def stopProducing(self) -> None:
        """Called when the transport is gone; `connectionLost` is called as well."""

    def _makeRoom(self) -> None:
        waiters, self.__roomWaiters = self.__roomWaiters, None
        for waiting in waiters or ():
            waiting.callback(None)

    def overrun(self) -> None:
        """More bytes than allowed wait to be sent."""
        self.drop(Cause.overrun)

    def onPing(self, payload: bytes) -> None:
        """Answer with a pong. While we are full, only the newest ping is answered, as RFC 6455 5.5.3 allows."""
        if self.state != self.STATE_OPEN:
            return
        if self.isFull:
            self.__pong = payload
        else:
            self.sendPongFrame(payload)

    def onPong(self, payload: bytes) -> None:
        """Nothing to do: any received byte is a sign of life."""

    @property
    def copies(self) -> bool:
        """Whether the transport copies large data that it is given."""
        return self._wire.copies

    # -- memory ---------------------------------------------------------------------------------------------------

    def noteReceived(self, size: int) -> None:
        """`size` received bytes are kept and not passed on yet."""
        self._note(MemoryUse.received, size)

    def noteHandled(self, more: int) -> None:
        """A hook begins to handle a message of `more` bytes; `more` is negative when it is done."""
        self.__handled += more
        self._note(MemoryUse.handled, self.__handled)

    def noteDeflating(self, size: int) -> None:
        """The message being deflated, and what waits behind it, take `size` bytes."""
        self._note(MemoryUse.deflated, size)

    def noteCollected(self, size: int) -> None:
        """An incomplete message that the protocol reads in pieces takes `size` bytes."""
        self._note(MemoryUse.collected, size)

    def noteUnsent(self) -> bool:
        """Returns whether bytes wait in the transport. If so, it reports their number from now on."""
        if not self._wire.unsent:
            return False
        self._wire.tellUnsent(self.__unsentIs)
        return True

    def __unsentIs(self, size: int) -> None:
        self._note(MemoryUse.unsent, size)

    def _note(self, part: MemoryUse, size: int) -> None:
        account = self.__account
        if account is None:
            if not size or self.state == self.STATE_CLOSED:
                return
            self.__account = account = self.factory.budget.open(self)
        account.put(part, size)
        if not account.size:
            self._closeAccount()

    def _closeAccount(self) -> None:
        """This connection keeps no memory any more."""
        account, self.__account = self.__account, None
        if account is not None:
            self.factory.budget.close(account)

    def relieve(self, size: int) -> None:
        """All connections together keep too much, and this one the most: close it, or drop it to free the memory."""
        self.__account = None
        if self.state != self.STATE_OPEN or self.unsent or self.__handled:
            self.drop(Cause.memory)
            return
        sentence = "the server has no memory left for this connection; try again later"
        self.close(CloseCode.TRY_AGAIN_LATER, sentence, Cause.memory)
        self.message_data = []
        self.frames.resumeReading()

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
        """The opening handshake took too long."""
        raise NotImplementedError

    def __stall(self, now: float) -> float:
        """Drop a peer that takes no byte for `stall_timeout` while some wait. Returns when to look again."""
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
        """Ping when it is time, and drop a peer that does not answer. Returns when to look again."""
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
                self.ping()
        return self._pingAt if self.__pinged is None else min(self.__pinged + policies.ping_timeout, self._pingAt)

    def __pingIsOnItsWay(self, now: float) -> bool:
        """Returns whether the peer still takes what was sent before the ping: then the whole time-out begins again."""
        seen, self.__pingSeen = self.__pingSeen, self._wire.acknowledged()
        if seen < self.__pingStart and seen != self.__pingSeen:
            self.__pinged = now
            return True
        return False

    def closeBegun(self) -> None:
        """The closing handshake has begun: read on to find the peer's close, and end after `closing_timeout`."""
        if self.held and self.state == self.STATE_CLOSING:
            self.held = 0
            self.transport.resumeProducing()
            self.frames.resumeReading()
        timer = self.factory.timer
        timer.schedule(self, timer.now + self.factory.policies.closing_timeout)

    def sendingEnded(self) -> None:
        """Nothing more is sent, so the transport need not tell us when it can take more."""
        self.transport.unregisterProducer()
