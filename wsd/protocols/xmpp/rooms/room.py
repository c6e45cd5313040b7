"""Room: one room with its settings, affiliations and occupants, and the presence that they see (XEP-0045 5, 7)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from sys import getsizeof

from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.framing import XmlLimits, parse
from wsd.protocols.xmpp.ledger import Ledger, weight
from wsd.protocols.xmpp.rooms.config import RoomConfig
from wsd.protocols.xmpp.rooms.history import HistoryMessage, historyMessage
from wsd.protocols.xmpp.rooms.muc import MUC, MUC_USER, StatusCode, userInfo
from wsd.protocols.xmpp.rooms.records import AFFILIATION, ROOM, StoredRoom
from wsd.protocols.xmpp.session import Session
from wsd.protocols.xmpp.settings import Settings
from wsd.protocols.xmpp.stanza import CLIENT, Element

ROLES = ("none", "visitor", "participant", "moderator")
"""From the least to the most (XEP-0045 5.1)."""

ROOM_SIZE = 4_000
"""Bytes of an empty room."""
_AFFILIATION = 200
"""Bytes of an affiliation besides its address."""
_MOST_AFFILIATED = 10_000
_MOST_HISTORY = 4
"""Limit of the bytes of a history, as a multiple of the largest message."""


@dataclass(slots=True)
class Occupant:
    """A user in a room under one nickname, with one session or more."""

    nick: str
    bare: str
    role: str
    presence: Element
    sessions: dict[str, Session] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The full address, which the room shows to moderators, or to all if it is non-anonymous."""
        return next(reversed(self.sessions), self.bare)


def affiliationSize(bare: str) -> int:
    """Bytes of memory that an affiliation takes."""
    return _AFFILIATION + getsizeof(bare)


class RoomState(Enum):
    """Where a room is between its creation and its end."""

    LOCKED = auto()
    """Nobody but its owner may enter until the owner has configured it (XEP-0045 10.1)."""
    OPEN = auto()
    DESTROYED = auto()


