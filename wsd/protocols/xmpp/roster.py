"""The roster (RFC 6121 2): how its items are kept, and the queries that read and change it."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.jid import JID, parseJid
from wsd.protocols.xmpp.rosteritem import ROSTER, RosterItem
from wsd.protocols.xmpp.session import Session, User
from wsd.protocols.xmpp.settings import Settings
from wsd.protocols.xmpp.stanza import CLIENT, Element, result

_LONGEST = 1023
"""Limit in characters of a name and of a group."""
_MOST_GROUPS = 100
_MOST_BYTES = 4
"""Limit of the characters of a roster, as a multiple of the largest message; it is sent at each login."""


class Subscriptions(Protocol):
    """The part that processes the subscription stanzas of a user."""

    async def subscription(self, user: User, stanza: Element, to: JID) -> None:
        """Process one. Raises StanzaError and StoreError."""


class Rosters:
    """Keeps the rosters of users: in memory, in the store, and at their clients."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store

    def keep(self, user: User, item: RosterItem) -> None:
        """Store an item, and push it to the user's sessions if the roster shows a difference (RFC 6121 2.1.6)."""
        before = user.roster.get(item.jid, RosterItem(item.jid))
        if item == before:
            return
        kept = item.write()
        if kept is None:
            user.roster.pop(item.jid, None)
        else:
            user.roster[item.jid] = item
        if not user.isAnonymous:
            self._store.put(ROSTER, user.bare, item.jid, kept)
        if item.isListed and item != replace(before, request=item.request):
            _push(user, item.element())
        elif before.isListed and not item.isListed:
            _push(user, Element(ROSTER, "item", {"jid": item.jid, "subscription": "remove"}))


class RosterQueries:
    """The queries that read and change a user's roster."""

    def __init__(self, settings: Settings, rosters: Rosters, subscriptions: Subscriptions) -> None:
        self._settings = settings
        self._rosters = rosters
        self._subscriptions = subscriptions

    async def get(self, session: Session, iq: Element, query: Element) -> Element:
        """The whole roster (RFC 6121 2.1.3)."""
        session.isInterested = True
        items = (item.element() for item in session.user.roster.values() if item.isListed)
        return result(iq, Element(ROSTER, "query", {}, *items))

    async def change(self, session: Session, iq: Element, query: Element) -> Element:
        """Add, change or remove one item (RFC 6121 2.1.5)."""
        items = list(query.elements())
        if len(items) != 1 or items[0].name != "item" or items[0].ns != ROSTER:
            raise StanzaError("bad-request", "a change of the roster has one item")
        asked, user, options = items[0], session.user, self._settings.options
        jid = _addressOf(asked)
        if jid == user.bare:
            raise StanzaError("not-allowed", "no user is its own contact")
        before = user.roster.get(jid, RosterItem(jid))
        if asked.get("subscription") == "remove":
            await self._remove(user, before)
            return result(iq)
        if not before.isListed and sum(item.isListed for item in user.roster.values()) >= options.contacts:
            raise StanzaError("resource-constraint", f"a roster has at most {options.contacts} contacts")
        after = replace(before, name=_nameOf(asked), groups=_groupsOf(asked), isListed=True)
        size = sum(item.size for item in user.roster.values()) + after.size - before.size
        if after.size > before.size and size > _MOST_BYTES * options.max_stanza:
            raise StanzaError("resource-constraint", "the names and groups of this roster are too long")
        self._rosters.keep(user, after)
        return result(iq)

    async def _remove(self, user: User, item: RosterItem) -> None:
        """Remove an item, and cancel the subscriptions both ways (RFC 6121 2.5.2)."""
        if not item.isListed:
            raise StanzaError("item-not-found", f"{item.jid} is not in the roster")
        held = {"unsubscribe": item.hasTo or item.asks, "unsubscribed": item.hasFrom or bool(item.request)}
        for stanzaType, isHeld in held.items():
            if isHeld:
                stanza = Element(CLIENT, "presence", {"type": stanzaType})
                await self._subscriptions.subscription(user, stanza, parseJid(item.jid))
        self._rosters.keep(user, RosterItem(item.jid))


def _push(user: User, item: Element) -> None:
    for session in user.interested():
        session.push(Element(ROSTER, "query", {}, item))


def _addressOf(item: Element) -> str:
    try:
        return parseJid(item.get("jid")).bare
    except ValueError as error:
        raise StanzaError("bad-request" if not item.get("jid") else "jid-malformed", str(error)) from None


def _nameOf(item: Element) -> str:
    name = item.get("name")
    if len(name) > _LONGEST:
        raise StanzaError("not-acceptable", f"a name has at most {_LONGEST} characters")
    return name


def _groupsOf(item: Element) -> tuple[str, ...]:
    """RFC 6121 2.3.3: a duplicate group is a bad request, an empty or long one is not acceptable."""
    groups = tuple(child.text for child in item.elements() if child.name == "group")
    if len(frozenset(groups)) != len(groups):
        raise StanzaError("bad-request", "a group is named once")
    if len(groups) > _MOST_GROUPS or any(not 0 < len(group) <= _LONGEST for group in groups):
        raise StanzaError("not-acceptable", f"a group's name has 1 to {_LONGEST} characters")
    return groups
