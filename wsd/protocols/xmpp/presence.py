"""Presence (RFC 6121 4): who sees that a user is available; and subscriptions to it (RFC 6121 3)."""

from __future__ import annotations

from dataclasses import replace

from wsd.protocols.xmpp.accounts import Accounts
from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.errors import StanzaError, StreamError
from wsd.protocols.xmpp.framing import parse
from wsd.protocols.xmpp.jid import JID, parseJid
from wsd.protocols.xmpp.ledger import weight
from wsd.protocols.xmpp.offline import Offline
from wsd.protocols.xmpp.quarantine import Quarantine
from wsd.protocols.xmpp.rooms.service import Rooms
from wsd.protocols.xmpp.roster import Rosters
from wsd.protocols.xmpp.rosteritem import ROSTER, RosterItem, afterInbound, afterOutbound
from wsd.protocols.xmpp.session import Session, User
from wsd.protocols.xmpp.settings import Settings
from wsd.protocols.xmpp.stanza import CLIENT, Element
from wsd.protocols.xmpp.values import number

SUBSCRIPTIONS = ("subscribe", "subscribed", "unsubscribe", "unsubscribed")

_MOST_DIRECTED = 1_000
"""Limit of the addresses to which one session may send directed presence."""
_MOST_BYTES = 32 * 1024
"""Limit in bytes of memory of one presence; each session, and each occupant of a room, keeps one."""
_REQUEST_TEXTS = ((CLIENT, "status"), ("http://jabber.org/protocol/nick", "nick"))
_LONGEST = 1_023
"""Limit in characters of the text of a subscription request."""


def unavailable(sender: str, to: str = "") -> Element:
    """Unavailable presence."""
    attrs = {"type": "unavailable", "from": sender}
    return Element(CLIENT, "presence", {**attrs, "to": to} if to else attrs)


def priorityOf(presence: Element) -> int:
    """The priority of a presence (RFC 6121 4.7.2.3). Raises StanzaError."""
    priority = presence.child(CLIENT, "priority")
    return 0 if priority is None else number(priority.text, "a priority", -128, 127)


def checkPresence(presence: Element) -> None:
    """Raises StanzaError for a presence that is too large to be passed on."""
    if weight(presence) > _MOST_BYTES:
        raise StanzaError("policy-violation", "this presence is too large")
    priorityOf(presence)


