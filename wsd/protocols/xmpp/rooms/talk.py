"""What is said in a room: messages for all, the subject, private messages, invitations, and history (XEP-0045 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from wsd.protocols.xmpp.blocking import blocks
from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.offline import delayed
from wsd.protocols.xmpp.rooms.room import HISTORY, MUC, USER, Occupant, Room, saidOf
from wsd.protocols.xmpp.stanza import CLIENT, Element, StanzaError
from wsd.protocols.xmpp.streammanagement import Receipt
from wsd.protocols.xmpp.values import INT, dateTime, number

if TYPE_CHECKING:
    from wsd.protocols.xmpp.session import Session


def said(room: Room, occupant: Occupant, message: Element) -> None:
    """A message for all. Raises StanzaError."""
    if occupant.role == "visitor":
        raise StanzaError("forbidden", "one needs a voice to speak here")
    shown = _shown(room, occupant, message)
    if _isSubject(message):
        if not room.config.subjects and occupant.role != "moderator":
            raise StanzaError("forbidden", "moderators change the subject")
        room.setSubject(shown.copy(to=None))
    elif message.child(CLIENT, "body") is not None:
        _remember(room, shown)
    room.broadcast(shown)


def _shown(room: Room, occupant: Occupant, message: Element) -> Element:
    """A message as the room passes it on, without elements that only the room may add."""
    shown = message.copy(**{"from": f"{room.jid}/{occupant.nick}"})
    shown.children = [child for child in shown.children if isinstance(child, str) or child.ns != USER]
    return shown


def _isSubject(message: Element) -> bool:
    return (
        message.child(CLIENT, "subject") is not None
        and message.child(CLIENT, "body") is None
        and message.child(CLIENT, "thread") is None
    )


def _remember(room: Room, message: Element) -> None:
    server = room.server
    id = server.newEntry()
    late = delayed(message.copy(to=None), room.jid, server.now())
    xml = late.toXml()
    if room.remember(saidOf(id, late, len(xml))) and room.isStored:
        server.vault.append(id, HISTORY, room.jid, xml)


class Wanted(NamedTuple):
    """The part of the history that a new occupant wants (XEP-0045 7.2.13)."""

    since: float = 0.0
    """Seconds since 1970."""
    most: int = INT
    characters: int = INT


def wantedOf(x: Element | None, now: float) -> Wanted:
    """The request for history in the <x/> of a join. Raises StanzaError."""
    asked = None if x is None else x.child(MUC, "history")
    if asked is None:
        return Wanted()
    since = 0.0
    if "seconds" in asked.attrs:
        since = now - number(asked.get("seconds"), "seconds")
    if "since" in asked.attrs:
        since = max(since, dateTime(asked.get("since"), "since"))
    limits = (number(asked.get(name, str(INT)), name) for name in ("maxstanzas", "maxchars"))
    return Wanted(since, *limits)


def tellHistory(room: Room, session: Session, wanted: Wanted) -> None:
    """Send the wanted part of the history, and the subject."""
    for message in _recent(room, wanted):
        session.send(message.copy(to=session.jid))
    subject = room.subject
    if subject is None:
        subject = Element(CLIENT, "message", {"type": "groupchat", "from": room.jid}, Element(CLIENT, "subject"))
    session.send(subject.copy(to=session.jid))


def _recent(room: Room, wanted: Wanted) -> list[Element]:
    """The newest messages within all limits, oldest first."""
    chosen: list[Element] = []
    characters = 0
    for said in reversed(room.history):
        characters += said.characters
        if said.seconds < wanted.since or len(chosen) >= wanted.most or characters > wanted.characters:
            break
        chosen.append(said.message)
    return chosen[::-1]


def occupantFor(room: Room, occupant: Occupant, nick: str) -> Occupant:
    """The receiver of an occupant's private message. Raises StanzaError if there is none, or a block applies."""
    other = room.occupants.get(nick)
    user = None if other is None else room.server.users.get(other.bare)
    addresses = (occupant.address, f"{room.jid}/{occupant.nick}") if other is not occupant else ()
    if other is None or (user is not None and any(blocks(user, address) for address in addresses)):
        raise StanzaError("item-not-found", "nobody of that name is in the room")
    return other


def whispered(room: Room, occupant: Occupant, message: Element, to: str, receipt: Receipt | None) -> None:
    """A private message. Raises StanzaError."""
    if message.get("type") == "groupchat":
        raise StanzaError("bad-request", "a groupchat is for the whole room")
    other = occupantFor(room, occupant, to)
    shown = _shown(room, occupant, message)
    if message.get("type") != "error":
        shown.children.append(Element(USER, "x"))
    for session in list(other.sessions.values()):
        session.send(shown.copy(to=session.jid), receipt)


async def invited(room: Room, session: Session, occupant: Occupant, x: Element) -> None:
    """Somebody invites others, or declines (XEP-0045 7.8.2). Raises StanzaError."""
    for asked in x.elements():
        if asked.name in ("invite", "decline"):
            await _invite(room, session, occupant, asked)


async def _invite(room: Room, session: Session, occupant: Occupant, asked: Element) -> None:
    try:
        to = parseJid(asked.get("to"))
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None
    isAdmin = room.affiliation(occupant.bare) in ("admin", "owner")
    makesMember = asked.name == "invite" and room.config.members_only
    if makesMember and not isAdmin and not room.config.invites:
        raise StanzaError("forbidden", "only admins may invite to this room")
    user = await room.server.find(to.bare)
    if user is None or room.isGone or blocks(user, session.jid):
        raise StanzaError("item-not-found", "there is no such user")
    if makesMember and room.affiliation(to.bare) == "none":
        room.checkAffiliated([to.bare])
        room.affiliate(to.bare, "member")
    passed = asked.copy(**{"to": None, "from": session.user.bare})
    x = Element(USER, "x", {}, passed)
    if room.config.password and asked.name == "invite":
        x.children.append(Element(USER, "password", {}, room.config.password))
    message = Element(CLIENT, "message", {"from": room.jid, "to": to.full, "type": "normal"}, x)
    room.server.router.message(user, to, message, None)


async def declined(room: Room, session: Session, x: Element) -> None:
    """Who was invited does not come: the one who invited is told."""
    decline = x.child(USER, "decline")
    if decline is None:
        raise StanzaError("not-acceptable", "only who is in the room may talk in it")
    try:
        to = parseJid(decline.get("to"))
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None
    if all(occupant.bare != to.bare for occupant in room.occupants.values()):
        raise StanzaError("item-not-found", "who is meant is not in the room")
    user = await room.server.find(to.bare)
    if user is not None and not blocks(user, session.jid):
        passed = Element(USER, "x", {}, decline.copy(**{"to": None, "from": session.user.bare}))
        message = Element(CLIENT, "message", {"from": room.jid, "to": to.full, "type": "normal"}, passed)
        room.server.router.message(user, to, message, None)
