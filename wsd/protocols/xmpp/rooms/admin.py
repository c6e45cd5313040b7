"""The tasks of moderators, admins and owners: roles, affiliations, settings, destruction (XEP-0045 8 to 10)."""

from __future__ import annotations

from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.forms import FORM
from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.rooms.config import form, submitted
from wsd.protocols.xmpp.rooms.muc import MUC, MUC_USER, StatusCode, userInfo
from wsd.protocols.xmpp.rooms.records import AFFILIATIONS
from wsd.protocols.xmpp.rooms.room import ROLES, Occupant, Room, RoomState
from wsd.protocols.xmpp.session import Session
from wsd.protocols.xmpp.stanza import Element, result

ADMIN = f"{MUC}#admin"
OWNER = f"{MUC}#owner"


def _require(room: Room, session: Session, *affiliations: str) -> None:
    """Raises StanzaError if the user has none of these affiliations."""
    if room.affiliation(session.user.bare) not in affiliations:
        raise StanzaError("forbidden", f"this needs the affiliation {' or '.join(affiliations)}")


# -- lists -------------------------------------------------------------------------------------------------------------


def answerList(room: Room, session: Session, iq: Element, query: Element) -> Element:
    """The users with an affiliation, or the occupants with a role (XEP-0045 8.3 to 10.8)."""
    asked = query.first()
    affiliation, role = ("", "") if asked is None else (asked.get("affiliation"), asked.get("role"))
    occupant = room.occupantOf(session)
    if role in ROLES:
        if occupant is None or occupant.role != "moderator":
            raise StanzaError("forbidden", "only moderators may ask for roles")
        items = [
            _item({"nick": each.nick, "jid": each.address, "role": role, "affiliation": room.affiliation(each.bare)})
            for each in room.occupants.values()
            if each.role == role
        ]
    elif affiliation in AFFILIATIONS:
        isMember = not room.config.semiAnonymous and room.affiliation(session.user.bare) == "member"
        if not (isMember and affiliation != "outcast"):
            _require(room, session, "admin", "owner")
        items = [
            _item({"jid": bare, "affiliation": affiliation})
            for bare, held in room.affiliations.items()
            if held == affiliation
        ]
    else:
        raise StanzaError("bad-request", "ask for an affiliation or a role")
    return result(iq, Element(ADMIN, "query", {}, *items))


def _item(attrs: dict[str, str]) -> Element:
    return Element(ADMIN, "item", attrs)


def changeLists(room: Room, session: Session, iq: Element, query: Element) -> Element:
    """Change roles and affiliations: all that the query names, or none. Raises StanzaError."""
    items = [child for child in query.elements() if child.name == "item"]
    if not items:
        raise StanzaError("bad-request", "name the users or occupants to change")
    changes = [_changeOf(room, session, item) for item in items]
    affiliated = {target: affiliation for _, target, affiliation, _ in changes if affiliation}
    if "owner" in room.affiliations.values() and "owner" not in {**room.affiliations, **affiliated}.values():
        raise StanzaError("conflict", "a room must keep an owner")
    room.checkAffiliated(bare for bare, affiliation in affiliated.items() if affiliation != "none")
    for item, target, affiliation, role in changes:
        occupant = room.occupants.get(target)
        if affiliation:
            _setAffiliation(room, session, target, affiliation, item)
        elif occupant is not None:
            # An earlier item may have kicked this occupant already.
            _setRole(room, session, occupant, role, item)
    return result(iq)


def _changeOf(room: Room, session: Session, item: Element) -> tuple[Element, str, str, str]:
    """Returns the item, the address or nickname in it, the new affiliation and the new role. Raises StanzaError."""
    affiliation, role = item.get("affiliation"), item.get("role")
    if affiliation:
        bare = _addressOf(room, item)
        _checkAffiliation(room, session, bare, affiliation)
        return item, bare, affiliation, ""
    if role not in ROLES or item.get("nick") not in room.occupants:
        raise StanzaError("bad-request" if role not in ROLES else "item-not-found", "only occupants have roles")
    _checkRole(room, session, room.occupants[item.get("nick")], role)
    return item, item.get("nick"), "", role


def _addressOf(room: Room, item: Element) -> str:
    occupant = room.occupants.get(item.get("nick"))
    if not item.get("jid") and occupant is not None:
        return occupant.bare
    try:
        return parseJid(item.get("jid")).bare
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None


def _checkAffiliation(room: Room, session: Session, bare: str, affiliation: str) -> None:
    if affiliation not in AFFILIATIONS:
        raise StanzaError("bad-request", f"affiliations are {', '.join(AFFILIATIONS)}")
    _require(room, session, "admin", "owner")
    before = room.affiliation(bare)
    isOwner = room.affiliation(session.user.bare) == "owner"
    if not isOwner and (affiliation in ("admin", "owner") or before in ("admin", "owner")):
        raise StanzaError("not-allowed", "only owners may change admins and owners")


