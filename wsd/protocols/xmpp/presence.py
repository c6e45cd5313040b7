"""Presence (RFC 6121 3 and 4): who is told that a user is there, and the exchange of subscriptions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wsd.protocols.xmpp import roster
from wsd.protocols.xmpp.blocking import blocks
from wsd.protocols.xmpp.framing import StreamError, parse
from wsd.protocols.xmpp.jid import JID
from wsd.protocols.xmpp.ledger import weight
from wsd.protocols.xmpp.roster import ROSTER, Item
from wsd.protocols.xmpp.stanza import CLIENT, Element, StanzaError
from wsd.protocols.xmpp.values import number

if TYPE_CHECKING:
    from wsd.protocols.xmpp.server import Server
    from wsd.protocols.xmpp.session import Session
    from wsd.protocols.xmpp.user import User

SUBSCRIPTIONS = ("subscribe", "subscribed", "unsubscribe", "unsubscribed")

_MOST_DIRECTED = 1_000
"""Addresses that one session may have sent presence to."""


_MOST_PRESENCE = 32 * 1024
"""Limit in bytes of memory of one presence; each session, and each occupant of a room, has one."""
_WORDS = ((CLIENT, "status"), ("http://jabber.org/protocol/nick", "nick"))
_LONGEST = 1_023
"""Limit in characters of the text of a subscription request."""


def unavailable(sender: str, to: str = "") -> Element:
    """The presence of who is not there."""
    attrs = {"type": "unavailable", "from": sender}
    return Element(CLIENT, "presence", {**attrs, "to": to} if to else attrs)


def priorityOf(presence: Element) -> int:
    """Raises StanzaError."""
    told = presence.child(CLIENT, "priority")
    return 0 if told is None else number(told.text, "a priority", -128, 127)


def check(presence: Element) -> None:
    """Raises StanzaError for a presence that is too large to be passed on."""
    if weight(presence) > _MOST_PRESENCE:
        raise StanzaError("policy-violation", "this presence is too large")
    priorityOf(presence)


class Presence:
    """Presence among the users of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    # -- broadcast ------------------------------------------------------------------------------------------------

    def broadcast(self, session: Session, stanza: Element) -> None:
        """A session says that it is there, or how it is (RFC 6121 4.2, 4.4), or that it is not (4.5)."""
        if stanza.get("type") == "unavailable":
            self.leave(session, stanza)
            return
        session.priority = priorityOf(stanza)
        isFirst, session.presence = session.presence is None, stanza
        self._tell(session, stanza)
        if isFirst:
            self._learn(session)
            self._requests(session)
        if session.priority >= 0:
            self._server.offline.deliver(session)

    def leave(self, session: Session, stanza: Element | None = None) -> None:
        """A session is not available any more: all who believed it was are told."""
        gone = unavailable(session.jid) if stanza is None else stanza.copy(to=None)
        wasAvailable, session.presence = session.presence is not None, None
        if wasAvailable:
            self._tell(session, gone)
        directed, session.directed = session.directed, set()
        for address in directed:
            self._server.router.presence(gone.copy(to=address))

    def _tell(self, session: Session, stanza: Element) -> None:
        user = session.user
        for other in user.available():
            if other is not session or stanza.get("type") != "unavailable":
                other.send(stanza.copy(to=other.jid))
        for item in list(user.roster.values()):
            if item.hasFrom and not blocks(user, item.jid):
                contact = self._server.users.get(item.jid)
                # Both rosters have to agree, as those of two servers do not always.
                if contact is not None and not blocks(contact, session.jid):
                    contact.toOwn(stanza)

    def _learn(self, session: Session) -> None:
        """What the probes of RFC 6121 4.3 would find out."""
        user = session.user
        for other in user.available():
            if other is not session and other.presence is not None:
                session.send(other.presence.copy(to=session.jid))
        for item in user.roster.values():
            contact = self._server.users.get(item.jid) if item.hasTo else None
            if contact is not None:
                self._show(contact, session)

    def _show(self, contact: User, session: Session) -> None:
        if (
            contact.grants(session.user.bare)
            and not blocks(contact, session.jid)
            and not blocks(session.user, contact.bare)
        ):
            for other in contact.available():
                if other.presence is not None:
                    session.send(other.presence.copy(to=session.jid))

    def _requests(self, session: Session) -> None:
        """What was asked while the user was away (RFC 6121 3.1.3)."""
        for item in list(session.user.roster.values()):
            if item.request:
                self._ask(session, item)

    def _ask(self, session: Session, item: Item) -> None:
        try:
            request = parse(item.request.encode(), self._server.storedCaps)
        except (StreamError, ValueError) as error:
            self._server.aside.record(ROSTER, session.user.bare, item.jid, error)
            roster.keep(self._server, session.user, replace(item, request=""))
        else:
            session.send(request)

    def showAll(self, user: User, to: str) -> None:
        """Who has this bare address learns what there is to know of a user."""
        for session in user.available():
            if session.presence is not None:
                self._server.router.presence(session.presence.copy(to=to))

    def hideAll(self, user: User, to: str) -> None:
        """Who has this address is told that nobody is there."""
        for session in user.available():
            self._server.router.presence(unavailable(session.jid, to))

    # -- directed -------------------------------------------------------------------------------------------------

    def direct(self, session: Session, stanza: Element, to: JID) -> None:
        """Presence for one address alone (RFC 6121 4.6)."""
        if stanza.get("type") == "unavailable":
            session.directed.discard(to.full)
        elif not session.user.grants(to.bare):
            if len(session.directed) >= _MOST_DIRECTED:
                raise StanzaError("resource-constraint", f"presence goes to at most {_MOST_DIRECTED} addresses")
            session.directed.add(to.full)
        if to.domain not in self._server.domains:
            raise StanzaError("service-unavailable", f"{to.domain} is not served here")
        self._server.router.presence(stanza)

    # -- subscriptions --------------------------------------------------------------------------------------------

    async def subscription(self, user: User, stanza: Element, to: JID) -> None:
        """A user asks to see a contact, or lets a contact see (RFC 6121 3)."""
        type, contact = stanza.get("type"), to.bare
        if user.isAnonymous:
            # This user can never log in again, so a stored subscription would be of no use.
            raise StanzaError("not-allowed", "an anonymous user has no subscriptions")
        if contact == user.bare:
            return
        before = user.roster.get(contact, Item(contact))
        if type == "subscribe" and to.domain not in self._server.domains:
            raise StanzaError("service-unavailable", f"{to.domain} is not served here")
        after, goesOn = roster.sent(before, type)
        isNew = after.isListed and not before.isListed
        if isNew and sum(item.isListed for item in user.roster.values()) >= self._server.options.contacts:
            raise StanzaError("resource-constraint", "the roster is full")
        roster.keep(self._server, user, after)
        if not goesOn:
            return
        sent = stanza.copy(**{"from": user.bare, "to": contact})
        if type == "unsubscribed" and before.hasFrom:
            self.hideAll(user, contact)
        await self._arrive(user, sent, contact)
        if type == "subscribed":
            self.showAll(user, contact)

    async def _arrive(self, sender: User, stanza: Element, to: str) -> None:
        contact = await self._server.find(to)
        type = stanza.get("type")
        if contact is None or contact.isAnonymous:
            # RFC 6121 3.1.3: whether there is such a user is nobody's business; asking stays without an answer.
            return
        if blocks(contact, sender.bare):
            return
        before = contact.roster.get(sender.bare, Item(sender.bare))
        if type == "subscribe" and before.hasFrom:
            await self._answer(contact, sender)
            return
        if type == "subscribe":
            stanza = _request(stanza)
        xml = stanza.toXml()
        if type == "subscribe" and not self._hasPlaceFor(contact, xml):
            return
        after, isTold = roster.came(before, type, xml)
        roster.keep(self._server, contact, after)
        if type == "unsubscribe" and before.hasFrom:
            self.hideAll(contact, sender.bare)
        if isTold:
            for session in contact.available() if type == "subscribe" else contact.interested():
                session.send(stanza.copy(to=contact.bare))

    def _hasPlaceFor(self, user: User, request: str) -> bool:
        """Whether one more request may wait; a user is sent all of them at each login."""
        waiting = [len(item.request) for item in user.roster.values() if item.request]
        options = self._server.options
        return len(waiting) < options.contacts and sum(waiting) + len(request) <= options.max_stanza

    async def _answer(self, contact: User, sender: User) -> None:
        """The contact had agreed already: its server says so again (RFC 6121 3.1.3)."""
        attrs = {"type": "subscribed", "from": contact.bare, "to": sender.bare}
        await self._arrive(contact, Element(CLIENT, "presence", attrs), sender.bare)
        self.showAll(contact, sender.bare)


def _request(stanza: Element) -> Element:
    """A request as it is stored: with its text only."""
    asked = stanza.copy()
    named = (child for ns, name in _WORDS if (child := stanza.child(ns, name)) is not None)
    asked.children = [Element(child.ns, child.name, {}, child.text) for child in named if len(child.text) <= _LONGEST]
    return asked
