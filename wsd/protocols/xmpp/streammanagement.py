"""
Stream management (XEP-0198): sent stanzas that are not acknowledged yet, and received ones to acknowledge.

A received stanza counts as handled when its effects are safe: written to the store, or acknowledged by the receivers.
The count never skips a stanza, so an acknowledgement waits for the oldest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.ledger import cost
from wsd.protocols.xmpp.stanza import STANZAS, Element

SM = "urn:xmpp:sm:3"

_ROUND = 1 << 32
"""Counters begin again at 2 ** 32 (XEP-0198 4)."""
_ENTRY = 100
"""Bytes of an entry besides its text."""
_PATIENCE = 0.5
"""Seconds for which the answer to <r/> waits for receivers. Stanzas they have not acknowledged by then are stored."""


class Receiver(Protocol):
    """The session that an entry was sent to."""

    def spool(self, entry: Entry) -> None:
        """Store the entry, so that its sender need not wait for the receiver."""


class WriteProgress(Protocol):
    """How far the writes to the store have come."""

    written: int

    def whenWritten(self, number: int, call: Callable[[], None]) -> None:
        """Call when all writes up to this number are on disk."""


class Receipt:
    """What has to happen before one stanza counts as handled: a write, and acknowledgements of receivers."""

    __slots__ = ("entries", "inbound", "isOpen", "number")

    def __init__(self, inbound: Inbound) -> None:
        self.inbound = inbound
        self.isOpen = True
        """Whether the stanza is still being processed, and may cause further writes."""
        self.number = 0
        """The last write that the stanza caused."""
        self.entries: list[Entry] = []
        """The copies of the stanza that receivers have not acknowledged."""

    def isSettled(self, written: int) -> bool:
        """Whether the stanza counts as handled once all writes up to `written` are on disk."""
        return not self.isOpen and not self.entries and self.number <= written

    def close(self, number: int = 0) -> None:
        """Called when the stanza is processed; `number` is the last write that it caused."""
        self.isOpen = False
        self.number = max(self.number, number)
        self.inbound.progress()


class Entry:
    """A sent stanza that is not acknowledged yet. It is kept as text, whose size in memory is known."""

    __slots__ = ("receipt", "receiver", "size", "spooled", "xml")

    def __init__(self, xml: str, receiver: Receiver, receipt: Receipt | None, spooled: int) -> None:
        self.xml = xml
        self.receiver = receiver
        self.receipt = receipt
        """The sender's receipt, which waits for this entry."""
        self.spooled = spooled
        """The id under which the stanza is stored, 0 if it is not."""
        self.size = cost(xml) + _ENTRY
        """Its cost in bytes."""

    def settle(self) -> None:
        """Stop the sender's receipt from waiting for this entry."""
        receipt, self.receipt = self.receipt, None
        if receipt is not None:
            receipt.entries.remove(self)
            receipt.inbound.progress()


