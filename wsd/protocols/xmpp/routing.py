"""Routing: where a stanza goes (RFC 6120 10, RFC 6121 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsd.protocols.xmpp import carbons, forgery, presence
from wsd.protocols.xmpp.blocking import blocks, refuseBlocked
from wsd.protocols.xmpp.framing import StreamError, parse
from wsd.protocols.xmpp.jid import JID, parseJid
from wsd.protocols.xmpp.presence import SUBSCRIPTIONS
from wsd.protocols.xmpp.stanza import CLIENT, KINDS, Element, StanzaError, errorOf, mayBeAnswered
from wsd.protocols.xmpp.store import StoreError, refusal
from wsd.protocols.xmpp.streammanagement import Receipt

if TYPE_CHECKING:
    from wsd.protocols.xmpp.server import Server
    from wsd.protocols.xmpp.session import Session
    from wsd.protocols.xmpp.user import User

_TYPES = {
    "message": ("chat", "error", "groupchat", "headline", "normal", ""),
    "presence": ("", "unavailable", "error", "probe", *SUBSCRIPTIONS),
    "iq": ("get", "set", "result", "error"),
}


def check(session: Session, stanza: Element) -> None:
    """Raises StreamError for what is no stanza of this session's."""
    if stanza.ns != CLIENT:
        raise StreamError("invalid-namespace", f"a stanza's namespace is {CLIENT}")
    if stanza.name not in KINDS:
        raise StreamError("unsupported-stanza-type", "a stanza is a message, a presence or an iq")
    sender = stanza.get("from")
    if sender and sender not in (session.jid, session.user.bare):
        try:
            isOwn = parseJid(sender).full in (session.jid, session.user.bare)
        except ValueError:
            isOwn = False
        if not isOwn:
            raise StreamError("invalid-from", f"this session is {session.jid}")


