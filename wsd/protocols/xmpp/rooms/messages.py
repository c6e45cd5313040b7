"""Messages to a room: groupchat, the subject, private messages and invitations (XEP-0045 7)."""

from __future__ import annotations

from collections.abc import Callable

from wsd.protocols.xmpp.accounts import Accounts
from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.delay import delayed
from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.jid import JID, parseJid
from wsd.protocols.xmpp.messages import Messages
from wsd.protocols.xmpp.records import EntryIds
from wsd.protocols.xmpp.rooms.history import historyMessage
from wsd.protocols.xmpp.rooms.muc import MUC_USER, userInfo
from wsd.protocols.xmpp.rooms.records import HISTORY
from wsd.protocols.xmpp.rooms.room import Occupant, Room, RoomState
from wsd.protocols.xmpp.session import Session
from wsd.protocols.xmpp.stanza import CLIENT, Element
from wsd.protocols.xmpp.streammanagement import Receipt


class RoomMessages:
    """Handles the messages for the rooms of a server."""

    def __init__(
        self, store: AsyncStore, accounts: Accounts, messages: Messages, entryIds: EntryIds, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._messages = messages
        self._entryIds = entryIds
        self._now = now

    # -- to all ---------------------------------------------------------------------------------------------------

    def groupchat(self, room: Room, occupant: Occupant, message: Element) -> None:
        """A message to all occupants (XEP-0045 7.4), or the subject (8.1). Raises StanzaError."""
        if occupant.role == "visitor":
            raise StanzaError("forbidden", "only occupants with a voice may speak here")
        shown = _fromRoom(room, occupant, message)
        if _isSubject(message):
            if not room.config.changeSubject and occupant.role != "moderator":
                raise StanzaError("forbidden", "only moderators may change the subject")
            room.setSubject(shown.copy(to=None))
        elif message.child(CLIENT, "body") is not None:
            self._remember(room, shown)
        room.broadcast(shown)

    def _remember(self, room: Room, message: Element) -> None:
        """Add a message to the history, in memory and in the store."""
        entryId = self._entryIds.next()
        late = delayed(message.copy(to=None), room.jid, self._now())
        xml = late.toXml()
        if room.remember(historyMessage(entryId, late, len(xml))) and room.isStored:
            self._store.append(entryId, HISTORY, room.jid, xml)

    # -- to one occupant ------------------------------------------------------------------------------------------

    def occupantFor(self, room: Room, occupant: Occupant, nick: str) -> Occupant:
        """
        Returns the receiver of an occupant's private stanza.

        Raises StanzaError if there is none, or if the receiver has blocked the sender.
        """
        other = room.occupants.get(nick)
        user = None if other is None else self._accounts.users.get(other.bare)
        addresses = (occupant.address, f"{room.jid}/{occupant.nick}") if other is not occupant else ()
        if other is None or (user is not None and any(user.blocks(address) for address in addresses)):
            raise StanzaError("item-not-found", "nobody of that name is in the room")
        return other

    def private(self, room: Room, occupant: Occupant, message: Element, nick: str, receipt: Receipt | None) -> None:
        """A private message (XEP-0045 7.5). Raises StanzaError."""
        if message.get("type") == "groupchat":
            raise StanzaError("bad-request", "a groupchat is for the whole room")
        other = self.occupantFor(room, occupant, nick)
        shown = _fromRoom(room, occupant, message)
        if message.get("type") != "error":
            shown.children.append(userInfo())
        for session in list(other.sessions.values()):
            session.send(shown.copy(to=session.jid), receipt)

    # -- to users outside -----------------------------------------------------------------------------------------

    async def mediate(self, room: Room, session: Session, occupant: Occupant, x: Element) -> None:
        """Pass on the invitations of an occupant, and what it declines (XEP-0045 7.8.2). Raises StanzaError."""
        for asked in x.elements():
            if asked.name in ("invite", "decline"):
                await self._invite(room, session, occupant, asked)

    async def _invite(self, room: Room, session: Session, occupant: Occupant, asked: Element) -> None:
        to = _receiverOf(asked)
        isAdmin = room.affiliation(occupant.bare) in ("admin", "owner")
        makesMember = asked.name == "invite" and room.config.membersOnly
        if makesMember and not isAdmin and not room.config.allowInvites:
            raise StanzaError("forbidden", "only admins may invite to this room")
        user = await self._accounts.find(to.bare)
        if user is None or room.state is RoomState.DESTROYED or user.blocks(session.jid):
            raise StanzaError("item-not-found", "there is no such user")
        if makesMember and room.affiliation(to.bare) == "none":
            room.checkAffiliated([to.bare])
            room.affiliate(to.bare, "member")
        passed = asked.copy(**{"to": None, "from": session.user.bare})
        x = userInfo(passed)
        if room.config.password and asked.name == "invite":
            x.children.append(Element(MUC_USER, "password", {}, room.config.password))
        message = Element(CLIENT, "message", {"from": room.jid, "to": to.full, "type": "normal"}, x)
        self._messages.deliver(user, to, message, None)

    async def decline(self, room: Room, session: Session, x: Element) -> None:
        """Tell an occupant that its invitation is declined (XEP-0045 7.8.2). Raises StanzaError."""
        decline = x.child(MUC_USER, "decline")
        if decline is None:
            raise StanzaError("not-acceptable", "only occupants of the room may send to it")
        to = _receiverOf(decline)
        if all(occupant.bare != to.bare for occupant in room.occupants.values()):
            raise StanzaError("item-not-found", "the receiver is not in the room")
        user = await self._accounts.find(to.bare)
        if user is not None and not user.blocks(session.jid):
            passed = userInfo(decline.copy(**{"to": None, "from": session.user.bare}))
            message = Element(CLIENT, "message", {"from": room.jid, "to": to.full, "type": "normal"}, passed)
            self._messages.deliver(user, to, message, None)


def _fromRoom(room: Room, occupant: Occupant, message: Element) -> Element:
    """A message as the room passes it on, without elements that only the room may add."""
    shown = message.copy(**{"from": f"{room.jid}/{occupant.nick}"})
    shown.children = [child for child in shown.children if isinstance(child, str) or child.ns != MUC_USER]
    return shown


def _isSubject(message: Element) -> bool:
    """XEP-0045 8.1: a subject without body and thread."""
    return (
        message.child(CLIENT, "subject") is not None
        and message.child(CLIENT, "body") is None
        and message.child(CLIENT, "thread") is None
    )


def _receiverOf(asked: Element) -> JID:
    try:
        return parseJid(asked.get("to"))
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None
