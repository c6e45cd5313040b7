"""Rooms: all the rooms of a server, at conference.DOMAIN: coming in, going out, and what is found there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsd.protocols.xmpp import forgery
from wsd.protocols.xmpp.jid import JID, parseJid
from wsd.protocols.xmpp.ledger import weight
from wsd.protocols.xmpp.queries import INFO, ITEMS, PING, information, refuseNodes
from wsd.protocols.xmpp.rooms import admin, talk
from wsd.protocols.xmpp.rooms.config import FORM, field
from wsd.protocols.xmpp.rooms.room import MUC, ROOM_SIZE, USER, Kept, Occupant, Room
from wsd.protocols.xmpp.stanza import CLIENT, Element, StanzaError, result
from wsd.protocols.xmpp.streammanagement import Receipt

if TYPE_CHECKING:
    from wsd.protocols.xmpp.server import Server
    from wsd.protocols.xmpp.session import Session

_MOST_JOINED = 100
"""Rooms that one session may be in."""
_LONGEST_NICK = 100
_RESERVED = "x-roomuser-item"
"""The node for the nickname reserved for the client; there are none here (XEP-0045 7.12)."""
_SERVICE = (INFO, ITEMS, MUC, PING)


class Rooms:
    """The rooms of a server by their addresses."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.domains = frozenset(map(self.domainOf, server.domains))
        self.rooms: dict[str, Room] = {}

    @staticmethod
    def domainOf(domain: str) -> str:
        """Where the rooms of a domain are."""
        return f"conference.{domain}"

    def restore(self, kept: list[Kept]) -> None:
        """The rooms there were."""
        for each in filter(None, map(self._server.aside.room, kept)):
            owner = next((bare for bare, held in each.affiliations.items() if held == "owner"), each.jid)
            self.rooms[each.jid] = room = Room(self._server, each.jid, owner, True)
            room.restore(each, self._server.storedCaps)

    def sweep(self) -> None:
        """End temporary rooms that nobody has rejoined since the start."""
        for room in list(self.rooms.values()):
            self._empty(room)

    async def receive(self, session: Session, stanza: Element, to: JID, receipt: Receipt | None) -> None:
        """Handle a stanza for a room, or for the service. Raises StanzaError and StoreError."""
        vault = self._server.vault
        since = vault.asked
        if self._isKept(session, stanza, to):
            vault.check()
        if stanza.name == "iq":
            if not stanza.get("id"):
                raise StanzaError("bad-request", "an iq has an id")
            answer = self._iq(session, stanza, to)
            if answer is not None:
                await vault.kept(since)
                session.send(answer)
        elif not to.local:
            raise StanzaError("service-unavailable", "this is the place of the rooms, and none of them")
        elif stanza.name == "presence":
            self._presence(session, stanza, to)
        else:
            await self._message(session, stanza, to, receipt)

    def _isKept(self, session: Session, stanza: Element, to: JID) -> bool:
        """Whether a stanza may require a write to the store."""
        room, type = self.rooms.get(to.bare), stanza.get("type")
        if room is None:
            return stanza.name == "presence" and not type and not session.user.isAnonymous
        if not room.isStored or to.resource:
            return False
        return type == "set" if stanza.name == "iq" else stanza.name == "message" and type != "error"

    # -- coming and going -----------------------------------------------------------------------------------------

    def _presence(self, session: Session, stanza: Element, to: JID) -> None:
        type = stanza.get("type")
        room = self.rooms.get(to.bare)
        if type == "unavailable":
            if room is not None:
                self._leave(room, session, stanza)
        elif type:
            if type != "error":
                raise StanzaError("service-unavailable", "a room takes part in no subscription")
        elif not to.resource:
            raise StanzaError("jid-malformed", "one comes in under a name: room@conference.domain/name")
        elif room is not None and (occupant := room.occupantOf(session)) is not None:
            self._again(room, session, occupant, stanza, to.resource)
        else:
            self._join(room, session, stanza, to)

    def _join(self, room: Room | None, session: Session, stanza: Element, to: JID) -> None:
        x = stanza.child(MUC, "x")
        wanted = talk.wantedOf(x, self._server.now())
        if len(to.resource) > _LONGEST_NICK:
            raise StanzaError("not-acceptable", f"a name has at most {_LONGEST_NICK} characters")
        if len(session.rooms) >= _MOST_JOINED:
            raise StanzaError("resource-constraint", f"one is in at most {_MOST_JOINED} rooms")
        isNew = room is None
        if room is None:
            if not self._server.housed.admits(session.holder, ROOM_SIZE):
                raise StanzaError("resource-constraint", "there is no memory left for rooms")
            room = Room(self._server, to.bare, session.holder, not session.user.isAnonymous)
            room.configure(room.config)
            room.affiliate(session.user.bare, "owner")
            room.isLocked = x is not None
            self.rooms[to.bare] = room
        else:
            _mayEnter(room, session, "" if x is None else x.textOf(MUC, "password"), to.resource)
        self._enter(room, session, stanza, to.resource, (201,) if isNew else ())
        talk.tellHistory(room, session, wanted)

    def _enter(self, room: Room, session: Session, stanza: Element, nick: str, codes: tuple[int, ...]) -> None:
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
        whois = () if room.config.open else (100,)
        for other in room.occupants.values():
            seen = room.presenceOf(occupant, other, (*whois, 110, *codes) if other is occupant else ())
            for each in other.sessions.values():
                each.send(seen.copy(to=each.jid))

    def _again(self, room: Room, session: Session, occupant: Occupant, stanza: Element, nick: str) -> None:
        """Who is here says how it is, takes another name, or has forgotten that it is here."""
        x = stanza.child(MUC, "x")
        wanted = talk.wantedOf(x, self._server.now())
        if nick != occupant.nick:
            self._rename(room, session, occupant, stanza, nick)
        elif x is not None:
            self._enter(room, session, stanza, nick, ())
            talk.tellHistory(room, session, wanted)
        else:
            occupant.presence = stanza
            room.tell(occupant)

    def _rename(self, room: Room, session: Session, occupant: Occupant, stanza: Element, nick: str) -> None:
        if nick in room.occupants:
            raise StanzaError("conflict", "somebody has this name")
        if len(nick) > _LONGEST_NICK:
            raise StanzaError("not-acceptable", f"a name has at most {_LONGEST_NICK} characters")
        for other in room.occupants.values():
            item = room.item(occupant, not room.config.open or other.role == "moderator" or other is occupant)
            item.attrs["nick"] = nick
            codes = ("303", "110") if other is occupant else ("303",)
            x = Element(USER, "x", {}, item, *(Element(USER, "status", {"code": code}) for code in codes))
            for each in other.sessions.values():
                attrs = {"type": "unavailable", "from": f"{room.jid}/{occupant.nick}", "to": each.jid}
                each.send(Element(CLIENT, "presence", attrs, x))
        del room.occupants[occupant.nick]
        occupant.nick, occupant.presence = nick, stanza
        room.occupants[nick] = occupant
        for each in occupant.sessions.values():
            each.rooms[room.jid] = nick
        room.tell(occupant)

    def _leave(self, room: Room, session: Session, stanza: Element) -> None:
        occupant = room.occupantOf(session)
        if occupant is None:
            return
        if len(occupant.sessions) > 1:
            del occupant.sessions[session.jid]
            session.rooms.pop(room.jid, None)
            x = Element(USER, "x", {}, room.item(occupant, True, "none"), Element(USER, "status", {"code": "110"}))
            attrs = {"type": "unavailable", "from": f"{room.jid}/{occupant.nick}", "to": session.jid}
            session.send(Element(CLIENT, "presence", attrs, x))
            return
        occupant.presence = stanza
        room.leave(occupant)
        self._empty(room)

    def leave(self, stanza: Element) -> None:
        """The presence of who leaves the server, for a room it had told."""
        room, session = self.rooms.get(stanza.get("to").partition("/")[0]), self._server.sessionOf(stanza.get("from"))
        if room is not None and session is not None and stanza.get("type") == "unavailable":
            self._leave(room, session, stanza)

    def left(self, session: Session) -> None:
        """A session is over, or not available: it is in no room any more."""
        gone = Element(CLIENT, "presence", {"type": "unavailable", "from": session.jid})
        for jid in list(session.rooms):
            room = self.rooms.get(jid)
            if room is not None:
                self._leave(room, session, gone)

    def weightOf(self, session: Session) -> int:
        """Bytes of the presence that a session has in its rooms."""
        occupants = (room.occupantOf(session) for jid in session.rooms if (room := self.rooms.get(jid)) is not None)
        return sum(weight(occupant.presence) for occupant in occupants if occupant is not None)

    def _empty(self, room: Room) -> None:
        """A room in which nobody is ends, unless it is to stay."""
        if not room.occupants and not room.config.persistent and self.rooms.pop(room.jid, None) is not None:
            room.destroyed()

    # -- messages -------------------------------------------------------------------------------------------------

    async def _message(self, session: Session, stanza: Element, to: JID, receipt: Receipt | None) -> None:
        room = self.rooms.get(to.bare)
        if room is None:
            raise StanzaError("item-not-found", "there is no such room")
        occupant, x = room.occupantOf(session), stanza.child(USER, "x")
        if stanza.get("type") == "error":
            # Who cannot take messages is not here any more (XEP-0045 18.1.2).
            if occupant is not None:
                self._leave(room, session, stanza)
        elif occupant is None:
            await talk.declined(room, session, Element(USER, "x") if x is None else x)
        elif to.resource:
            talk.whispered(room, occupant, stanza, to.resource, receipt)
        elif stanza.get("type") == "groupchat":
            talk.said(room, occupant, stanza)
        elif x is not None:
            await talk.invited(room, session, occupant, x)
        else:
            raise StanzaError("bad-request", "what is said to a room is a groupchat")

    # -- iq -------------------------------------------------------------------------------------------------------

    def _iq(self, session: Session, iq: Element, to: JID) -> Element | None:
        room = self.rooms.get(to.bare) if to.local else None
        if to.resource and room is None:
            # XEP-0410 3: item-not-found would mean that the client is still in the room.
            raise StanzaError("not-acceptable", "there is no such room")
        if to.local and room is None:
            raise StanzaError("item-not-found", "there is no such room")
        if room is not None and to.resource:
            self._relay(room, session, iq, to.resource)
            return None
        query = iq.first()
        if iq.get("type") not in ("get", "set"):
            return None
        if query is None or len(list(iq.elements())) != 1:
            raise StanzaError("bad-request", "a request has one child")
        asked = (iq.get("type"), query.ns)
        if asked == ("get", INFO):
            answer = result(iq, self._info(room, query))
        elif asked == ("get", ITEMS):
            refuseNodes(query)
            answer = result(iq, Element(ITEMS, "query", {}, *(self._items() if room is None else _roomItems(room))))
        elif asked == ("get", PING):
            answer = result(iq)
        elif room is not None and query.ns in (admin.ADMIN, admin.OWNER):
            answer = self._manage(room, session, iq, query)
        else:
            raise StanzaError("service-unavailable", f"{query.ns} is not served here")
        return answer

    def _manage(self, room: Room, session: Session, iq: Element, query: Element) -> Element:
        isGet = iq.get("type") == "get"
        if query.ns == admin.ADMIN:
            answer = (admin.listed if isGet else admin.changed)(room, session, iq, query)
        elif isGet:
            return admin.settings(room, session, iq, query)
        else:
            answer = result(iq)
            if not admin.set(room, session, iq, query):
                self.rooms.pop(room.jid, None)
                return answer
        self._empty(room)
        return answer

    def _relay(self, room: Room, session: Session, iq: Element, nick: str) -> None:
        """A question to who is in the room, or the answer."""
        forgery.refusePush(iq)
        occupant, query = room.occupantOf(session), iq.first()
        if occupant is None:
            raise StanzaError("not-acceptable", "only who is in the room may talk in it")
        other = talk.occupantFor(room, occupant, nick)
        if other is occupant and query is not None and query.ns == PING and iq.get("type") == "get":
            session.send(result(iq))
            return
        isRequest = iq.get("type") in ("get", "set")
        for each in list(other.sessions.values())[-1:] if isRequest else list(other.sessions.values()):
            each.send(iq.copy(**{"from": f"{room.jid}/{occupant.nick}", "to": each.jid}))

    def _info(self, room: Room | None, query: Element) -> Element:
        if room is not None and query.get("node") == _RESERVED:
            return Element(INFO, "query", {"node": _RESERVED})
        refuseNodes(query)
        return _roomInfo(room) if room is not None else information("conference", "text", "Rooms", _SERVICE)

    def _items(self) -> list[Element]:
        return [
            Element(ITEMS, "item", {"jid": room.jid, "name": room.config.name or parseJid(room.jid).local})
            for room in self.rooms.values()
            if room.config.public and not room.isLocked
        ]


