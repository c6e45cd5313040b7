"""Blocking (XEP-0191): whom a user neither hears nor talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.stanza import CLIENT, Element, StanzaError, result

if TYPE_CHECKING:
    from wsd.protocols.xmpp.server import Server
    from wsd.protocols.xmpp.session import Session
    from wsd.protocols.xmpp.user import User

BLOCKING = "urn:xmpp:blocking"
BLOCKED = "blocked"
_ERRORS = "urn:xmpp:blocking:errors"


def blocks(user: User, address: str) -> bool:
    """Whether an address is on the list: itself, without its resource, its domain, or that with the resource."""
    if not user.blocked:
        return False
    jid = parseJid(address)
    with_resource = f"{jid.domain}/{jid.resource}"
    return not user.blocked.isdisjoint((jid.full, jid.bare, jid.domain, with_resource))


def refuseBlocked(user: User, to: str) -> None:
    """Raises StanzaError: a user has blocked whom it sends to."""
    if blocks(user, to):
        raise StanzaError("not-acceptable", "the user has blocked this address", Element(_ERRORS, "blocked"))


def _item(address: str) -> Element:
    return Element(BLOCKING, "item", {"jid": address})


async def get(server: Server, session: Session, iq: Element, query: Element) -> Element:
    """The whole list."""
    session.hearsBlocking = True
    return result(iq, Element(BLOCKING, "blocklist", {}, *map(_item, sorted(session.user.blocked))))


async def block(server: Server, session: Session, iq: Element, query: Element) -> Element:
    """Block, after the blocked have seen the user leave (XEP-0191 3.3)."""
    user, addresses = session.user, _addressesIn(query)
    if not addresses:
        raise StanzaError("bad-request", "say whom to block")
    if len(user.blocked) + len(addresses) > server.options.contacts:
        raise StanzaError("resource-constraint", f"at most {server.options.contacts} may be blocked")
    for address in addresses:
        if address not in user.blocked:
            for contact in _seeing(server, user, address):
                server.presence.hideAll(user, contact)
            _keep(server, user, address, "")
    user.blocked.update(addresses)
    _push(server, user, query)
    return result(iq)


async def unblock(server: Server, session: Session, iq: Element, query: Element) -> Element:
    """Unblock some, or all; who may see the user does so again."""
    user = session.user
    addresses = _addressesIn(query) or sorted(user.blocked)
    for address in addresses:
        if address in user.blocked:
            user.blocked.discard(address)
            _keep(server, user, address, None)
            for contact in _seeing(server, user, address):
                server.presence.showAll(user, contact)
    _push(server, user, query)
    return result(iq)


def _seeing(server: Server, user: User, address: str) -> list[str]:
    """Who of those that the address stands for sees the user's presence."""
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


def _keep(server: Server, user: User, address: str, value: str | None) -> None:
    if not user.isAnonymous:
        server.vault.put(BLOCKED, user.bare, address, value)


def _push(server: Server, user: User, query: Element) -> None:
    for session in user.sessions.values():
        if session.hearsBlocking:
            attrs = {"type": "set", "id": server.newId("push"), "to": session.jid}
            session.send(Element(CLIENT, "iq", attrs, query))
