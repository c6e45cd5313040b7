"""Messages for who is away (XEP-0160, XEP-0203): stored until a session has acknowledged them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wsd.protocols.xmpp.framing import parse
from wsd.protocols.xmpp.ledger import cost
from wsd.protocols.xmpp.stanza import CLIENT, Element, StanzaError
from wsd.protocols.xmpp.streammanagement import Receipt
from wsd.protocols.xmpp.user import OFFLINE

if TYPE_CHECKING:
    from wsd.protocols.xmpp.server import Server
    from wsd.protocols.xmpp.session import Session
    from wsd.protocols.xmpp.user import User

DELAY = "urn:xmpp:delay"
_MOST_BYTES = 64
"""What the messages that wait for one user cost, in messages of the largest size."""
_HINTS = "urn:xmpp:hints"
_STATES = "http://jabber.org/protocol/chatstates"


def stamp(seconds: float) -> str:
    """A time as XEP-0082 writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def delayed(stanza: Element, by: str, seconds: float) -> Element:
    """The stanza with the time at which it came, unless that is in it."""
    if any(child.ns == DELAY and child.get("from") == by for child in stanza.elements()):
        return stanza
    late = stanza.copy()
    late.children.append(Element(DELAY, "delay", {"from": by, "stamp": stamp(seconds)}))
    return late


def isKept(message: Element) -> bool:
    """Whether a message is worth keeping: one for a person, not a mere sign that somebody writes."""
    if message.get("type", "normal") not in ("chat", "normal"):
        return False
    if message.child(_HINTS, "no-store") or message.child(_HINTS, "no-permanent-store"):
        return False
    return any(not (child.ns == _STATES or child.name == "thread") for child in message.elements())


class Offline:
    """The messages that wait for users."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._held: set[int] = set()
        """Those that a session has been sent and has not acknowledged."""
        self._reading: set[str] = set()

    def keep(self, user: User, message: Element) -> tuple[int, int]:
        """Store one: its id, and the number of the write."""
        server = self._server
        id = server.newEntry()
        xml = delayed(message, user.bare.partition("@")[2], server.now()).toXml()
        user.waiting[id] = cost(xml)
        return id, server.vault.append(id, OFFLINE, user.bare, xml)

    def take(self, user: User, message: Element, receipt: Receipt | None) -> None:
        """A message for who is away. Raises StanzaError when it cannot be kept."""
        if user.isAnonymous:
            raise StanzaError("service-unavailable", "nobody is there")
        if not isKept(message):
            return
        options = self._server.options
        if len(user.waiting) >= options.offline or sum(user.waiting.values()) >= _MOST_BYTES * options.max_stanza:
            raise StanzaError("service-unavailable", "too many messages wait for this user")
        _, number = self.keep(user, message)
        if receipt is not None:
            receipt.number = max(receipt.number, number)

    def hold(self, id: int) -> None:
        """A session has it, and will be asked for it."""
        self._held.add(id)

    def letGo(self, id: int) -> None:
        """No session has it."""
        self._held.discard(id)

    def drop(self, user: User, id: int) -> None:
        """It has arrived."""
        self._held.discard(id)
        user.waiting.pop(id, None)
        self._server.vault.discard([id])

    def deliver(self, session: Session) -> None:
        """A session can take messages: send it those that wait."""
        user = session.user
        if user.isAnonymous or not user.waiting or user.bare in self._reading:
            return
        self._reading.add(user.bare)
        read = self._server.vault.entries(OFFLINE, user.bare)
        read.addCallback(lambda entries: self._send(session, entries))
        read.addBoth(lambda result: self._read(user, result))

    def _read(self, user: User, result: object) -> object:
        self._reading.discard(user.bare)
        return None

    def _send(self, session: Session, entries: list[tuple[int, str]]) -> None:
        if session.hasEnded or session.presence is None or session.priority < 0:
            return
        for id, xml in entries:
            if id not in self._held and id in session.user.waiting:
                if session.owes >= 0.5:
                    # The rest when those have arrived: more at once would be more than a session may owe us.
                    session.isOwed = True
                    return
                self._held.add(id)
                message = parse(xml.encode(), self._server.storedCaps)
                session.send(message.copy(to=session.jid) if message.ns == CLIENT else message, None, id)
