"""Messages for who is away (XEP-0160, XEP-0203): stored until a session has acknowledged them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.protocols.xmpp.ledger import cost
from wsd.protocols.xmpp.stanza import Element, StanzaError, errorOf, mayBeAnswered
from wsd.protocols.xmpp.store import StoreError, refusal
from wsd.protocols.xmpp.streammanagement import Receipt
from wsd.protocols.xmpp.user import OFFLINE

if TYPE_CHECKING:
    from wsd.protocols.xmpp.server import Server
    from wsd.protocols.xmpp.session import Session
    from wsd.protocols.xmpp.user import User

DELAY = "urn:xmpp:delay"
_MOST_BYTES = 64
"""Limit of the cost of one user's waiting messages, as a multiple of the largest message."""
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

    log = Logger(namespace="wsd")

    def __init__(self, server: Server) -> None:
        self._server = server
        self._held: set[int] = set()
        """Those that a session has been sent and has not acknowledged."""
        self._reading: set[str] = set()

    def keep(self, user: User, message: Element) -> tuple[int, int]:
        """Store one: its id, and the number of the write."""
        id, xml = self._entry(user, message)
        return id, self._server.vault.append(id, OFFLINE, user.bare, xml)

    def _entry(self, user: User, message: Element) -> tuple[int, str]:
        id = self._server.newEntry()
        xml = delayed(message, user.bare.partition("@")[2], self._server.now()).toXml()
        user.waiting[id] = cost(xml)
        return id, xml

    @staticmethod
    def _forget(user: User, id: int) -> None:
        user.waiting.pop(id, None)

    def take(self, user: User, message: Element, receipt: Receipt | None) -> None:
        """A message for who is away. Raises StanzaError when it cannot be kept."""
        if user.isAnonymous:
            raise StanzaError("service-unavailable", "nobody is there")
        if not isKept(message):
            return
        options = self._server.options
        if len(user.waiting) >= options.offline or sum(user.waiting.values()) >= _MOST_BYTES * options.max_stanza:
            raise StanzaError("service-unavailable", "too many messages wait for this user")
        vault = self._server.vault
        id, xml = self._entry(user, message)
        stored = vault.read(lambda store: store.append(id, OFFLINE, user.bare, xml), owner=user.bare)
        stored.addErrback(self._refuse, user, id, message)
        if receipt is not None:
            receipt.number = max(receipt.number, vault.asked)

    def _refuse(self, failure: Failure, user: User, id: int, message: Element) -> None:
        """Tell the sender that a message could not be stored."""
        self._forget(user, id)
        fault = failure.value if isinstance(failure.value, StoreError) else StoreError(failure.getErrorMessage())
        if mayBeAnswered(message):
            self._server.router.deliver(errorOf(message, refusal(fault)))

    def hold(self, id: int) -> None:
        """A session has it, and will be asked for it."""
        self._held.add(id)

    def letGo(self, id: int) -> None:
        """No session has it."""
        self._held.discard(id)

    def drop(self, user: User, id: int) -> None:
        """It has arrived."""
        self._held.discard(id)
        self._forget(user, id)
        self._server.vault.discard([id], user.bare)

    def deliver(self, session: Session) -> None:
        """A session can take messages: send it those that wait."""
        user = session.user
        if user.isAnonymous or not user.waiting or user.bare in self._reading:
            return
        self._reading.add(user.bare)
        read = self._server.vault.entries(OFFLINE, user.bare)
        read.addCallback(lambda entries: self._send(session, entries))
        read.addErrback(self._unsent, session)
        read.addBoth(lambda _: self._reading.discard(user.bare))

    def _unsent(self, failure: Failure, session: Session) -> None:
        """Waiting messages are sent when the store can be read again."""
        session.isOwed = True
        if not failure.check(StoreError):
            self.log.failure("stored messages could not be sent to their user", failure, event="xmpp.store")

    def _send(self, session: Session, entries: list[tuple[int, str]]) -> None:
        if session.hasEnded or session.presence is None or session.priority < 0:
            return
        for id, xml in entries:
            if id not in self._held and id in session.user.waiting:
                if session.owes >= 0.5:
                    # The rest when those have arrived: more at once would be more than a session may owe us.
                    session.isOwed = True
                    return
                message = self._server.aside.message(OFFLINE, session.user.bare, id, xml)
                if message is None:
                    self._forget(session.user, id)
                    continue
                self._held.add(id)
                session.send(message.copy(to=session.jid), None, id)
