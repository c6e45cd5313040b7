"""
Session: one resource that is bound (RFC 6120 7), whether its stream is there at the moment or not.

What is sent to it is kept until it is acknowledged, when that matters: by stream management, or, from a client without
it, by the pong that answers a ping sent after it.
"""

from __future__ import annotations

from sys import getsizeof
from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IDelayedCall

from wsd.protocols.xmpp.framing import parse
from wsd.protocols.xmpp.ledger import weight
from wsd.protocols.xmpp.stanza import Element
from wsd.protocols.xmpp.streammanagement import SM, Entry, Inbound, Outbound, Receipt

if TYPE_CHECKING:
    from wsd.protocols.xmpp.server import Server
    from wsd.protocols.xmpp.user import User

_PATIENCE = 0.5
"""Seconds that who asks for an acknowledgement waits for the receivers', before what they have not got is stored."""

_MOST_OWED = 16
"""Limit of the bytes that wait for one session's acknowledgement, as a multiple of the largest message."""
_BASE = 4_000
"""Bytes of a session without any content."""

_REQUEST = Element(SM, "r").toXml()


class Link(Protocol):
    """The stream that a session has at the moment."""

    @property
    def address(self) -> str:
        """The client's address, as far as addresses are told apart."""

    @property
    def web(self) -> str:
        """The scheme and the authority of URLs by which its client comes here."""

    def write(self, xml: str) -> None:
        """Send."""

    def ping(self, payload: bytes) -> None:
        """Send a ping of the WebSocket's."""

    def supplant(self) -> None:
        """The session is another's now: end, and leave it alone."""


