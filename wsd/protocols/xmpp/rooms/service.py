"""Rooms: all rooms of a server, at conference.DOMAIN, and the dispatch of their stanzas."""

from __future__ import annotations

from collections.abc import Callable

from wsd.protocols.xmpp import forgery
from wsd.protocols.xmpp.accounts import Accounts
from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.disco import INFO, ITEMS, PING, information, refuseNodes
from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.jid import JID
from wsd.protocols.xmpp.ledger import Ledger, weight
from wsd.protocols.xmpp.messages import Messages
from wsd.protocols.xmpp.quarantine import Quarantine
from wsd.protocols.xmpp.records import EntryIds
from wsd.protocols.xmpp.rooms import admin, entering
from wsd.protocols.xmpp.rooms.history import readHistoryRequest
from wsd.protocols.xmpp.rooms.info import nameOf, roomInfo, roomItems
from wsd.protocols.xmpp.rooms.messages import RoomMessages
from wsd.protocols.xmpp.rooms.muc import MUC, MUC_USER, StatusCode, userInfo
from wsd.protocols.xmpp.rooms.records import StoredRoom
from wsd.protocols.xmpp.rooms.room import ROOM_SIZE, Occupant, Room, RoomState
from wsd.protocols.xmpp.session import Session
from wsd.protocols.xmpp.settings import Settings
from wsd.protocols.xmpp.stanza import CLIENT, Element, result
from wsd.protocols.xmpp.streammanagement import Receipt

_MOST_JOINED = 100
"""Limit of the rooms that one session may be in."""
_RESERVED = "x-roomuser-item"
"""The disco node for a reserved nickname (XEP-0045 7.12). There are none here."""
_SERVICE = (INFO, ITEMS, MUC, PING)


