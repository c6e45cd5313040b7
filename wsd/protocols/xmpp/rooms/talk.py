"""What is said in a room: messages for all, the subject, private messages, invitations, and history (XEP-0045 7)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from wsd.protocols.xmpp.blocking import blocks
from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.offline import DELAY, delayed
from wsd.protocols.xmpp.rooms.room import HISTORY, USER, Occupant, Room
from wsd.protocols.xmpp.stanza import CLIENT, Element, StanzaError
from wsd.protocols.xmpp.streammanagement import Receipt

if TYPE_CHECKING:
    from wsd.protocols.xmpp.session import Session


def said(room: Room, occupant: Occupant, message: Element) -> None:
    """A message for all. Raises StanzaError."""
    if occupant.role == "visitor":
        raise StanzaError("forbidden", "one needs a voice to speak here")
    shown = message.copy(**{"from": f"{room.jid}/{occupant.nick}"})
    if _isSubject(message):
        if not room.config.subjects and occupant.role != "moderator":
            raise StanzaError("forbidden", "moderators change the subject")
        room.subject = shown.copy(to=None)
        room.keep("subject", room.subject.toXml())
    elif message.child(CLIENT, "body") is not None:
        _remember(room, shown)
    room.broadcast(shown)


def _isSubject(message: Element) -> bool:
    return (
        message.child(CLIENT, "subject") is not None
        and message.child(CLIENT, "body") is None
        and message.child(CLIENT, "thread") is None
    )


def _remember(room: Room, message: Element) -> None:
    server = room.server
    if not server.options.history:
        return
    id = server.newEntry()
    late = delayed(message.copy(to=None), room.jid, server.now())
    room.history.append((id, late))
    old = [room.history.popleft()[0] for _ in range(len(room.history) - server.options.history)]
    if room.isStored:
        server.vault.append(id, HISTORY, room.jid, late.toXml())
        if old:
            server.vault.discard(old)


def tellHistory(room: Room, session: Session, wanted: Element | None) -> None:
    """What was said before, as much as is wanted (XEP-0045 7.2.13), and the subject."""
    messages = [message for _, message in room.history]
    if wanted is not None:
        messages = _wanted(room, messages, wanted)
    for message in messages:
        session.send(message.copy(to=session.jid))
    subject = room.subject
    if subject is None:
        subject = Element(CLIENT, "message", {"type": "groupchat", "from": room.jid}, Element(CLIENT, "subject"))
    session.send(subject.copy(to=session.jid))


def _wanted(room: Room, messages: list[Element], wanted: Element) -> list[Element]:
    since = 0.0
    try:
        if "seconds" in wanted.attrs:
            since = room.server.now() - int(wanted.get("seconds"))
        if "since" in wanted.attrs:
            since = max(since, datetime.fromisoformat(wanted.get("since")).timestamp())
        most = int(wanted.get("maxstanzas", str(len(messages))))
        characters = int(wanted.get("maxchars", "-1"))
    except ValueError:
        raise StanzaError("bad-request", "history is limited by whole numbers, and a time of XEP-0082") from None
    recent = [message for message in messages if _stamp(message) >= since]
    recent = recent[len(recent) - most :] if 0 <= most < len(recent) else recent
    while characters >= 0 and recent and sum(len(message.toXml()) for message in recent) > characters:
        recent.pop(0)
    return recent


def _stamp(message: Element) -> float:
    delay = message.child(DELAY, "delay")
    return 0.0 if delay is None else datetime.fromisoformat(delay.get("stamp")).timestamp()


def whispered(room: Room, occupant: Occupant, message: Element, to: str, receipt: Receipt | None) -> None:
    """A private message. Raises StanzaError."""
    if message.get("type") == "groupchat":
        raise StanzaError("bad-request", "a groupchat is for the whole room")
    other = room.occupants.get(to)
    if other is None:
        raise StanzaError("item-not-found", "nobody of that name is in the room")
    shown = message.copy(**{"from": f"{room.jid}/{occupant.nick}"})
    if message.get("type") != "error" and message.child(USER, "x") is None:
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
    if asked.name == "invite" and room.config.members_only:
        if not isAdmin and not room.config.invites:
            raise StanzaError("forbidden", "admins invite members")
        if room.affiliation(to.bare) == "none":
            room.affiliate(to.bare, "member")
    user = await room.server.find(to.bare)
    if user is None or blocks(user, session.jid):
        raise StanzaError("item-not-found", "there is no such user")
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
    if user is not None:
        passed = Element(USER, "x", {}, decline.copy(**{"to": None, "from": session.user.bare}))
        message = Element(CLIENT, "message", {"from": room.jid, "to": to.full, "type": "normal"}, passed)
        room.server.router.message(user, to, message, None)
