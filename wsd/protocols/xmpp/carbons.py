"""Carbons (XEP-0280): a user's other sessions see what one of them sends and gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsd.protocols.xmpp.stanza import CLIENT, Element, result

if TYPE_CHECKING:
    from wsd.protocols.xmpp.server import Server
    from wsd.protocols.xmpp.session import Session
    from wsd.protocols.xmpp.user import User

CARBONS = "urn:xmpp:carbons:2"
FORWARD = "urn:xmpp:forward:0"
_HINTS = "urn:xmpp:hints"
_MUC_USER = "http://jabber.org/protocol/muc#user"
_MARKS = ("urn:xmpp:receipts", "http://jabber.org/protocol/chatstates", "urn:xmpp:chat-markers:0")


def mayBeCopied(message: Element) -> bool:
    """Whether other sessions should see it (XEP-0280 6.1)."""
    type = message.get("type", "normal")
    if type not in ("chat", "normal", "error"):
        return False
    if message.child(CARBONS, "private") or message.child(_HINTS, "no-copy") or message.child(_MUC_USER, "x"):
        return False
    return type == "chat" or any(
        child.ns in _MARKS or (child.ns == CLIENT and child.name == "body") for child in message.elements()
    )


def copy(user: User, message: Element, direction: str, but: list[Session]) -> None:
    """Send copies, if there may be some, to the sessions that want them; `direction` is "sent" or "received"."""
    wanting = [each for each in user.sessions.values() if each.hasCarbons and each not in but]
    if not wanting or not mayBeCopied(message):
        return
    forwarded = Element(FORWARD, "forwarded", {}, message)
    for session in wanting:
        attrs = {"from": user.bare, "to": session.jid, "type": message.get("type", "normal")}
        session.send(Element(CLIENT, "message", attrs, Element(CARBONS, direction, {}, forwarded)))


async def enable(server: Server, session: Session, iq: Element, query: Element) -> Element:
    """From now on."""
    session.hasCarbons = True
    return result(iq)


async def disable(server: Server, session: Session, iq: Element, query: Element) -> Element:
    """No more."""
    session.hasCarbons = False
    return result(iq)
