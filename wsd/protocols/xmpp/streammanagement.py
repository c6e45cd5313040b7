"""
Stream management (XEP-0198): what was sent and not acknowledged, and what may be acknowledged of what has come.

A stanza that has come counts as handled when what it caused is kept: written to the store, or acknowledged by its
receiver. No acknowledgement counts a later one before that.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from wsd.protocols.xmpp.framing import StreamError
from wsd.protocols.xmpp.ledger import cost
from wsd.protocols.xmpp.stanza import STANZAS, Element

if TYPE_CHECKING:
    from wsd.protocols.xmpp.session import Session

SM = "urn:xmpp:sm:3"

_ROUND = 1 << 32
"""Counters begin again at 2 ** 32."""
_ENTRY = 100
"""Bytes of an entry besides its text."""


class Receipt:
    """What has to happen before one stanza counts as handled: a write, and receivers that acknowledge."""

    __slots__ = ("entries", "isOpen", "number", "sender")

    def __init__(self, sender: Session) -> None:
        self.sender = sender
        self.isOpen = True
        """Whether it is still being processed, and may cause further writes."""
        self.number = 0
        """The last write it caused."""
        self.entries: list[tuple[Session, Entry]] = []
        """Where it waits for an acknowledgement."""

    def isSettled(self, written: int) -> bool:
        """Whether it counts."""
        return not self.isOpen and not self.entries and self.number <= written


class Entry:
    """A sent stanza that is not acknowledged yet, kept as text, whose size in memory is known."""

    __slots__ = ("receipt", "size", "spooled", "xml")

    def __init__(self, xml: str, receipt: Receipt | None, spooled: int) -> None:
        self.xml = xml
        self.receipt = receipt
        self.spooled = spooled
        """The id of what is stored of it, 0 for nothing."""
        self.size = cost(xml) + _ENTRY
        """Its cost in bytes."""


class Inbound:
    """What has come from a client."""

    __slots__ = ("handled", "open")

    def __init__(self) -> None:
        self.handled = 0
        self.open: deque[Receipt] = deque()

    def advance(self, written: int) -> None:
        """Count what is settled, in the order in which it came."""
        while self.open and self.open[0].isSettled(written):
            self.open.popleft()
            self.handled = (self.handled + 1) % _ROUND


class Outbound:
    """What was sent to a client."""

    __slots__ = ("acknowledged", "queue", "size")

    def __init__(self) -> None:
        self.acknowledged = 0
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
        The stanzas that this acknowledges for the first time. Raises StreamError, as `check`.

        Some clients acknowledge less than before, which is ignored.
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
        """Raises StreamError if more is acknowledged than was sent."""
        if len(self.queue) < (number - self.acknowledged) % _ROUND < _ROUND // 2:
            raise TooHigh(number, self.sent)


class TooHigh(StreamError):
    """A client acknowledges what was never sent."""

    def __init__(self, number: int, sent: int) -> None:
        super().__init__("undefined-condition", f"{number} is acknowledged, {sent} were sent")
        self._attrs = {"h": str(number), "send-count": str(sent)}

    def element(self) -> Element:
        """As it is sent."""
        told = super().element()
        told.children.append(Element(SM, "handled-count-too-high", self._attrs))
        return told


def numberOf(element: Element) -> int:
    """The h of an <a/> or <resume/>. Raises StreamError."""
    text = element.get("h")
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < _ROUND):
        raise StreamError("bad-format", "h is a whole number below 2 ** 32")
    return int(text)


def failed(condition: str, handled: int | None = None) -> Element:
    """The answer to what cannot be had; `handled` is what had been handled of a stream that is gone."""
    attrs = {} if handled is None else {"h": str(handled)}
    return Element(SM, "failed", attrs, Element(STANZAS, condition))
