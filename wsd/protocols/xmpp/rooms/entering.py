"""How occupants enter a room, change their nicknames, and leave (XEP-0045 7.2, 7.6 and 7.14)."""

from __future__ import annotations

from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.rooms.history import HistoryRequest
from wsd.protocols.xmpp.rooms.muc import StatusCode, userInfo
from wsd.protocols.xmpp.rooms.room import Occupant, Room, RoomState
from wsd.protocols.xmpp.session import Session
from wsd.protocols.xmpp.stanza import CLIENT, Element

_LONGEST_NICK = 100


def checkNick(nick: str) -> None:
    """Raises StanzaError for a nickname that is too long."""
    if len(nick) > _LONGEST_NICK:
        raise StanzaError("not-acceptable", f"a nickname has at most {_LONGEST_NICK} characters")


def checkEntry(room: Room, session: Session, password: str, nick: str) -> None:
    """Raises StanzaError if a user may not enter under this nickname (XEP-0045 7.2.5 to 7.2.10)."""
    bare, config = session.user.bare, room.config
    affiliation = room.affiliation(bare)
    if affiliation == "outcast":
        raise StanzaError("forbidden", "this room is closed to you")
    if room.state is RoomState.LOCKED and affiliation != "owner":
        raise StanzaError("item-not-found", "this room is not set up yet")
    if config.membersOnly and affiliation == "none":
        raise StanzaError("registration-required", "only members may enter")
    if config.password and password != config.password and affiliation != "owner":
        raise StanzaError("not-authorized", "this room has a password")
    other = room.occupants.get(nick)
    if other is not None and other.bare != bare:
        raise StanzaError("conflict", "this nickname is taken")
    isFull = 0 < config.maxUsers <= len(room.occupants)
    if isFull and other is None and affiliation not in ("admin", "owner"):
        raise StanzaError("service-unavailable", "the room is full")


def enter(room: Room, session: Session, stanza: Element, nick: str, codes: tuple[StatusCode, ...] = ()) -> None:
    """Let a session in: it gets the others' presence, then all get its own (XEP-0045 7.2.1, 7.2.2)."""
    occupant = room.occupants.get(nick)
    if occupant is None:
        occupant = Occupant(nick, session.user.bare, room.roleOf(session.user.bare), stanza)
    else:
        occupant.presence = stanza
    for other in room.occupants.values():
        if other is not occupant:
            session.send(room.presenceOf(other, occupant).copy(to=session.jid))
    occupant.sessions[session.jid] = session
    session.rooms[room.jid] = nick
    room.occupants[nick] = occupant
    whois = () if room.config.semiAnonymous else (StatusCode.ADDRESSES_ARE_SHOWN,)
    own = (*whois, StatusCode.SELF_PRESENCE, *codes)
    for other in room.occupants.values():
        seen = room.presenceOf(occupant, other, own if other is occupant else ())
        for each in other.sessions.values():
            each.send(seen.copy(to=each.jid))


def sendHistory(room: Room, session: Session, request: HistoryRequest) -> None:
    """Send the part of the history that was asked for, and the subject (XEP-0045 7.2.13, 7.2.15)."""
    for message in request.choose(room.history):
        session.send(message.copy(to=session.jid))
    subject = room.subject
    if subject is None:
        subject = Element(CLIENT, "message", {"type": "groupchat", "from": room.jid}, Element(CLIENT, "subject"))
    session.send(subject.copy(to=session.jid))


def rename(room: Room, occupant: Occupant, stanza: Element, nick: str) -> None:
    """Change a nickname (XEP-0045 7.6). Raises StanzaError."""
    if nick in room.occupants:
        raise StanzaError("conflict", "this nickname is taken")
    checkNick(nick)
    for other in room.occupants.values():
        item = room.item(occupant, other)
        item.attrs["nick"] = nick
        own = (StatusCode.SELF_PRESENCE,) if other is occupant else ()
        gone = room.unavailable(occupant, userInfo(item, codes=(StatusCode.NICKNAME_CHANGED, *own)))
        for each in other.sessions.values():
            each.send(gone.copy(to=each.jid))
    del room.occupants[occupant.nick]
    occupant.nick, occupant.presence = nick, stanza
    room.occupants[nick] = occupant
    for each in occupant.sessions.values():
        each.rooms[room.jid] = nick
    room.tell(occupant)


def leave(room: Room, session: Session, stanza: Element) -> bool:
    """A session leaves (XEP-0045 7.14). Returns whether it was its occupant's last, so the occupant has left, too."""
    occupant = room.occupantOf(session)
    if occupant is None:
        return False
    if len(occupant.sessions) > 1:
        del occupant.sessions[session.jid]
        session.rooms.pop(room.jid, None)
        x = userInfo(room.item(occupant, occupant, "none"), codes=(StatusCode.SELF_PRESENCE,))
        session.send(room.unavailable(occupant, x).copy(to=session.jid))
        return False
    occupant.presence = stanza
    room.leave(occupant)
    return True
