"""Forgery: removes the elements that only servers and rooms may add to a stanza."""

from __future__ import annotations

from collections.abc import Container

from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.rooms.muc import MUC_USER
from wsd.protocols.xmpp.stanza import Element

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
"""Delays, copies, further addressees, occupant ids, and results from an archive."""

_PUSHES = ("jabber:iq:roster", "urn:xmpp:blocking")
"""The namespaces of pushes that tell a client about its own roster and block list."""

_STANZA_ID = "urn:xmpp:sid:0"

_SUSPECT = frozenset({_STANZA_ID, MUC_USER, *(ns for ns, _ in _SERVERS)})
"""The namespaces to look for; most stanzas have none of them."""


def strip(stanza: Element, domains: Container[str], isForRoom: bool) -> None:
    """Remove such elements from a message or presence. Only our own `domains` may assign their stanza ids."""
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
    if child.ns == MUC_USER:
        # A client sends it to a room with an invitation, which the room rewrites (XEP-0045 7.8.2).
        return not isForRoom
    return child.ns == _STANZA_ID and child.name == "stanza-id" and _isOurs(child.get("by"), domains)


def _isOurs(by: str, domains: Container[str]) -> bool:
    """XEP-0359 5: a server removes stanza ids that claim to be its own."""
    try:
        return parseJid(by).domain in domains
    except ValueError:
        return True


def refusePush(iq: Element) -> None:
    """Raises StanzaError if a client sends a push, which only the receiver's server may send (RFC 6121 2.1.6)."""
    query = iq.first()
    if iq.get("type") == "set" and query is not None and query.ns in _PUSHES:
        raise StanzaError("forbidden", "only a server may push a roster or a block list")
