"""Carbons (XEP-0280): a user's other sessions see what one of them sends and receives."""

from __future__ import annotations

from wsd.protocols.xmpp.rooms.muc import MUC_USER
from wsd.protocols.xmpp.session import Session, User
from wsd.protocols.xmpp.stanza import CLIENT, Element, result

CARBONS = "urn:xmpp:carbons:2"
FORWARD = "urn:xmpp:forward:0"
_HINTS = "urn:xmpp:hints"
_MARKERS = ("urn:xmpp:receipts", "http://jabber.org/protocol/chatstates", "urn:xmpp:chat-markers:0")


def mayBeCopied(message: Element) -> bool:
    """Whether other sessions should see a message (XEP-0280 6.1)."""
    messageType = message.get("type", "normal")
    if messageType not in ("chat", "normal", "error"):
        return False
    if message.child(CARBONS, "private") or message.child(_HINTS, "no-copy") or message.child(MUC_USER, "x"):
        return False
    return messageType == "chat" or any(
        child.ns in _MARKERS or (child.ns == CLIENT and child.name == "body") for child in message.elements()
    )


def copy(user: User, message: Element, direction: str, but: list[Session]) -> None:
    """Send a copy to the sessions that have enabled carbons, except `but`; `direction` is "sent" or "received"."""
    wanting = [each for each in user.sessions.values() if each.hasCarbons and each not in but]
    if not wanting or not mayBeCopied(message):
        return
    forwarded = Element(FORWARD, "forwarded", {}, message)
    for session in wanting:
        attrs = {"from": user.bare, "to": session.jid, "type": message.get("type", "normal")}
        session.send(Element(CLIENT, "message", attrs, Element(CARBONS, direction, {}, forwarded)))


async def enable(session: Session, iq: Element, query: Element) -> Element:
    """Send this session copies from now on (XEP-0280 4)."""
    session.hasCarbons = True
    return result(iq)


async def disable(session: Session, iq: Element, query: Element) -> Element:
    """Send this session no more copies (XEP-0280 5)."""
    session.hasCarbons = False
    return result(iq)