def _checkRole(room: Room, session: Session, target: Occupant, role: str) -> None:
    actor = room.occupantOf(session)
    if actor is None or actor.role != "moderator":
        raise StanzaError("forbidden", "only moderators may give roles")
    ranks = [AFFILIATIONS.index(room.affiliation(each.bare)) for each in (actor, target)]
    isAdmin = room.affiliation(actor.bare) in ("admin", "owner")
    if ranks[1] > ranks[0] or (room.affiliation(target.bare) in ("admin", "owner") and role != "moderator"):
        raise StanzaError("not-allowed", "the role of an occupant with a higher affiliation stays")
    if not isAdmin and (role == "moderator" or target.role == "moderator"):
        raise StanzaError("forbidden", "only admins and owners may change moderators")


def _setRole(room: Room, session: Session, target: Occupant, role: str, item: Element) -> None:
    if role == "none":
        room.leave(target, (StatusCode.KICKED,), *_reasonsOf(room, session, item))
        return
    target.role = role
    room.tell(target)


def _setAffiliation(room: Room, session: Session, bare: str, affiliation: str, item: Element) -> None:
    room.affiliate(bare, affiliation)
    for occupant in [each for each in room.occupants.values() if each.bare == bare]:
        if affiliation == "outcast":
            room.leave(occupant, (StatusCode.BANNED,), *_reasonsOf(room, session, item))
        elif affiliation == "none" and room.config.membersOnly:
            room.leave(occupant, (StatusCode.AFFILIATION_LOST,), *_reasonsOf(room, session, item))
        else:
            occupant.role = room.roleOf(bare)
            room.tell(occupant)


def _reasonsOf(room: Room, session: Session, item: Element) -> list[Element]:
    """Who has kicked or banned an occupant, and why (XEP-0045 8.2, 9.1)."""
    actor = room.occupantOf(session)
    why = [Element(MUC_USER, "actor", {"nick": actor.nick})] if actor is not None else []
    reason = item.textOf(ADMIN, "reason")
    return [*why, Element(MUC_USER, "reason", {}, reason)] if reason else why


# -- owners ------------------------------------------------------------------------------------------------------------


def settings(room: Room, session: Session, iq: Element, query: Element) -> Element:
    """The form with the settings (XEP-0045 10.2)."""
    _require(room, session, "owner")
    return result(iq, Element(OWNER, "query", {}, form(room.config)))


def configure(room: Room, session: Session, iq: Element, query: Element) -> bool:
    """Change the settings (XEP-0045 10.2). Returns False if the owner destroys the room. Raises StanzaError."""
    _require(room, session, "owner")
    end = query.child(OWNER, "destroy")
    if end is not None:
        destroy(room, end)
        return False
    x = query.child(FORM, "x")
    if x is None or x.get("type") not in ("submit", "cancel"):
        raise StanzaError("bad-request", "send the form back, or <destroy/>")
    if x.get("type") == "cancel":
        if room.state is RoomState.LOCKED:
            destroy(room, Element(OWNER, "destroy"))
            return False
        return True
    before, after = room.config, submitted(room.config, x)
    if after.persistent and not room.isStored:
        raise StanzaError("not-acceptable", "a room of a guest cannot be persistent")
    room.configure(after)
    wasLocked, room.state = room.state is RoomState.LOCKED, RoomState.OPEN
    if after.membersOnly and not before.membersOnly:
        for occupant in list(room.occupants.values()):
            if room.affiliation(occupant.bare) == "none":
                room.leave(occupant, (StatusCode.NOW_MEMBERS_ONLY,))
    if after != before and not wasLocked:
        codes = [StatusCode.CONFIGURATION_CHANGED]
        if after.semiAnonymous != before.semiAnonymous:
            codes.append(StatusCode.NOW_SEMI_ANONYMOUS if after.semiAnonymous else StatusCode.NOW_NON_ANONYMOUS)
        room.announce(*codes)
    return True


def destroy(room: Room, end: Element) -> None:
    """Destroy a room: all occupants leave, and learn why and where to go instead (XEP-0045 10.9)."""
    attrs = {"jid": end.get("jid")} if end.get("jid") else {}
    destroyed = Element(MUC_USER, "destroy", attrs)
    reason = end.textOf(OWNER, "reason")
    if reason:
        destroyed.children.append(Element(MUC_USER, "reason", {}, reason))
    for occupant in list(room.occupants.values()):
        for session in occupant.sessions.values():
            item = Element(MUC_USER, "item", {"affiliation": "none", "role": "none"})
            session.send(room.unavailable(occupant, userInfo(item, destroyed)).copy(to=session.jid))
            session.rooms.pop(room.jid, None)
    room.occupants.clear()
    room.destroyed()