class Router:
    """Takes stanzas from sessions, and brings stanzas to sessions."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def receive(self, session: Session, stanza: Element, receipt: Receipt | None) -> None:
        """A checked stanza from a session. A refusal is answered, where that may be."""
        before = self._server.vault.asked
        stanza.attrs["from"] = session.jid
        try:
            await self._receive(session, stanza, receipt)
        except StanzaError as error:
            _refuse(session, stanza, error)
        except StoreError as fault:
            _refuse(session, stanza, refusal(fault))
        if receipt is not None:
            receipt.isOpen = False
            # Whatever it has had written has to be kept before it counts.
            after = self._server.vault.asked
            if after != before:
                receipt.number = max(receipt.number, after)
            session.progress()

    async def _receive(self, session: Session, stanza: Element, receipt: Receipt | None) -> None:
        if stanza.get("type") not in _TYPES[stanza.name]:
            if stanza.name != "message":
                raise StanzaError("bad-request", f"there is no such type of {stanza.name}")
            # RFC 6121 5.2.2: a type that is not known is a normal message.
            del stanza.attrs["type"]
        if stanza.name == "presence":
            presence.check(stanza)
        to = _addressOf(stanza)
        if stanza.name != "iq":
            isForRoom = to is not None and self._server.rooms is not None and to.domain in self._server.rooms.domains
            forgery.strip(stanza, self._server.ownDomains, isForRoom)
        if to is not None and to.domain not in self._server.domains:
            await self._elsewhere(session, stanza, to, receipt)
        elif stanza.name == "message":
            await self._message(session, stanza, to, receipt)
        elif stanza.name == "presence":
            await self._presence(session, stanza, to)
        else:
            await self._iq(session, stanza, to)

    async def _elsewhere(self, session: Session, stanza: Element, to: JID, receipt: Receipt | None) -> None:
        rooms = self._server.rooms
        if rooms is not None and to.domain in rooms.domains:
            refuseBlocked(session.user, to.full)
            await rooms.receive(session, stanza, to, receipt)
        elif stanza.name == "presence" and stanza.get("type") not in ("", "subscribe"):
            return
        else:
            raise StanzaError("service-unavailable", f"{to.domain} is not served here")

    # -- messages -------------------------------------------------------------------------------------------------

    async def _message(self, session: Session, stanza: Element, to: JID | None, receipt: Receipt | None) -> None:
        if to is None:
            to = parseJid(session.user.bare)
            stanza.attrs["to"] = to.bare
        if not to.local:
            # To the server itself, which does not talk.
            if stanza.get("type") != "error":
                raise StanzaError("service-unavailable")
            return
        refuseBlocked(session.user, to.full)
        carbons.copy(session.user, stanza, "sent", [session])
        user = self._server.users.get(to.bare) or await self._server.find(to.bare)
        if user is None:
            raise StanzaError("service-unavailable", "there is no such user")
        self.message(user, to, stanza, receipt)

    def message(self, user: User, to: JID, stanza: Element, receipt: Receipt | None) -> None:
        """Bring a message to a user (RFC 6121 8.5.2 and 8.5.3). Raises StanzaError."""
        if blocks(user, stanza.get("from")):
            raise StanzaError("service-unavailable", "there is no such user")
        type = stanza.get("type", "normal")
        session = user.sessions.get(to.resource) if to.resource else None
        if session is not None:
            chosen = [session]
        elif type == "groupchat":
            raise StanzaError("service-unavailable", "a groupchat is for who is in the room")
        elif type == "error" or (to.resource and type == "headline"):
            return
        elif type == "headline":
            chosen = [each for each in user.available() if each.priority >= 0]
        else:
            chosen = user.best()
            if not chosen:
                self._server.offline.take(user, stanza, receipt)
                return
        for each in chosen:
            each.send(stanza, receipt if type in ("chat", "normal") else None)
        carbons.copy(user, stanza, "received", chosen)

    def again(self, user: User, xml: str, receipt: Receipt | None) -> None:
        """A message that a session which is gone has not got: for the others, or kept (XEP-0198 5)."""
        if not xml.startswith("<message"):
            return
        stanza = parse(xml.encode(), self._server.storedCaps)
        if stanza.get("type") == "groupchat":
            return
        to, willing = parseJid(user.bare), user.best()
        try:
            if all(each.link is not None and each.owes < 0.5 for each in willing):
                self.message(user, to, stanza.copy(to=to.bare), receipt)
                return
            # Messages that overran one session must not overrun the next: they are sent when there is room.
            self._server.offline.take(user, stanza, receipt)
            for each in willing:
                each.isOwed = True
        except StanzaError as error:
            if mayBeAnswered(stanza):
                self.deliver(errorOf(stanza, error))

    # -- presence -------------------------------------------------------------------------------------------------

    async def _presence(self, session: Session, stanza: Element, to: JID | None) -> None:
        type, told = stanza.get("type"), self._server.presence
        if to is None:
            if type not in ("", "unavailable"):
                raise StanzaError("bad-request", "this presence needs an address")
            told.broadcast(session, stanza)
            return
        if type in ("", "subscribe", "subscribed"):
            refuseBlocked(session.user, to.full)
        if type in SUBSCRIPTIONS:
            self._server.vault.check()
            await told.subscription(session.user, stanza, to)
        elif type in ("", "unavailable"):
            told.direct(session, stanza, to)

    def presence(self, stanza: Element) -> None:
        """Bring presence to whom it is addressed to, if it is somebody here."""
        to = parseJid(stanza.get("to"))
        if self._server.rooms is not None and to.domain in self._server.rooms.domains:
            self._server.rooms.leave(stanza)
            return
        user = self._server.users.get(to.bare)
        if user is None or blocks(user, stanza.get("from")):
            return
        if not to.resource:
            user.toOwn(stanza)
        elif to.resource in user.sessions:
            user.sessions[to.resource].send(stanza)

    # -- iq -------------------------------------------------------------------------------------------------------

    async def _iq(self, session: Session, stanza: Element, to: JID | None) -> None:
        children = list(stanza.elements())
        if not stanza.get("id"):
            raise StanzaError("bad-request", "an iq has an id")
        isRequest = stanza.get("type") in ("get", "set")
        if isRequest and len(children) != 1:
            raise StanzaError("bad-request", "a request has one child")
        if to is not None and to.resource and to.local:
            refuseBlocked(session.user, to.full)
            forgery.refusePush(stanza)
            user = self._server.users.get(to.bare)
            target = None if user is None else user.sessions.get(to.resource)
            if user is None or target is None or blocks(user, session.jid):
                raise StanzaError("service-unavailable", "nobody is there")
            target.send(stanza)
        elif isRequest:
            await self._server.queries.answer(session, stanza, children[0], to)

    def deliver(self, stanza: Element) -> None:
        """Bring a stanza to the one session that it is addressed to, if there is one."""
        session = self._server.sessionOf(stanza.get("to"))
        if session is not None:
            session.send(stanza)


def _refuse(session: Session, stanza: Element, error: StanzaError) -> None:
    if mayBeAnswered(stanza):
        session.send(errorOf(stanza, error))


def _addressOf(stanza: Element) -> JID | None:
    """Whom it is for, prepared, so that all who see it see the same."""
    text = stanza.attrs.get("to")
    if text is None:
        return None
    try:
        to = parseJid(text)
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None
    stanza.attrs["to"] = to.full
    return to
