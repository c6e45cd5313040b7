"""Blocking (XEP-0191): the addresses that a user neither hears from nor talks to."""

from __future__ import annotations

from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.presence import Presence
from wsd.protocols.xmpp.records import BLOCKED
from wsd.protocols.xmpp.session import Session, User
from wsd.protocols.xmpp.settings import Settings
from wsd.protocols.xmpp.stanza import Element, result

BLOCKING = "urn:xmpp:blocking"


class BlockLists:
    """The queries that read and change a user's block list."""

    def __init__(self, settings: Settings, store: AsyncStore, presence: Presence) -> None:
        self._settings = settings
        self._store = store
        self._presence = presence

    async def get(self, session: Session, iq: Element, query: Element) -> Element:
        """The whole list (XEP-0191 3.2)."""
        session.wantsBlockPushes = True
        items = (Element(BLOCKING, "item", {"jid": address}) for address in sorted(session.user.blocked))
        return result(iq, Element(BLOCKING, "blocklist", {}, *items))

    async def block(self, session: Session, iq: Element, query: Element) -> Element:
        """Block addresses. Those who see the user's presence see the user leave first (XEP-0191 3.3)."""
        user, addresses = session.user, _addressesIn(query)
        if not addresses:
            raise StanzaError("bad-request", "name the addresses to block")
        most = self._settings.options.contacts
        if len(user.blocked) + len(addresses) > most:
            raise StanzaError("resource-constraint", f"at most {most} may be blocked")
        for address in addresses:
            if address not in user.blocked:
                for contact in _subscribers(user, address):
                    self._presence.hideAll(user, contact)
                self._keep(user, address, "")
        user.blocked.update(addresses)
        _push(user, query)
        return result(iq)

    async def unblock(self, session: Session, iq: Element, query: Element) -> Element:
        """Unblock some addresses, or all if none is named; subscribers see the user again (XEP-0191 3.4, 3.5)."""
        user = session.user
        addresses = _addressesIn(query) or sorted(user.blocked)
        for address in addresses:
            if address in user.blocked:
                user.blocked.discard(address)
                self._keep(user, address, None)
                for contact in _subscribers(user, address):
                    self._presence.showAll(user, contact)
        _push(user, query)
        return result(iq)

    def _keep(self, user: User, address: str, value: str | None) -> None:
        if not user.isAnonymous:
            self._store.put(BLOCKED, user.bare, address, value)


def _subscribers(user: User, address: str) -> list[str]:
    """The contacts behind an address, or in its domain, that see the user's presence."""
    bare = parseJid(address).bare
    isDomain = "@" not in bare
    return [
        item.jid
        for item in user.roster.values()
        if item.hasFrom and (item.jid == bare or (isDomain and item.jid.endswith(f"@{bare}")))
    ]


def _addressesIn(query: Element) -> list[str]:
    try:
        return [parseJid(item.get("jid")).full for item in query.elements() if item.name == "item"]
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None


def _push(user: User, query: Element) -> None:
    for session in user.sessions.values():
        if session.wantsBlockPushes:
            session.push(query)
