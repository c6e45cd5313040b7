"""The roster (RFC 6121 2), and the states of subscriptions (RFC 6121 appendix A) as rules without a network."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.stanza import CLIENT, Element, StanzaError, isText, result

if TYPE_CHECKING:
    from wsd.protocols.xmpp.server import Server
    from wsd.protocols.xmpp.session import Session
    from wsd.protocols.xmpp.user import User

ROSTER = "jabber:iq:roster"
"""The namespace, and the kind of the records."""

_LONGEST = 1023
"""Characters of a name and of a group."""
_MOST_GROUPS = 100
_MOST_BYTES = 4
"""Limit of the characters of a roster, as a multiple of the largest message; it is sent at each login."""


@dataclass(frozen=True, slots=True)
class Item:
    """What a user has of a contact."""

    jid: str
    name: str = ""
    groups: tuple[str, ...] = ()
    hasTo: bool = False
    """The user sees the contact's presence."""
    hasFrom: bool = False
    """The contact sees the user's."""
    asks: bool = False
    """The user has asked, and is not answered."""
    request: str = ""
    """The contact's request that the user has not answered, as a stanza."""
    isListed: bool = False
    """Whether it is in the roster: a mere request is not."""

    @property
    def subscription(self) -> str:
        """As the roster says it."""
        return ("both" if self.hasFrom else "to") if self.hasTo else ("from" if self.hasFrom else "none")

    @property
    def size(self) -> int:
        """Characters of the name and groups that its user has given it."""
        return len(self.jid) + len(self.name) + sum(map(len, self.groups))

    def element(self) -> Element:
        """As it is sent."""
        attrs = {"jid": self.jid, "subscription": self.subscription}
        if self.name:
            attrs["name"] = self.name
        if self.asks:
            attrs["ask"] = "subscribe"
        return Element(ROSTER, "item", attrs, *(Element(ROSTER, "group", {}, group) for group in self.groups))

    def write(self) -> str | None:
        """As it is stored, None when there is nothing to store."""
        if not self.isListed and not self.request:
            return None
        kept = [self.name, self.groups, self.hasTo, self.hasFrom, self.asks, self.request, self.isListed]
        return json.dumps(kept, ensure_ascii=False)

    @classmethod
    def read(cls, jid: str, kept: str) -> Item:
        """Read what `write` wrote. Raises ValueError for anything else."""
        name, groups, hasTo, hasFrom, asks, request, isListed = json.loads(kept)
        isItem = isinstance(groups, list) and all(isText(text) for text in (name, request, *groups))
        if not isItem or not all(isinstance(flag, bool) for flag in (hasTo, hasFrom, asks, isListed)):
            raise ValueError("this is not a contact")
        if parseJid(jid).bare != jid:
            raise ValueError(f"{jid!r} is not in prepared form")
        return cls(jid, name, tuple(groups), hasTo, hasFrom, asks, request, isListed)


# -- subscriptions: what a user sends (A.2), and what comes from a contact (A.3) ---------------------------------------


def sent(item: Item, type: str) -> tuple[Item, bool]:
    """The item after the user has sent this, and whether it goes on to the contact."""
    if type == "subscribe":
        if item.hasTo:
            return item, False
        return replace(item, asks=True, isListed=True), True
    if type == "unsubscribe":
        return replace(item, hasTo=False, asks=False), item.hasTo or item.asks
    if type == "subscribed":
        if not item.request:
            return item, False
        return replace(item, hasFrom=True, request="", isListed=True), True
    return replace(item, hasFrom=False, request=""), item.hasFrom or bool(item.request)


def came(item: Item, type: str, stanza: str) -> tuple[Item, bool]:
    """The item after this has come from the contact, and whether the user is told."""
    if type == "subscribe":
        if item.hasFrom or item.request:
            return item, False
        return replace(item, request=stanza), True
    if type == "unsubscribe":
        return replace(item, hasFrom=False, request=""), item.hasFrom or bool(item.request)
    if type == "subscribed":
        return (replace(item, hasTo=True, asks=False), True) if item.asks else (item, False)
    return replace(item, hasTo=False, asks=False), item.hasTo or item.asks