class Inbound:
    """The stanzas received from a client, and the answers to its <r/>."""

    def __init__(
        self, clock: Any, writes: WriteProgress, keepCount: Callable[[int], int], write: Callable[[str], None]
    ) -> None:
        self.handled = 0
        self.receipts: deque[Receipt] = deque()
        """The stanzas that do not count as handled yet, oldest first."""
        self._clock = clock
        self._writes = writes
        self._keepCount = keepCount
        """Stores the count of handled stanzas. Returns the number of the write."""
        self._write = write
        self._isAsked = False
        self._isAnswering = False
        """Whether the count of an answer is being written; another <r/> may come meanwhile."""
        self._timer: IDelayedCall | None = None
        self._settling: list[Deferred[None]] = []

    def begin(self) -> Receipt:
        """Called when a stanza has arrived. Returns its receipt."""
        receipt = Receipt(self)
        self.receipts.append(receipt)
        return receipt

    def asked(self) -> None:
        """Called with an <r/>: the client asks how many stanzas were handled (XEP-0198 4)."""
        self._isAsked = True
        self.progress()
        if self._isAsked and not self._isAnswering and self._timer is None:
            self._timer = self._clock.callLater(_PATIENCE, self._impatient)

    def count(self) -> int:
        """Count the settled stanzas in the order of their arrival. Returns how many were handled."""
        receipts, written = self.receipts, self._writes.written
        while receipts and receipts[0].isSettled(written):
            receipts.popleft()
            self.handled = (self.handled + 1) % _ROUND
        return self.handled

    def progress(self) -> None:
        """Called when more stanzas may count as handled."""
        if self.receipts:
            self.count()
        if not self.receipts:
            self._answer()
            settling, self._settling = self._settling, []
            for waiting in settling:
                waiting.callback(None)
        elif (self._isAsked or self._settling) and all(
            not receipt.isOpen and not receipt.entries for receipt in self.receipts
        ):
            self._writes.whenWritten(max(receipt.number for receipt in self.receipts), self.progress)

    def stopTimer(self) -> None:
        """Stop waiting for the receivers."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _impatient(self) -> None:
        """Store what receivers have not acknowledged by now: they may never do so."""
        self._timer = None
        self._spool()
        self.progress()

    def _spool(self) -> None:
        for receipt in list(self.receipts):
            for entry in list(receipt.entries):
                entry.receiver.spool(entry)

    def settled(self) -> Deferred[None]:
        """
        Returns a Deferred that fires when all received stanzas were handled; the receivers are not waited for.

        A client that resumes sends every stanza again that was not handled (XEP-0198 5). None may be handled twice.
        """
        waiting: Deferred[None] = Deferred()
        self._settling.append(waiting)
        self._spool()
        self.progress()
        return waiting

    def _answer(self) -> None:
        """Answer a pending <r/> once the count is on disk, for a client that resumes after a restart."""
        if not self._isAsked or self._isAnswering:
            return
        self._isAsked, self._isAnswering = False, True
        self.stopTimer()
        handled = self.handled
        self._writes.whenWritten(self._keepCount(handled), lambda: self._answered(handled))

    def _answered(self, handled: int) -> None:
        self._isAnswering = False
        self._write(acknowledgement(handled))
        self.progress()


class Outbound:
    """The stanzas that were sent to a client and are not acknowledged yet."""

    __slots__ = ("acknowledged", "isAsked", "queue", "size")

    def __init__(self) -> None:
        self.acknowledged = 0
        self.isAsked = False
        """Whether the client was asked for an acknowledgement that has not come."""
        self.queue: deque[Entry] = deque()
        self.size = 0
        """The cost of the queue in bytes."""

    def add(self, entry: Entry) -> None:
        """Add a stanza that was sent."""
        self.queue.append(entry)
        self.size += entry.size

    def clear(self) -> list[Entry]:
        """Empty the queue. Returns its entries."""
        entries = list(self.queue)
        self.queue.clear()
        self.size = 0
        return entries

    @property
    def sent(self) -> int:
        """The number of the last stanza."""
        return (self.acknowledged + len(self.queue)) % _ROUND

    def acknowledge(self, number: int) -> list[Entry]:
        """
        Returns the entries that this number acknowledges for the first time. Raises StreamError, as `check` does.

        A number lower than before, which some clients send, is ignored.
        """
        self.check(number)
        count = (number - self.acknowledged) % _ROUND
        if count >= _ROUND // 2:
            return []
        self.acknowledged = number
        entries = [self.queue.popleft() for _ in range(count)]
        self.size -= sum(entry.size for entry in entries)
        return entries

    def check(self, number: int) -> None:
        """Raises StreamError if more is acknowledged than was sent (XEP-0198 4)."""
        if len(self.queue) < (number - self.acknowledged) % _ROUND < _ROUND // 2:
            counts = {"h": str(number), "send-count": str(self.sent)}
            raise StreamError(
                "undefined-condition",
                f"{number} is acknowledged, {self.sent} were sent",
                Element(SM, "handled-count-too-high", counts),
            )


def acknowledgement(handled: int) -> str:
    """An <a/>."""
    return Element(SM, "a", {"h": str(handled)}).toXml()


def numberOf(element: Element) -> int:
    """The h of an <a/> or <resume/>. Raises StreamError."""
    text = element.get("h")
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < _ROUND):
        raise StreamError("bad-format", "h is a whole number below 2 ** 32")
    return int(text)


def failed(condition: str, handled: int | None = None) -> Element:
    """A <failed/>; `handled` is how many stanzas of a stream that cannot be resumed were handled (XEP-0198 5)."""
    attrs = {} if handled is None else {"h": str(handled)}
    return Element(SM, "failed", attrs, Element(STANZAS, condition))
