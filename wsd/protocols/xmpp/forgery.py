"""Forgery: elements that only servers and rooms add to a stanza, which a client's own must not carry."""

from __future__ import annotations

from collections.abc import Container

from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.stanza import Element, StanzaError

_SERVERS = {
    ("urn:xmpp:delay", "delay"),
    ("jabber:x:delay", "x"),
    ("urn:xmpp:carbons:2", "sent"),
    ("urn:xmpp:carbons:2", "received"),
    ("urn:xmpp:forward:0", "forwarded"),
    ("http://jabber.org/protocol/address", "addresses"),
    ("urn:xmpp:occupant-id:0", "occupant-id"),
    ("urn:xmpp:mam:2", "result"),
}
"""When it came, that it is a copy, whom else it was for, who an occupant is, and that it is from an archive."""

_PUSHES = ("jabber:iq:roster", "urn:xmpp:blocking")
"""What a server tells a client of its own roster and list of the blocked."""

_STANZA_ID = "urn:xmpp:sid:0"
ROOMS = "http://jabber.org/protocol/muc#user"
"""What a room says of an occupant. To a room it is an invitation, which the room reads and never passes on as it is."""

_SUSPECT = frozenset({_STANZA_ID, ROOMS, *(ns for ns, _ in _SERVERS)})
"""Namespaces to be looked at: most stanzas have nothing in them."""


def strip(stanza: Element, domains: Container[str], isForRoom: bool) -> None:
    """Remove them from a message or a presence; `domains` are those that give ids to stanzas."""
    for child in stanza.children:
        if isinstance(child, Element) and child.ns in _SUSPECT:
            break
    else:
        return
    stanza.children = [
        child for child in stanza.children if isinstance(child, str) or not _isForged(child, domains, isForRoom)
    ]


def _isForged(child: Element, domains: Container[str], isForRoom: bool) -> bool:
    if (child.ns, child.name) in _SERVERS:
        return True
    if child.ns == ROOMS:
        return not isForRoom
    return child.ns == _STANZA_ID and child.name == "stanza-id" and _isOurs(child.get("by"), domains)


def _isOurs(by: str, domains: Container[str]) -> bool:
    """XEP-0359 5: who gives ids removes those that claim to be its own."""
    try:
        return parseJid(by).domain in domains
    except ValueError:
        return True


def refusePush(iq: Element) -> None:
    """Raises StanzaError: a client tells another what only that one's server may (RFC 6121 2.3.3)."""
    query = iq.first()
    if iq.get("type") == "set" and query is not None and query.ns in _PUSHES:
        raise StanzaError("forbidden", "a roster and a list of the blocked are their owner's alone")
