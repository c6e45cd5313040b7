"""Routing: where a stanza from a session goes (RFC 6120 10, RFC 6121 8)."""

from __future__ import annotations

from wsd.protocols.xmpp import forgery
from wsd.protocols.xmpp.accounts import Accounts
from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.errors import StanzaError, StreamError, errorOf
from wsd.protocols.xmpp.faults import refuseForStore
from wsd.protocols.xmpp.jid import JID, parseJid
from wsd.protocols.xmpp.messages import Messages
from wsd.protocols.xmpp.presence import SUBSCRIPTIONS, Presence, checkPresence
from wsd.protocols.xmpp.queries import Queries
from wsd.protocols.xmpp.rooms.service import Rooms
from wsd.protocols.xmpp.session import Session
from wsd.protocols.xmpp.settings import Settings
from wsd.protocols.xmpp.stanza import CLIENT, KINDS, Element, isBind, mayBeAnswered
from wsd.protocols.xmpp.store import StoreError
from wsd.protocols.xmpp.streammanagement import Receipt

_TYPES = {
    "message": ("chat", "error", "groupchat", "headline", "normal", ""),
    "presence": ("", "unavailable", "error", "probe", *SUBSCRIPTIONS),
    "iq": ("get", "set", "result", "error"),
}


class Router:
    """Takes stanzas from sessions, and passes each to the part that handles it."""

    def __init__(
        self,
        settings: Settings,
        store: AsyncStore,
        accounts: Accounts,
        messages: Messages,
        presence: Presence,
        queries: Queries,
        rooms: Rooms | None,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._messages = messages
        self._presence = presence
        self._queries = queries
        self._rooms = rooms
        self._domains = settings.domains
        self._roomDomains: frozenset[str] = frozenset() if rooms is None else rooms.domains
        self._ownDomains = self._domains | self._roomDomains

    async def receive(self, session: Session, stanza: Element) -> None:
        """Route a stanza from a session. A refusal is answered where RFC 6120 8.3.1 allows it. Raises StreamError."""
        _check(session, stanza)
        receipt = session.begin()
        before = self._store.lastNumber
        try:
            if isBind(stanza):
                raise StanzaError("not-allowed", "a stream has one resource")
            stanza.attrs["from"] = session.jid
            await self._route(session, stanza, receipt)
        except StanzaError as error:
            _refuse(session, stanza, error)
        except StoreError as fault:
            _refuse(session, stanza, refuseForStore(fault, session.log))
        finally:
            if receipt is not None:
                # What was written for the stanza has to be on disk before it counts as handled.
                after = self._store.lastNumber
                receipt.close(after if after != before else 0)

    async def _route(self, session: Session, stanza: Element, receipt: Receipt | None) -> None:
        if stanza.get("type") not in _TYPES[stanza.name]:
            if stanza.name != "message":
                raise StanzaError("bad-request", f"there is no such type of {stanza.name}")
            # RFC 6121 5.2.2: a message of an unknown type is a normal one.
            del stanza.attrs["type"]
        if stanza.name == "presence":
            checkPresence(stanza)
        to = _addressOf(stanza)
        if stanza.name != "iq":
            forgery.strip(stanza, self._ownDomains, to is not None and to.domain in self._roomDomains)
        if to is not None and to.domain not in self._domains:
            await self._elsewhere(session, stanza, to, receipt)
        elif stanza.name == "message":
            await self._messages.receive(session, stanza, to, receipt)
        elif stanza.name == "presence":
            await self._presence.receive(session, stanza, to)
        else:
            await self._query(session, stanza, to)

    async def _elsewhere(self, session: Session, stanza: Element, to: JID, receipt: Receipt | None) -> None:
        """Handle a stanza for a domain that is not one of the users': a room, or another server."""
        if self._rooms is not None and to.domain in self._roomDomains:
            session.user.refuseBlocked(to.full)
            await self._rooms.receive(session, stanza, to, receipt)
        elif stanza.name != "presence" or stanza.get("type") in ("", "subscribe"):
            raise StanzaError("service-unavailable", f"{to.domain} is not served here")

    async def _query(self, session: Session, iq: Element, to: JID | None) -> None:
        """An iq to a session, to the server, or to an account (RFC 6120 8.2.3, RFC 6121 8.5.3)."""
        children = list(iq.elements())
        if not iq.get("id"):
            raise StanzaError("bad-request", "an iq has an id")
        isRequest = iq.get("type") in ("get", "set")
        if isRequest and len(children) != 1:
            raise StanzaError("bad-request", "a request has one child")
        if to is not None and to.resource and to.local:
            session.user.refuseBlocked(to.full)
            forgery.refusePush(iq)
            user = self._accounts.users.get(to.bare)
            target = None if user is None else user.sessions.get(to.resource)
            if user is None or target is None or user.blocks(session.jid):
                raise StanzaError("service-unavailable", "the user is not available")
            target.send(iq)
        elif isRequest:
            await self._queries.answer(session, iq, children[0], to)


def _check(session: Session, stanza: Element) -> None:
    """
    Raises StreamError for anything but a stanza of this session's user (RFC 6120 4.9.3, 8.1.2.1).

    Another resource of the same account is allowed in `from`, and replaced by the session's own: a client that has
    resumed its stream may still send what it made for a resource that it never bound.
    """
    if stanza.ns != CLIENT:
        raise StreamError("invalid-namespace", f"a stanza's namespace is {CLIENT}")
    if stanza.name not in KINDS:
        raise StreamError("unsupported-stanza-type", "a stanza is a message, a presence or an iq")
    sender = stanza.get("from")
    if sender and sender not in (session.jid, session.user.bare):
        try:
            isOwn = parseJid(sender).bare == session.user.bare
        except ValueError:
            isOwn = False
        if not isOwn:
            raise StreamError("invalid-from", f"this session is {session.jid}")


def _refuse(session: Session, stanza: Element, error: StanzaError) -> None:
    if mayBeAnswered(stanza):
        session.send(errorOf(stanza, error))


def _addressOf(stanza: Element) -> JID | None:
    """The receiver's address, which is also prepared in the stanza, so that all see the same. Raises StanzaError."""
    text = stanza.attrs.get("to")
    if text is None:
        return None
    try:
        to = parseJid(text)
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None
    stanza.attrs["to"] = to.full
    return to