# -- iq ----------------------------------------------------------------------------------------------------------------


def keep(server: Server, user: User, item: Item) -> None:
    """Write an item, and tell the user's sessions when what the roster shows of it is new."""
    before = user.roster.get(item.jid, Item(item.jid))
    if item == before:
        return
    kept = item.write()
    if kept is None:
        user.roster.pop(item.jid, None)
    else:
        user.roster[item.jid] = item
    if not user.isAnonymous:
        server.vault.put(ROSTER, user.bare, item.jid, kept)
    if item.isListed and item != replace(before, request=item.request):
        push(server, user, item.element())
    elif before.isListed and not item.isListed:
        push(server, user, Element(ROSTER, "item", {"jid": item.jid, "subscription": "remove"}))


def push(server: Server, user: User, item: Element) -> None:
    """Tell each session that asked for the roster (RFC 6121 2.1.6)."""
    for session in user.interested():
        attrs = {"type": "set", "id": server.newId("push"), "to": session.jid}
        session.send(Element(CLIENT, "iq", attrs, Element(ROSTER, "query", {}, item)))


async def get(server: Server, session: Session, iq: Element, query: Element) -> Element:
    """The whole roster."""
    session.isInterested = True
    items = (item.element() for item in session.user.roster.values() if item.isListed)
    return result(iq, Element(ROSTER, "query", {}, *items))


async def set(server: Server, session: Session, iq: Element, query: Element) -> Element:
    """Add, change or remove one item."""
    items = list(query.elements())
    if len(items) != 1 or items[0].name != "item" or items[0].ns != ROSTER:
        raise StanzaError("bad-request", "a change of the roster has one item")
    asked = items[0]
    jid = _addressOf(asked)
    if jid == session.user.bare:
        raise StanzaError("not-allowed", "nobody is a contact of oneself")
    before = session.user.roster.get(jid, Item(jid))
    if asked.get("subscription") == "remove":
        await _remove(server, session, before)
        return result(iq)
    if not before.isListed and sum(item.isListed for item in session.user.roster.values()) >= server.options.contacts:
        raise StanzaError("resource-constraint", f"a roster has at most {server.options.contacts} contacts")
    after = replace(before, name=_nameOf(asked), groups=_groupsOf(asked), isListed=True)
    size = sum(item.size for item in session.user.roster.values()) + after.size - before.size
    if after.size > before.size and size > _MOST_BYTES * server.options.max_stanza:
        raise StanzaError("resource-constraint", "the names and groups of this roster are too long")
    keep(server, session.user, after)
    return result(iq)


async def _remove(server: Server, session: Session, item: Item) -> None:
    """Without the subscriptions, both ways (RFC 6121 2.5.2)."""
    if not item.isListed:
        raise StanzaError("item-not-found", f"{item.jid} is not in the roster")
    for type, holds in (("unsubscribe", item.hasTo or item.asks), ("unsubscribed", item.hasFrom or bool(item.request))):
        if holds:
            stanza = Element(CLIENT, "presence", {"type": type})
            await server.presence.subscription(session.user, stanza, parseJid(item.jid))
    keep(server, session.user, Item(item.jid))


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
    """RFC 6121 2.3.3: a group named twice is a fault of the client, one that is empty or too long is not accepted."""
    groups = tuple(child.text for child in item.elements() if child.name == "group")
    if len(frozenset(groups)) != len(groups):
        raise StanzaError("bad-request", "a group is named once")
    if len(groups) > _MOST_GROUPS or any(not 0 < len(group) <= _LONGEST for group in groups):
        raise StanzaError("not-acceptable", f"a group's name has 1 to {_LONGEST} characters")
    return groups