class Room:
    """One room."""

    def __init__(
        self, settings: Settings, store: AsyncStore, ledger: Ledger, jid: str, holder: str, isStored: bool
    ) -> None:
        self._settings = settings
        self._store = store
        self._ledger = ledger
        self.jid = jid
        self.holder = holder
        """The holder to whom the room's memory is charged."""
        self.size = 0
        """Bytes of memory that it takes."""
        self.isStored = isStored
        """Whether the room survives a restart; that of an anonymous user does not."""
        self.state = RoomState.OPEN
        self.config = RoomConfig()
        self.affiliations: dict[str, str] = {}
        """By bare address; those without an affiliation are left out."""
        self.occupants: dict[str, Occupant] = {}
        """By nickname."""
        self.subject: Element | None = None
        self.history: deque[HistoryMessage] = deque()
        self.grow(ROOM_SIZE)

    def restore(self, stored: StoredRoom, limits: XmlLimits) -> None:
        """Restore what was stored. Raises ValueError and StreamError."""
        self.config = RoomConfig.read(stored.config)
        self.affiliations = stored.affiliations
        self.subject = parse(stored.subject.encode(), limits) if stored.subject else None
        self.history = deque(
            historyMessage(entryId, parse(xml.encode(), limits), len(xml)) for entryId, xml in stored.history
        )
        self.grow(self.config.size - RoomConfig().size + (0 if self.subject is None else weight(self.subject)))
        self.grow(sum(map(affiliationSize, self.affiliations)) + sum(each.weight for each in self.history))

    # -- memory ---------------------------------------------------------------------------------------------------

    def grow(self, size: int) -> None:
        """Charge the room with `size` bytes; a negative size gives them back."""
        self._ledger.take(self.holder, size)
        self.size += size

    def check(self, size: int) -> None:
        """Raises StanzaError if the room may not take `size` bytes more."""
        if size > 0 and not self._ledger.admits(self.holder, size):
            raise StanzaError("resource-constraint", "there is no memory left for rooms")

    # -- settings -------------------------------------------------------------------------------------------------

    def keep(self, key: str, value: str | None, kind: str = ROOM) -> None:
        """Store a record; None removes it."""
        if self.isStored:
            self._store.put(kind, self.jid, key, value)

    def configure(self, config: RoomConfig) -> None:
        """Set the configuration. Raises StanzaError."""
        size = config.size - self.config.size
        self.check(size)
        self.grow(size)
        self.config = config
        self.keep("config", config.write())

    def affiliation(self, bare: str) -> str:
        """The affiliation of a bare address (XEP-0045 5.2)."""
        return self.affiliations.get(bare, "none")

    def checkAffiliated(self, bares: Iterable[str]) -> None:
        """Raises StanzaError if the room cannot have affiliations for all of these as well."""
        new = [bare for bare in bares if bare not in self.affiliations]
        if new and len(self.affiliations) + len(new) > _MOST_AFFILIATED:
            raise StanzaError("resource-constraint", f"a room has at most {_MOST_AFFILIATED} affiliations")
        self.check(sum(map(affiliationSize, new)))

    def affiliate(self, bare: str, affiliation: str) -> None:
        """Change the affiliation of a bare address."""
        if bare in self.affiliations:
            self.grow(-affiliationSize(bare))
        if affiliation == "none":
            self.affiliations.pop(bare, None)
            self.keep(bare, None, AFFILIATION)
        else:
            self.affiliations[bare] = affiliation
            self.grow(affiliationSize(bare))
            self.keep(bare, affiliation, AFFILIATION)

    def setSubject(self, subject: Element) -> None:
        """Change the subject (XEP-0045 8.1). Raises StanzaError if there is no memory for it."""
        size = weight(subject) - (0 if self.subject is None else weight(self.subject))
        self.check(size)
        self.grow(size)
        self.subject = subject
        self.keep("subject", subject.toXml())

    def remember(self, message: HistoryMessage) -> bool:
        """Add a message to the history, in place of the oldest if needed. Returns False if it is too large to keep."""
        options, old = self._settings.options, []
        if not options.history or message.weight > _MOST_HISTORY * options.max_stanza:
            return False
        while self.history and not self._hasRoomFor(message):
            first = self.history.popleft()
            self.grow(-first.weight)
            old.append(first.entryId)
        if old and self.isStored:
            self._store.discard(old)
        if not self._hasRoomFor(message):
            return False
        self.history.append(message)
        self.grow(message.weight)
        return True

    def _hasRoomFor(self, message: HistoryMessage) -> bool:
        options = self._settings.options
        return (
            len(self.history) < options.history
            and sum(each.weight for each in self.history) + message.weight <= _MOST_HISTORY * options.max_stanza
            and self._ledger.admits(self.holder, message.weight)
        )

    def destroyed(self) -> None:
        """Called when the room has ended: nothing of it is kept."""
        self.state = RoomState.DESTROYED
        self.grow(-self.size)
        if self.isStored:
            self._store.forget(self.jid)

    # -- occupants ------------------------------------------------------------------------------------------------

    def occupantOf(self, session: Session) -> Occupant | None:
        """The occupant that a session belongs to."""
        nick = session.rooms.get(self.jid)
        return None if nick is None else self.occupants.get(nick)

    def roleOf(self, bare: str) -> str:
        """The role with which a bare address enters (XEP-0045 5.1.2)."""
        affiliation = self.affiliation(bare)
        if affiliation in ("admin", "owner"):
            return "moderator"
        return "visitor" if self.config.moderated and affiliation == "none" else "participant"

    def item(self, occupant: Occupant, to: Occupant, role: str = "") -> Element:
        """The <item/> that describes an occupant to another one (XEP-0045 7.2.2)."""
        attrs = {"affiliation": self.affiliation(occupant.bare), "role": role or occupant.role}
        if not self.config.semiAnonymous or to.role == "moderator" or to is occupant:
            attrs["jid"] = occupant.address
        return Element(MUC_USER, "item", attrs)

    # -- presence -------------------------------------------------------------------------------------------------

    def presenceOf(self, occupant: Occupant, to: Occupant, codes: Iterable[StatusCode] = ()) -> Element:
        """The presence of an occupant, as the occupant `to` sees it."""
        shown = occupant.presence.copy(**{"from": f"{self.jid}/{occupant.nick}"})
        shown.children = [
            child for child in shown.children if not (isinstance(child, Element) and child.ns in (MUC, MUC_USER))
        ]
        shown.children.append(userInfo(self.item(occupant, to), codes=codes))
        return shown

    def unavailable(self, occupant: Occupant, *children: Element) -> Element:
        """Unavailable presence of an occupant."""
        return Element(CLIENT, "presence", {"type": "unavailable", "from": f"{self.jid}/{occupant.nick}"}, *children)

    def tell(self, occupant: Occupant) -> None:
        """Send the presence of an occupant to all."""
        for other in self.occupants.values():
            seen = self.presenceOf(occupant, other, (StatusCode.SELF_PRESENCE,) if other is occupant else ())
            for session in other.sessions.values():
                session.send(seen.copy(to=session.jid))

    def leave(self, occupant: Occupant, codes: tuple[StatusCode, ...] = (), *more: Element) -> None:
        """Remove an occupant, and tell all, with status codes and with `more` in the <item/>."""
        for other in self.occupants.values():
            self._tellGone(occupant, other, codes, more)
        self.occupants.pop(occupant.nick, None)
        for session in occupant.sessions.values():
            session.rooms.pop(self.jid, None)
        occupant.sessions.clear()

    def _tellGone(
        self, occupant: Occupant, other: Occupant, codes: tuple[StatusCode, ...], more: tuple[Element, ...]
    ) -> None:
        item = self.item(occupant, other, "none")
        item.children += more
        x = userInfo(item, codes=(*codes, StatusCode.SELF_PRESENCE) if other is occupant else codes)
        isLeaving = occupant.presence.get("type") == "unavailable"
        shown = [each for each in occupant.presence.elements() if each.name == "status"] if isLeaving else []
        gone = self.unavailable(occupant, *shown, x)
        for session in other.sessions.values():
            session.send(gone.copy(to=session.jid))

    def announce(self, *codes: StatusCode) -> None:
        """Tell all about a change of the room (XEP-0045 10.2.1)."""
        attrs = {"type": "groupchat", "from": self.jid}
        self.broadcast(Element(CLIENT, "message", attrs, userInfo(codes=codes)))

    def broadcast(self, message: Element) -> None:
        """Send a message to all occupants."""
        for occupant in self.occupants.values():
            for session in occupant.sessions.values():
                session.send(message.copy(to=session.jid))