class Presence:
    """Presence among the users of a server."""

    def __init__(
        self,
        settings: Settings,
        store: AsyncStore,
        quarantine: Quarantine,
        accounts: Accounts,
        rosters: Rosters,
        offline: Offline,
        rooms: Rooms | None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._quarantine = quarantine
        self._accounts = accounts
        self._rosters = rosters
        self._offline = offline
        self._rooms = rooms

    async def receive(self, session: Session, stanza: Element, to: JID | None) -> None:
        """Handle presence from a session to all, or to a user of this server. Raises StanzaError and StoreError."""
        stanzaType = stanza.get("type")
        if to is None:
            if stanzaType not in ("", "unavailable"):
                raise StanzaError("bad-request", "this presence needs an address")
            self.broadcast(session, stanza)
            return
        if stanzaType in ("", "subscribe", "subscribed"):
            session.user.refuseBlocked(to.full)
        if stanzaType in SUBSCRIPTIONS:
            self._store.check()
            await self.subscription(session.user, stanza, to)
        elif stanzaType in ("", "unavailable"):
            self.direct(session, stanza, to)

    def deliver(self, stanza: Element) -> None:
        """Deliver presence to the user, session or room that it is addressed to, if there is one."""
        to = parseJid(stanza.get("to"))
        if self._rooms is not None and to.domain in self._rooms.domains:
            self._rooms.leave(stanza)
            return
        user = self._accounts.users.get(to.bare)
        if user is None or user.blocks(stanza.get("from")):
            return
        if not to.resource:
            user.sendToAvailable(stanza)
        elif to.resource in user.sessions:
            user.sessions[to.resource].send(stanza)

    # -- broadcast ------------------------------------------------------------------------------------------------

    def broadcast(self, session: Session, stanza: Element) -> None:
        """A session becomes available (RFC 6121 4.2), changes its presence (4.4) or becomes unavailable (4.5)."""
        if stanza.get("type") == "unavailable":
            self.leave(session, stanza)
            return
        session.priority = priorityOf(stanza)
        isFirst, session.presence = session.presence is None, stanza
        self._sendToAll(session, stanza)
        if isFirst:
            self._sendContacts(session)
            self._sendRequests(session)
        if session.priority >= 0:
            self._offline.deliver(session)

    def leave(self, session: Session, stanza: Element | None = None) -> None:
        """Make a session unavailable: everybody who has seen its presence is told."""
        gone = unavailable(session.jid) if stanza is None else stanza.copy(to=None)
        wasAvailable, session.presence = session.presence is not None, None
        if wasAvailable:
            self._sendToAll(session, gone)
        directed, session.directed = session.directed, set()
        for address in directed:
            self.deliver(gone.copy(to=address))

    def _sendToAll(self, session: Session, stanza: Element) -> None:
        """Send presence to the other sessions of the user, and to the contacts that may see it (RFC 6121 4.2.2)."""
        user = session.user
        for other in user.available():
            if other is not session or stanza.get("type") != "unavailable":
                other.send(stanza.copy(to=other.jid))
        for item in list(user.roster.values()):
            if item.hasFrom and not user.blocks(item.jid):
                contact = self._accounts.users.get(item.jid)
                # The contact may have blocked the user.
                if contact is not None and not contact.blocks(session.jid):
                    contact.sendToAvailable(stanza)

    def _sendContacts(self, session: Session) -> None:
        """Send a session the presence for which other servers send probes (RFC 6121 4.3)."""
        user = session.user
        for other in user.available():
            if other is not session and other.presence is not None:
                session.send(other.presence.copy(to=session.jid))
        for item in user.roster.values():
            contact = self._accounts.users.get(item.jid) if item.hasTo else None
            if contact is not None:
                self._sendContact(contact, session)

    def _sendContact(self, contact: User, session: Session) -> None:
        if (
            contact.grants(session.user.bare)
            and not contact.blocks(session.jid)
            and not session.user.blocks(contact.bare)
        ):
            for other in contact.available():
                if other.presence is not None:
                    session.send(other.presence.copy(to=session.jid))

    def _sendRequests(self, session: Session) -> None:
        """Send the subscription requests that wait for an answer (RFC 6121 3.1.3)."""
        for item in list(session.user.roster.values()):
            if item.request:
                self._sendRequest(session, item)

    def _sendRequest(self, session: Session, item: RosterItem) -> None:
        try:
            request = parse(item.request.encode(), self._settings.storedLimits)
        except (StreamError, ValueError) as error:
            self._quarantine.record(ROSTER, session.user.bare, item.jid, error)
            self._rosters.keep(session.user, replace(item, request=""))
        else:
            session.send(request)

    def showAll(self, user: User, to: str) -> None:
        """Send the presence of all available sessions of a user to a bare address."""
        for session in user.available():
            if session.presence is not None:
                self.deliver(session.presence.copy(to=to))

    def hideAll(self, user: User, to: str) -> None:
        """Tell an address that all sessions of a user are unavailable."""
        for session in user.available():
            self.deliver(unavailable(session.jid, to))

    # -- directed -------------------------------------------------------------------------------------------------

    def direct(self, session: Session, stanza: Element, to: JID) -> None:
        """Directed presence, for one address alone (RFC 6121 4.6)."""
        if stanza.get("type") == "unavailable":
            session.directed.discard(to.full)
        elif not session.user.grants(to.bare):
            if len(session.directed) >= _MOST_DIRECTED:
                raise StanzaError("resource-constraint", f"presence goes to at most {_MOST_DIRECTED} addresses")
            session.directed.add(to.full)
        if to.domain not in self._settings.domains:
            raise StanzaError("service-unavailable", f"{to.domain} is not served here")
        self.deliver(stanza)

    # -- subscriptions --------------------------------------------------------------------------------------------

    async def subscription(self, user: User, stanza: Element, to: JID) -> None:
        """A user sends a subscription stanza to a contact (RFC 6121 3). Raises StanzaError and StoreError."""
        stanzaType, contact = stanza.get("type"), to.bare
        if user.isAnonymous:
            # This user can never log in again, so a stored subscription would be of no use.
            raise StanzaError("not-allowed", "an anonymous user has no subscriptions")
        if contact == user.bare:
            return
        before = user.roster.get(contact, RosterItem(contact))
        if stanzaType == "subscribe" and to.domain not in self._settings.domains:
            raise StanzaError("service-unavailable", f"{to.domain} is not served here")
        after, isRouted = afterOutbound(before, stanzaType)
        isNew = after.isListed and not before.isListed
        if isNew and sum(item.isListed for item in user.roster.values()) >= self._settings.options.contacts:
            raise StanzaError("resource-constraint", "the roster is full")
        self._rosters.keep(user, after)
        if not isRouted:
            return
        passed = stanza.copy(**{"from": user.bare, "to": contact})
        if stanzaType == "unsubscribed" and before.hasFrom:
            self.hideAll(user, contact)
        await self._arriveAt(user, passed, contact)
        if stanzaType == "subscribed":
            self.showAll(user, contact)

    async def _arriveAt(self, sender: User, stanza: Element, to: str) -> None:
        """A subscription stanza arrives at the contact (RFC 6121 3.1.3, 3.1.6, 3.2.3, 3.3.3)."""
        contact = await self._accounts.find(to)
        stanzaType = stanza.get("type")
        if contact is None or contact.isAnonymous:
            # RFC 6121 3.1.3: no answer, since it would tell whether there is such a user.
            return
        if contact.blocks(sender.bare):
            return
        before = contact.roster.get(sender.bare, RosterItem(sender.bare))
        if stanzaType == "subscribe" and before.hasFrom:
            await self._approveAgain(contact, sender)
            return
        if stanzaType == "subscribe":
            stanza = _request(stanza)
        xml = stanza.toXml()
        if stanzaType == "subscribe" and not self._hasRoomFor(contact, xml):
            return
        after, isDelivered = afterInbound(before, stanzaType, xml)
        self._rosters.keep(contact, after)
        if stanzaType == "unsubscribe" and before.hasFrom:
            self.hideAll(contact, sender.bare)
        if isDelivered:
            for session in contact.available() if stanzaType == "subscribe" else contact.interested():
                session.send(stanza.copy(to=contact.bare))

    def _hasRoomFor(self, user: User, request: str) -> bool:
        """Whether one more request may wait. All of them are sent at each login."""
        waiting = [len(item.request) for item in user.roster.values() if item.request]
        options = self._settings.options
        return len(waiting) < options.contacts and sum(waiting) + len(request) <= options.max_stanza

    async def _approveAgain(self, contact: User, sender: User) -> None:
        """The contact has approved already, so its server answers (RFC 6121 3.1.3)."""
        attrs = {"type": "subscribed", "from": contact.bare, "to": sender.bare}
        await self._arriveAt(contact, Element(CLIENT, "presence", attrs), sender.bare)
        self.showAll(contact, sender.bare)


def _request(stanza: Element) -> Element:
    """A subscription request as it is stored: only its texts are kept."""
    asked = stanza.copy()
    named = (child for ns, name in _REQUEST_TEXTS if (child := stanza.child(ns, name)) is not None)
    asked.children = [Element(child.ns, child.name, {}, child.text) for child in named if len(child.text) <= _LONGEST]
    return asked
