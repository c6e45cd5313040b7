"""
Users and their sessions: one session for each bound resource (RFC 6120 7), with or without a stream.

A stanza that must not be lost is kept until the client acknowledges it: with stream management, or, from a client
without it, by the pong that answers a ping sent after the stanza.
"""

from __future__ import annotations

from enum import Enum, auto
from sys import getsizeof
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from wsd.logs import ConnectionLog
from wsd.protocols.xmpp.boundstream import BoundStream
from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.ledger import Ledger, weight
from wsd.protocols.xmpp.options import XmppOptions
from wsd.protocols.xmpp.records import StoredUser
from wsd.protocols.xmpp.rosteritem import RosterItem
from wsd.protocols.xmpp.stanza import CLIENT, Element
from wsd.protocols.xmpp.streammanagement import SM, Entry, Inbound, Outbound, Receipt

_MOST_UNACKNOWLEDGED = 16
"""Limit of the bytes that wait for one session's acknowledgement, as a multiple of the largest message."""
_BASE = 4_000
"""Bytes of a session without any content."""

_BLOCKED = "urn:xmpp:blocking:errors"
_REQUEST = Element(SM, "r").toXml()

_log = Logger(namespace="wsd")


class Spool(Protocol):
    """The part that stores stanzas until a session has acknowledged them."""

    def store(self, user: User, xml: str) -> tuple[int, int]:
        """Store a stanza. Returns its id and the number of the write; both are 0 if it need not be stored."""

    def drop(self, user: User, entryId: int) -> None:
        """Forget a stanza, because it has arrived."""

    def deliver(self, session: Session) -> None:
        """Send the stanzas that wait for the user."""


class Overseer(Protocol):
    """The part that ends sessions."""

    def overrun(self, session: Session) -> None:
        """End a session that does not read, once the present stanza has been sent to everybody."""


class User:
    """A user in memory."""

    def __init__(self, bare: str, isAnonymous: bool, stored: StoredUser) -> None:
        self.bare = bare
        self.isAnonymous = isAnonymous
        self.roster = {jid: RosterItem.read(jid, value) for jid, value in stored.roster.items()}
        self.blocked = set(stored.blocked)
        self.waiting = stored.waiting
        """The cost in bytes of each stored message, by its id."""
        self.sessions: dict[str, Session] = {}
        """By resource."""

    def available(self) -> list[Session]:
        """The sessions that have broadcast presence."""
        return [session for session in self.sessions.values() if session.presence is not None]

    def best(self) -> list[Session]:
        """The available sessions of the highest priority, unless that is negative (RFC 6121 8.5.2.1.1)."""
        willing = [session for session in self.available() if session.priority >= 0]
        highest = max((session.priority for session in willing), default=0)
        return [session for session in willing if session.priority == highest]

    def interested(self) -> list[Session]:
        """The sessions that asked for the roster (RFC 6121 2.2)."""
        return [session for session in self.sessions.values() if session.isInterested]

    def grants(self, jid: str) -> bool:
        """Whether this bare address may see the user's presence."""
        return jid == self.bare or (jid in self.roster and self.roster[jid].hasFrom)

    def blocks(self, address: str) -> bool:
        """Whether the block list has the address, its bare form, its domain, or domain/resource (XEP-0191 6)."""
        if not self.blocked:
            return False
        jid = parseJid(address)
        withResource = f"{jid.domain}/{jid.resource}"
        return not self.blocked.isdisjoint((jid.full, jid.bare, jid.domain, withResource))

    def refuseBlocked(self, to: str) -> None:
        """Raises StanzaError if the user sends to an address that it has blocked (XEP-0191 3.3)."""
        if self.blocks(to):
            raise StanzaError("not-acceptable", "the user has blocked this address", Element(_BLOCKED, "blocked"))

    def sendToAvailable(self, stanza: Element) -> None:
        """Send a stanza to each available session."""
        for session in self.available():
            session.send(stanza.copy(to=session.jid))


class SessionState(Enum):
    """Where a session is between its binding and its end."""

    ATTACHED = auto()
    """It has a stream."""
    DETACHED = auto()
    """Its stream is lost, and may be resumed until `Session.expiry`."""
    OVERRUN = auto()
    """It has too many unacknowledged stanzas, and is about to end."""
    ENDED = auto()