class Session:
    """A bound resource."""

    def __init__(self, server: Server, user: User, resource: str, link: Link) -> None:
        self.server = server
        self.user = user
        self.resource = resource
        self.jid = f"{user.bare}/{resource}"
        self.link: Link | None = link
        self.holder = link.address
        """The holder to whom its memory is charged while it has no stream."""
        self.held = 0
        """Bytes charged to the holder."""
        self.presence: Element | None = None
        """The presence that was broadcast last, while it is available."""
        self.priority = 0
        self.isInterested = False
        """Whether it asked for the roster, and is told of changes."""
        self.hearsBlocking = False
        self.hasCarbons = False
        self.directed: set[str] = set()
        """Whom it sent presence to."""
        self.rooms: dict[str, str] = {}
        """The rooms it is in, each with its name there."""
        self.inbound: Inbound | None = None
        """With stream management: what came."""
        self.outbound = Outbound()
        self.pinged = Outbound()
        """Without stream management: what a pong has to follow."""
        self.resumeId: str | None = None
        self.expiry: IDelayedCall | None = None
        """The end of a session without a stream."""
        self.isOwed = False
        """Whether more messages are stored for it than could be sent at once."""
        self.hasEnded = False
        self.isOverrun = False
        """Whether it is about to end because it reads nothing."""
        self._most = server.options.unacknowledged
        self._mostBytes = _MOST_OWED * server.options.max_stanza
        self._asked = False
        self._requested = False
        self._isPinging = False
        self._timer: IDelayedCall | None = None
        self._isAnswering = False

    @property
    def waiting(self) -> int:
        """Stanzas that it was sent, and has not acknowledged."""
        return len(self.outbound.queue) + len(self.pinged.queue)

    @property
    def owes(self) -> float:
        """How full its queue of unacknowledged stanzas is; more than 1 is too much."""
        return max(self.waiting / self._most, (self.outbound.size + self.pinged.size) / self._mostBytes)

    def weight(self) -> int:
        """Bytes of memory that it takes."""
        size = _BASE + self.outbound.size + self.pinged.size + sum(map(getsizeof, self.directed))
        return size if self.presence is None else size + weight(self.presence)

    # -- to the client --------------------------------------------------------------------------------------------

    def send(self, stanza: Element, receipt: Receipt | None = None, spooled: int = 0) -> None:
        """Send a stanza; `receipt` is its sender's, `spooled` the id under which it is stored already."""
        link = self.link
        if self.inbound is None and receipt is None and not spooled:
            if link is not None:
                link.write(stanza.toXml())
                self._ask()
            return
        entry = Entry(stanza.toXml(), receipt, spooled)
        outbound = self.pinged if self.inbound is None else self.outbound
        outbound.add(entry)
        if receipt is not None:
            receipt.entries.append((self, entry))
            if link is None:
                self.spool(entry)
        isTooMuch = len(outbound.queue) > self._most or outbound.size > self._mostBytes
        if isTooMuch or not (link is not None or self.server.holds(self, entry.size)):
            self.server.overrun(self)
        elif link is not None:
            link.write(entry.xml)
            self._ask()

    def _ask(self) -> None:
        """Ask what has arrived, one question at a time: the slower the client, the more one answer counts."""
        if self.link is None:
            return
        if self.outbound.queue and not self._requested:
            self._requested = True
            self.link.write(_REQUEST)
        if self.pinged.queue and not self._isPinging:
            self._isPinging = True
            self.link.ping(b"%d" % self.pinged.sent)

    def manage(self, inbound: Inbound) -> None:
        """From now on with stream management."""
        self.inbound = inbound

    def acknowledge(self, number: int) -> None:
        """The client has what was sent up to this number. Raises StreamError."""
        self._requested = False
        self._arrived(self.outbound, number)

    def ponged(self, number: int) -> None:
        """A pong says so. Raises StreamError."""
        self._isPinging = False
        self._arrived(self.pinged, number)

    def _arrived(self, outbound: Outbound, number: int) -> None:
        for entry in outbound.acknowledge(number):
            if entry.spooled:
                self.server.unspool(self.user, entry.spooled)
            self.settle(entry)
        if self.isOwed and not self.waiting:
            self.isOwed = False
            self.server.offline.deliver(self)
        self._ask()

    def spool(self, entry: Entry) -> None:
        """Store what its receiver has not acknowledged: then its sender's receipt need not wait."""
        receipt = entry.receipt
        if not entry.spooled:
            entry.spooled, number = self.server.spool(self.user, parse(entry.xml.encode(), self.server.storedCaps))
            if receipt is not None:
                receipt.number = max(receipt.number, number)
        self.settle(entry)

    def settle(self, entry: Entry) -> None:
        """An entry does not wait any more."""
        receipt, entry.receipt = entry.receipt, None
        if receipt is not None:
            receipt.entries.remove((self, entry))
            receipt.sender.progress()

    # -- from the client ------------------------------------------------------------------------------------------

    def begin(self) -> Receipt | None:
        """A stanza has come: its receipt, when the client wants acknowledgements."""
        if self.inbound is None:
            return None
        receipt = Receipt(self)
        self.inbound.open.append(receipt)
        return receipt

    def asked(self) -> None:
        """The client asks what was handled."""
        self._asked = True
        self.progress()
        if self._asked and not self._isAnswering and self._timer is None:
            self._timer = self.server.clock.callLater(_PATIENCE, self._impatient)

    def progress(self) -> None:
        """Something may count as handled now."""
        if self.inbound is None or not self.inbound.open:
            self._answer()
            return
        vault = self.server.vault
        self.inbound.advance(vault.written)
        if not self.inbound.open:
            self._answer()
        elif self._asked and all(not receipt.isOpen and not receipt.entries for receipt in self.inbound.open):
            vault.when(max(receipt.number for receipt in self.inbound.open), self.progress)

    def _impatient(self) -> None:
        """Who has not acknowledged by now may never do so."""
        self._timer = None
        if self.inbound is not None:
            for receipt in list(self.inbound.open):
                for session, entry in list(receipt.entries):
                    session.spool(entry)
        self.progress()

    def _answer(self) -> None:
        """Acknowledge, when that has been asked for; how far is kept first, for who resumes after a restart."""
        if not self._asked or self._isAnswering or self.inbound is None:
            return
        self._asked, self._isAnswering = False, True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        handled = self.inbound.handled
        number = self.server.keepCount(self)
        self.server.vault.when(number, lambda: self._answered(handled))

    def _answered(self, handled: int) -> None:
        self._isAnswering = False
        if self.link is not None:
            self.link.write(Element(SM, "a", {"h": str(handled)}).toXml())
        self.progress()

    def cease(self) -> None:
        """No timers after the end."""
        self.hasEnded = True
        self._stopExpiry()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def detach(self) -> None:
        """The stream is lost."""
        self.link = None
        self._requested = False
        self._stopExpiry()
        for entry in list(self.outbound.queue):
            if entry.receipt is not None:
                self.spool(entry)

    def attach(self, link: Link) -> None:
        """Another stream goes on: what was not acknowledged is sent again."""
        self.server.release(self)
        self.link, self.holder = link, link.address
        self._stopExpiry()
        for entry in list(self.outbound.queue):
            link.write(entry.xml)
        # Sent before stream management was enabled, and no pong will come any more.
        unanswered, self._isPinging = self.pinged.clear(), False
        for entry in unanswered:
            self.outbound.add(entry)
            link.write(entry.xml)
        self._ask()

    def _stopExpiry(self) -> None:
        if self.expiry is not None and self.expiry.active():
            self.expiry.cancel()
        self.expiry = None