class Rooms:
    """The rooms of a server by their addresses."""

    def __init__(
        self,
        settings: Settings,
        store: AsyncStore,
        quarantine: Quarantine,
        accounts: Accounts,
        messages: Messages,
        ledger: Ledger,
        entryIds: EntryIds,
        now: Callable[[], float],
    ) -> None:
        self.domains = frozenset(map(self.domainOf, settings.domains))
        self.rooms: dict[str, Room] = {}
        self._settings = settings
        self._store = store
        self._quarantine = quarantine
        self._accounts = accounts
        self._messages = RoomMessages(store, accounts, messages, entryIds, now)
        self._ledger = ledger
        self._now = now

    @staticmethod
    def domainOf(domain: str) -> str:
        """The domain of the rooms that belong to a domain of users."""
        return f"conference.{domain}"

    def restore(self, stored: list[StoredRoom]) -> None:
        """Restore the rooms of the store."""
        for each in filter(None, map(self._quarantine.room, stored)):
            owner = next((bare for bare, held in each.affiliations.items() if held == "owner"), each.jid)
            self.rooms[each.jid] = room = self._newRoom(each.jid, owner, True)
            room.restore(each, self._settings.storedLimits)

    def _newRoom(self, jid: str, holder: str, isStored: bool) -> Room:
        return Room(self._settings, self._store, self._ledger, jid, holder, isStored)

    def sweep(self) -> None:
        """End the temporary rooms that nobody has entered since the start."""
        for room in list(self.rooms.values()):
            self._endIfEmpty(room)

    def _endIfEmpty(self, room: Room) -> None:
        """A temporary room ends with its last occupant (XEP-0045 4.2)."""
        if not room.occupants and not room.config.persistent and self.rooms.pop(room.jid, None) is not None:
            room.destroyed()

    async def receive(self, session: Session, stanza: Element, to: JID, receipt: Receipt | None) -> None:
        """Handle a stanza for a room, or for the service. Raises StanzaError and StoreError."""
        store = self._store
        since = store.lastNumber
        if self._isStored(session, stanza, to):
            store.check()
        if stanza.name == "iq":
            if not stanza.get("id"):
                raise StanzaError("bad-request", "an iq has an id")
            answer = self._iq(session, stanza, to)
            if answer is not None:
                await store.flush(since)
                session.send(answer)
        elif not to.local:
            raise StanzaError("service-unavailable", "this is the address of the service, not of a room")
        elif stanza.name == "presence":
            self._presence(session, stanza, to)
        else:
            await self._message(session, stanza, to, receipt)

    def _isStored(self, session: Session, stanza: Element, to: JID) -> bool:
        """Whether a stanza may require a write to the store."""
        room, stanzaType = self.rooms.get(to.bare), stanza.get("type")
        if room is None:
            return stanza.name == "presence" and not stanzaType and not session.user.isAnonymous
        if not room.isStored or to.resource:
            return False
        return stanzaType == "set" if stanza.name == "iq" else stanza.name == "message" and stanzaType != "error"

    # -- presence -------------------------------------------------------------------------------------------------

    def _presence(self, session: Session, stanza: Element, to: JID) -> None:
        stanzaType = stanza.get("type")
        room = self.rooms.get(to.bare)
        if stanzaType == "unavailable":
            if room is not None:
                self._leave(room, session, stanza)
        elif stanzaType:
            if stanzaType != "error":
                raise StanzaError("service-unavailable", "nobody can subscribe to a room")
        elif not to.resource:
            raise StanzaError("jid-malformed", "a nickname is needed to enter: room@conference.domain/nickname")
        elif room is not None and (occupant := room.occupantOf(session)) is not None:
            self._update(room, session, occupant, stanza, to.resource)
        else:
            self._join(room, session, stanza, to)

    def _join(self, room: Room | None, session: Session, stanza: Element, to: JID) -> None:
        """Enter a room, which is created if there is none (XEP-0045 7.2, 10.1)."""
        x = stanza.child(MUC, "x")
        request = readHistoryRequest(x, self._now())
        entering.checkNick(to.resource)
        if len(session.rooms) >= _MOST_JOINED:
            raise StanzaError("resource-constraint", f"a session is in at most {_MOST_JOINED} rooms")
        if room is None:
            room = self._create(session, to.bare, x is not None)
            codes: tuple[StatusCode, ...] = (StatusCode.ROOM_CREATED,)
        else:
            entering.checkEntry(room, session, "" if x is None else x.textOf(MUC, "password"), to.resource)
            codes = ()
        entering.enter(room, session, stanza, to.resource, codes)
        entering.sendHistory(room, session, request)

    def _create(self, session: Session, jid: str, isLocked: bool) -> Room:
        if not self._ledger.admits(session.holder, ROOM_SIZE):
            raise StanzaError("resource-constraint", "there is no memory left for rooms")
        room = self._newRoom(jid, session.holder, not session.user.isAnonymous)
        room.configure(room.config)
        room.affiliate(session.user.bare, "owner")
        if isLocked:
            room.state = RoomState.LOCKED
        self.rooms[jid] = room
        return room

    def _update(self, room: Room, session: Session, occupant: Occupant, stanza: Element, nick: str) -> None:
        """An occupant changes its presence (XEP-0045 7.7) or its nickname (7.6), or enters once more."""
        x = stanza.child(MUC, "x")
        request = readHistoryRequest(x, self._now())
        if nick != occupant.nick:
            entering.rename(room, occupant, stanza, nick)
        elif x is not None:
            # XEP-0045 7.2.1: a client with an <x/> does not know that it is in the room.
            entering.enter(room, session, stanza, nick)
            entering.sendHistory(room, session, request)
        else:
            occupant.presence = stanza
            room.tell(occupant)

    def _leave(self, room: Room, session: Session, stanza: Element) -> None:
        if entering.leave(room, session, stanza):
            self._endIfEmpty(room)

    def leave(self, stanza: Element) -> None:
        """Handle directed presence to a room: unavailable presence leaves it."""
        room = self.rooms.get(stanza.get("to").partition("/")[0])
        session = self._accounts.sessionOf(stanza.get("from"))
        if room is not None and session is not None and stanza.get("type") == "unavailable":
            self._leave(room, session, stanza)

    def left(self, session: Session) -> None:
        """Called when a session has ended: it leaves all its rooms."""
        gone = Element(CLIENT, "presence", {"type": "unavailable", "from": session.jid})
        for jid in list(session.rooms):
            room = self.rooms.get(jid)
            if room is not None:
                self._leave(room, session, gone)

    def weightOf(self, session: Session) -> int:
        """Bytes of the presence that a session has in its rooms."""
        occupants = (room.occupantOf(session) for jid in session.rooms if (room := self.rooms.get(jid)) is not None)
        return sum(weight(occupant.presence) for occupant in occupants if occupant is not None)

    # -- messages -------------------------------------------------------------------------------------------------

    async def _message(self, session: Session, stanza: Element, to: JID, receipt: Receipt | None) -> None:
        room = self.rooms.get(to.bare)
        if room is None:
            raise StanzaError("item-not-found", "there is no such room")
        occupant, x = room.occupantOf(session), stanza.child(MUC_USER, "x")
        if stanza.get("type") == "error":
            # XEP-0045 11.1: an occupant that cannot take messages has left.
            if occupant is not None:
                self._leave(room, session, stanza)
        elif occupant is None:
            await self._messages.decline(room, session, userInfo() if x is None else x)
        elif to.resource:
            self._messages.private(room, occupant, stanza, to.resource, receipt)
        elif stanza.get("type") == "groupchat":
            self._messages.groupchat(room, occupant, stanza)
        elif x is not None:
            await self._messages.mediate(room, session, occupant, x)
        else:
            raise StanzaError("bad-request", "a message to a room has the type groupchat")

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
            answer = result(iq, Element(ITEMS, "query", {}, *(self._items() if room is None else roomItems(room))))
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
            answer = (admin.answerList if isGet else admin.changeLists)(room, session, iq, query)
        elif isGet:
            return admin.settings(room, session, iq, query)
        else:
            answer = result(iq)
            if not admin.configure(room, session, iq, query):
                self.rooms.pop(room.jid, None)
                return answer
        self._endIfEmpty(room)
        return answer

    def _relay(self, room: Room, session: Session, iq: Element, nick: str) -> None:
        """Pass on an iq between two occupants (XEP-0045 6.6, XEP-0410)."""
        forgery.refusePush(iq)
        occupant, query = room.occupantOf(session), iq.first()
        if occupant is None:
            raise StanzaError("not-acceptable", "only occupants of the room may send to it")
        other = self._messages.occupantFor(room, occupant, nick)
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
        return roomInfo(room) if room is not None else information("conference", "text", "Rooms", _SERVICE)

    def _items(self) -> list[Element]:
        return [
            Element(ITEMS, "item", {"jid": room.jid, "name": nameOf(room)})
            for room in self.rooms.values()
            if room.config.public and room.state is not RoomState.LOCKED
        ]
