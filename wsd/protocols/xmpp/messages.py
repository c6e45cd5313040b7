"""Messages between users (RFC 6121 5 and 8.5)."""

from __future__ import annotations

from wsd.protocols.xmpp import carbons
from wsd.protocols.xmpp.accounts import Accounts
from wsd.protocols.xmpp.errors import StanzaError, errorOf
from wsd.protocols.xmpp.framing import parse
from wsd.protocols.xmpp.jid import JID, parseJid
from wsd.protocols.xmpp.offline import Offline
from wsd.protocols.xmpp.session import Session, User
from wsd.protocols.xmpp.settings import Settings
from wsd.protocols.xmpp.stanza import Element, mayBeAnswered
from wsd.protocols.xmpp.streammanagement import Receipt


class Messages:
    """Delivers messages to the sessions of their receivers, or stores them."""

    def __init__(self, settings: Settings, accounts: Accounts, offline: Offline) -> None:
        self._settings = settings
        self._accounts = accounts
        self._offline = offline

    async def receive(self, session: Session, stanza: Element, to: JID | None, receipt: Receipt | None) -> None:
        """Handle a message from a session to a user of this server. Raises StanzaError and StoreError."""
        sender = session.user
        if to is None:
            # RFC 6120 10.3.1: without an address, a message is for the sender's own account.
            to = parseJid(sender.bare)
            stanza.attrs["to"] = to.bare
        if not to.local:
            # The server itself takes no messages.
            if stanza.get("type") != "error":
                raise StanzaError("service-unavailable")
            return
        sender.refuseBlocked(to.full)
        carbons.copy(sender, stanza, "sent", [session])
        user = self._accounts.users.get(to.bare) or await self._accounts.find(to.bare)
        if user is None:
            raise StanzaError("service-unavailable", "there is no such user")
        self.deliver(user, to, stanza, receipt)

    def deliver(self, user: User, to: JID, stanza: Element, receipt: Receipt | None) -> None:
        """Deliver a message to a user (RFC 6121 8.5.2 and 8.5.3). Raises StanzaError."""
        if user.blocks(stanza.get("from")):
            raise StanzaError("service-unavailable", "there is no such user")
        messageType = stanza.get("type", "normal")
        session = user.sessions.get(to.resource) if to.resource else None
        if session is not None:
            chosen = [session]
        elif messageType == "groupchat":
            raise StanzaError("service-unavailable", "only a session can receive a groupchat")
        elif messageType == "error" or (to.resource and messageType == "headline"):
            return
        elif messageType == "headline":
            chosen = [each for each in user.available() if each.priority >= 0]
        else:
            chosen = user.best()
            if not chosen:
                self._offline.accept(user, stanza, receipt)
                return
        for each in chosen:
            each.send(stanza, receipt if messageType in ("chat", "normal") else None)
        carbons.copy(user, stanza, "received", chosen)

    def redeliver(self, user: User, xml: str, receipt: Receipt | None) -> None:
        """Deliver what an ended session has not acknowledged to the user's other sessions, or store it (XEP-0198 5)."""
        if not xml.startswith("<message"):
            return
        stanza = parse(xml.encode(), self._settings.storedLimits)
        if stanza.get("type") == "groupchat":
            return
        to, willing = parseJid(user.bare), user.best()
        try:
            if all(each.stream is not None and each.fullness < 0.5 for each in willing):
                self.deliver(user, to, stanza.copy(to=to.bare), receipt)
                return
            # Messages that overran one session must not overrun the next: they are stored, and sent when there is room.
            self._offline.accept(user, stanza, receipt)
            for each in willing:
                each.hasMoreStored = True
        except StanzaError as error:
            if mayBeAnswered(stanza):
                self._accounts.deliver(errorOf(stanza, error))
