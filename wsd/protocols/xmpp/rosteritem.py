"""A roster item (RFC 6121 2.1.2), and how subscription stanzas change it (RFC 6121, appendix A)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.stanza import Element, isText

ROSTER = "jabber:iq:roster"
"""The namespace, and the kind of the records."""


@dataclass(frozen=True, slots=True)
class RosterItem:
    """A contact of a user: one row of the roster."""

    jid: str
    name: str = ""
    groups: tuple[str, ...] = ()
    hasTo: bool = False
    """Whether the user sees the contact's presence."""
    hasFrom: bool = False
    """Whether the contact sees the user's presence."""
    asks: bool = False
    """Whether a subscription request of the user waits for an answer."""
    request: str = ""
    """The contact's subscription request that waits for the user's answer, as a stanza; "" for none."""
    isListed: bool = False
    """Whether the roster shows the contact. It does not show one that has only sent a request."""

    @property
    def subscription(self) -> str:
        """The value of the attribute `subscription` (RFC 6121 2.1.2.5)."""
        return ("both" if self.hasFrom else "to") if self.hasTo else ("from" if self.hasFrom else "none")

    @property
    def size(self) -> int:
        """Characters of the address, and of the name and the groups that the user has chosen."""
        return len(self.jid) + len(self.name) + sum(map(len, self.groups))

    def element(self) -> Element:
        """The <item/>."""
        attrs = {"jid": self.jid, "subscription": self.subscription}
        if self.name:
            attrs["name"] = self.name
        if self.asks:
            attrs["ask"] = "subscribe"
        return Element(ROSTER, "item", attrs, *(Element(ROSTER, "group", {}, group) for group in self.groups))

    def write(self) -> str | None:
        """The stored form, None if there is nothing to store."""
        if not self.isListed and not self.request:
            return None
        kept = [self.name, self.groups, self.hasTo, self.hasFrom, self.asks, self.request, self.isListed]
        return json.dumps(kept, ensure_ascii=False)

    @classmethod
    def read(cls, jid: str, kept: str) -> RosterItem:
        """Reads what `write` wrote. Raises ValueError for anything else."""
        name, groups, hasTo, hasFrom, asks, request, isListed = json.loads(kept)
        isItem = isinstance(groups, list) and all(isText(text) for text in (name, request, *groups))
        if not isItem or not all(isinstance(flag, bool) for flag in (hasTo, hasFrom, asks, isListed)):
            raise ValueError("this is not a contact")
        if parseJid(jid).bare != jid:
            raise ValueError(f"{jid!r} is not in prepared form")
        return cls(jid, name, tuple(groups), hasTo, hasFrom, asks, request, isListed)


# -- subscriptions -----------------------------------------------------------------------------------------------------


def afterOutbound(item: RosterItem, stanzaType: str) -> tuple[RosterItem, bool]:
    """Returns the item after the user has sent this type, and whether the stanza is routed to the contact (A.2)."""
    if stanzaType == "subscribe":
        if item.hasTo:
            return item, False
        return replace(item, asks=True, isListed=True), True
    if stanzaType == "unsubscribe":
        return replace(item, hasTo=False, asks=False), item.hasTo or item.asks
    if stanzaType == "subscribed":
        if not item.request:
            return item, False
        return replace(item, hasFrom=True, request="", isListed=True), True
    return replace(item, hasFrom=False, request=""), item.hasFrom or bool(item.request)


def afterInbound(item: RosterItem, stanzaType: str, stanza: str) -> tuple[RosterItem, bool]:
    """Returns the item after the contact has sent this type, and whether the stanza is delivered to the user (A.3)."""
    if stanzaType == "subscribe":
        if item.hasFrom or item.request:
            return item, False
        return replace(item, request=stanza), True
    if stanzaType == "unsubscribe":
        return replace(item, hasFrom=False, request=""), item.hasFrom or bool(item.request)
    if stanzaType == "subscribed":
        return (replace(item, hasTo=True, asks=False), True) if item.asks else (item, False)
    return replace(item, hasTo=False, asks=False), item.hasTo or item.asks