def _mayEnter(room: Room, session: Session, password: str, nick: str) -> None:
    """Raises StanzaError."""
    bare, config = session.user.bare, room.config
    affiliation = room.affiliation(bare)
    if affiliation == "outcast":
        raise StanzaError("forbidden", "this room is closed to you")
    if room.isLocked and affiliation != "owner":
        raise StanzaError("item-not-found", "this room is not set up yet")
    if config.members_only and affiliation == "none":
        raise StanzaError("registration-required", "only members come in")
    if config.password and password != config.password and affiliation != "owner":
        raise StanzaError("not-authorized", "this room has a password")
    other = room.occupants.get(nick)
    if other is not None and other.bare != bare:
        raise StanzaError("conflict", "somebody has this name")
    if config.most and len(room.occupants) >= config.most and affiliation not in ("admin", "owner"):
        raise StanzaError("service-unavailable", "the room is full")


def _roomInfo(room: Room) -> Element:
    config = room.config
    features = (
        MUC,
        f"{MUC}#self-ping-optimization",
        "muc_persistent" if config.persistent else "muc_temporary",
        "muc_public" if config.public else "muc_hidden",
        "muc_membersonly" if config.members_only else "muc_open",
        "muc_moderated" if config.moderated else "muc_unmoderated",
        "muc_semianonymous" if config.open else "muc_nonanonymous",
        "muc_passwordprotected" if config.password else "muc_unsecured",
    )
    shown = Element(
        FORM,
        "x",
        {"type": "result"},
        field("FORM_TYPE", "hidden", [f"{MUC}#roominfo"]),
        field("muc#roominfo_description", "text-single", [config.description], "Description"),
        field("muc#roominfo_occupants", "text-single", [str(len(room.occupants))], "Occupants"),
    )
    return information("conference", "text", config.name or parseJid(room.jid).local, (INFO, ITEMS, *features), shown)


def _roomItems(room: Room) -> list[Element]:
    if room.config.members_only or not room.config.public:
        return []
    return [Element(ITEMS, "item", {"jid": f"{room.jid}/{nick}"}) for nick in room.occupants]