class Session:
    """A bound resource of a user."""

    def __init__(
        self,
        user: User,
        resource: str,
        stream: BoundStream,
        options: XmppOptions,
        memory: Ledger,
        spool: Spool,
        overseer: Overseer,
    ) -> None:
        self.user = user
        self.resource = resource
        self.jid = f"{user.bare}/{resource}"
        self.state = SessionState.ATTACHED
        self.stream: BoundStream | None = stream
        self.expiry: IDelayedCall | None = None
        """The end of a detached session."""
        self.resumeId: str | None = None
        """The id by which the session may be resumed, None if it may not."""
        # What the client has sent or asked for.
        self.presence: Element | None = None
        """The last presence that it broadcast, None while it is unavailable."""
        self.priority = 0
        self.directed: set[str] = set()
        """Addresses that were sent directed presence (RFC 6121 4.6)."""
        self.isInterested = False
        """Whether it asked for the roster, and so gets its changes (RFC 6121 2.2)."""
        self.wantsBlockPushes = False
        """Whether it asked for the block list, and so gets its changes."""
        self.hasCarbons = False
        self.rooms: dict[str, str] = {}
        """The nickname in each room that it is in, by the room's address."""
        # What is not acknowledged.
        self.inbound: Inbound | None = None
        """The stanzas received, with stream management."""
        self.outbound = Outbound()
        """The unacknowledged stanzas, with stream management."""
        self.pinged = Outbound()
        """The stanzas that a pong acknowledges, without stream management."""
        self.hasMoreStored = False
        """Whether more messages are stored for it, which are sent when it has acknowledged the others."""
        self.holder = stream.client.address
        """The holder to whom its memory is charged while it has no stream."""
        self.held = 0
        """Bytes charged to the holder."""
        self._counted = 0
        """Unacknowledged bytes that are counted while it has a stream."""
        self._most = options.unacknowledged
        self._mostBytes = _MOST_UNACKNOWLEDGED * options.max_stanza
        self._memory = memory
        self._spool = spool
        self._overseer = overseer
        self._pushes = 0

    @property
    def log(self) -> ConnectionLog | Logger:
        """The log of its connection, that of the daemon while there is none."""
        return _log if self.stream is None else self.stream.log

    @property
    def unacknowledged(self) -> int:
        """The number of stanzas that were sent and are not acknowledged."""
        return len(self.outbound.queue) + len(self.pinged.queue)

    @property
    def fullness(self) -> float:
        """How full the queue of unacknowledged stanzas is; more than 1 is too much."""
        return max(self.unacknowledged / self._most, (self.outbound.size + self.pinged.size) / self._mostBytes)

    # -- sending --------------------------------------------------------------------------------------------------

    def send(self, stanza: Element, receipt: Receipt | None = None, spooled: int = 0) -> None:
        """Send a stanza; `receipt` is its sender's, `spooled` the id under which it is stored already."""
        stream = self.stream
        if self.inbound is None and receipt is None and not spooled:
            if stream is not None:
                stream.write(stanza.toXml())
                self._ask()
            return
        entry = Entry(stanza.toXml(), self, receipt, spooled)
        outbound = self.pinged if self.inbound is None else self.outbound
        outbound.add(entry)
        self._count()
        if receipt is not None:
            receipt.entries.append(entry)
            if stream is None:
                self.spool(entry)
        isTooMuch = len(outbound.queue) > self._most or outbound.size > self._mostBytes
        if isTooMuch or not (stream is not None or self.hold(entry.size)):
            self._overseer.overrun(self)
        elif stream is not None:
            stream.write(entry.xml)
            self._ask()

    def push(self, payload: Element) -> None:
        """Send a change of the roster or of the block list (RFC 6121 2.1.6, XEP-0191 3.3)."""
        self._pushes += 1
        attrs = {"type": "set", "id": f"push{self._pushes}", "to": self.jid}
        self.send(Element(CLIENT, "iq", attrs, payload))

    def write(self, xml: str) -> None:
        """Write to the stream, if there is one."""
        if self.stream is not None:
            self.stream.write(xml)

    # -- acknowledgements -----------------------------------------------------------------------------------------

    def begin(self) -> Receipt | None:
        """Called when a stanza has arrived. Returns its receipt, None without stream management."""
        return None if self.inbound is None else self.inbound.begin()

    def acknowledge(self, number: int) -> None:
        """Called with the number of an <a/>: the client has the stanzas up to it. Raises StreamError."""
        self._arrived(self.outbound, number)

    def ponged(self, number: int) -> None:
        """Called with the number of a pong: the client has the stanzas up to it. Raises StreamError."""
        self._arrived(self.pinged, number)

    def spool(self, entry: Entry) -> None:
        """Store an unacknowledged stanza, so that its sender's receipt need not wait."""
        if not entry.spooled:
            entry.spooled, number = self._spool.store(self.user, entry.xml)
            if entry.receipt is not None:
                entry.receipt.number = max(entry.receipt.number, number)
        entry.settle()

    def _ask(self) -> None:
        """Ask for an acknowledgement, one at a time: the slower the client, the more stanzas one answer covers."""
        stream = self.stream
        if stream is None:
            return
        if self.outbound.queue and not self.outbound.isAsked:
            self.outbound.isAsked = True
            stream.write(_REQUEST)
        if self.pinged.queue and not self.pinged.isAsked:
            self.pinged.isAsked = True
            stream.ping(b"%d" % self.pinged.sent)

    def _arrived(self, outbound: Outbound, number: int) -> None:
        outbound.isAsked = False
        for entry in outbound.acknowledge(number):
            if entry.spooled:
                self._spool.drop(self.user, entry.spooled)
            entry.settle()
        self._count()
        self.deliverStored()
        self._ask()

    def deliverStored(self) -> None:
        """Send the stored messages that could not be sent before, if everything else has arrived."""
        if self.hasMoreStored and not self.unacknowledged:
            self.hasMoreStored = False
            self._spool.deliver(self)

    # -- with and without a stream --------------------------------------------------------------------------------

    def attach(self, stream: BoundStream) -> None:
        """Go on with another stream: what was not acknowledged is sent again (XEP-0198 5)."""
        self.release()
        self.stream, self.holder = stream, stream.client.address
        if self.state is SessionState.DETACHED:
            self.state = SessionState.ATTACHED
        self._stopExpiry()
        for entry in list(self.outbound.queue):
            stream.write(entry.xml)
        # Stanzas from before stream management was enabled: their pong will not come.
        unanswered, self.pinged.isAsked = self.pinged.clear(), False
        for entry in unanswered:
            self.outbound.add(entry)
            stream.write(entry.xml)
        self._ask()

    def detach(self) -> None:
        """The stream is lost: store the unacknowledged stanzas whose senders wait for them."""
        self.stream = None
        if self.state is SessionState.ATTACHED:
            self.state = SessionState.DETACHED
        self.outbound.isAsked = False
        self._stopExpiry()
        for entry in list(self.outbound.queue):
            if entry.receipt is not None:
                self.spool(entry)

    def end(self) -> None:
        """End the session, and stop its timers."""
        self.state = SessionState.ENDED
        self._count()
        self._stopExpiry()
        if self.inbound is not None:
            self.inbound.stopTimer()

    def _stopExpiry(self) -> None:
        if self.expiry is not None and self.expiry.active():
            self.expiry.cancel()
        self.expiry = None

    # -- memory ---------------------------------------------------------------------------------------------------

    def _count(self) -> None:
        """Count what is not acknowledged, unless the holder is charged with it already."""
        size = 0 if self.held or self.state is SessionState.ENDED else self.outbound.size + self.pinged.size
        if size != self._counted:
            self._memory.takeConnected(size - self._counted)
            self._counted = size

    def weight(self) -> int:
        """The bytes of memory that the session takes."""
        size = _BASE + self.outbound.size + self.pinged.size + sum(map(getsizeof, self.directed))
        return size if self.presence is None else size + weight(self.presence)

    def hold(self, size: int) -> bool:
        """Charge the holder with `size` bytes more. Returns False if the limit does not allow it."""
        if self.state is SessionState.ENDED:
            return True
        if not self._memory.admits(self.holder, size):
            return False
        self._memory.take(self.holder, size)
        self.held += size
        self._count()
        return True

    def release(self) -> None:
        """Give back everything held."""
        self._memory.take(self.holder, -self.held)
        self.held = 0
        self._count()
