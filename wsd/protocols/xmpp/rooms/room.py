"""Room: who is in it, what each may do, and who is told (XEP-0045 5 and 7)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from sys import getsizeof
from typing import TYPE_CHECKING, NamedTuple

from wsd.protocols.xmpp.framing import Caps, parse
from wsd.protocols.xmpp.ledger import weight
from wsd.protocols.xmpp.rooms.config import Config
from wsd.protocols.xmpp.stanza import CLIENT, Element, StanzaError, isText
from wsd.protocols.xmpp.store import RecordStore

if TYPE_CHECKING:
    from wsd.protocols.xmpp.server import Server
    from wsd.protocols.xmpp.session import Session

MUC = "http://jabber.org/protocol/muc"
USER = f"{MUC}#user"

ROOM, AFFILIATION, HISTORY = "room", "affiliation", "history"
"""Kinds of records, and of entries."""

AFFILIATIONS = ("outcast", "none", "member", "admin", "owner")
ROLES = ("none", "visitor", "participant", "moderator")
"""Each from the least to the most."""

ROOM_SIZE = 4_000
"""Bytes of an empty room."""
_AFFILIATION = 200
"""Bytes of an affiliation besides its address."""
_MOST_AFFILIATED = 10_000
_HISTORY = 4
"""Limit of a history, as a multiple of the largest message."""


@dataclass(slots=True)
class Occupant:
    """Who is in a room under a name, with one session or more."""

    nick: str
    bare: str
    role: str
    presence: Element
    sessions: dict[str, Session] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The full address that it is known by to who may know."""
        return next(reversed(self.sessions), self.bare)


class Said(NamedTuple):
    """A message in a room's history."""

    id: int
    """The id of its entry: the microsecond in which it arrived."""
    message: Element
    characters: int
    """Characters of its XML."""
    weight: int
    """Bytes of memory that it takes."""

    @property
    def seconds(self) -> float:
        """When it arrived, whatever time stamps it contains."""
        return self.id / 1_000_000


def saidOf(id: int, message: Element, characters: int) -> Said:
    """The history's record of a message, with its size."""
    return Said(id, message, characters, weight(message))


def affiliationSize(bare: str) -> int:
    """Bytes of memory that an affiliation takes."""
    return _AFFILIATION + getsizeof(bare)


@dataclass(slots=True)
class Kept:
    """What the store has of a room."""

    jid: str
    config: str
    subject: str
    affiliations: dict[str, str]
    history: list[tuple[int, str]]


def restore(store: RecordStore) -> list[Kept]:
    """What the store has of all rooms."""
    kept = []
    for jid in store.owners(ROOM):
        if not isText(jid):
            # Nothing can be found under it.
            kept.append(Kept(jid, "", "", {}, []))
            continue
        records = store.load(ROOM, jid)
        kept.append(
            Kept(
                jid,
                records.get("config", "{}"),
                records.get("subject", ""),
                store.load(AFFILIATION, jid),
                store.entries(HISTORY, jid),
            )
        )
    return kept


class Room:
    """One room."""

    def __init__(self, server: Server, jid: str, holder: str, isStored: bool) -> None:
        self.server = server
        self.jid = jid
        self.holder = holder
        """The holder to whom the room's memory is charged."""
        self.size = 0
        """Bytes of memory that it takes."""
        self.isStored = isStored
        self.isGone = False
        self.isLocked = False
        """Nobody else comes in before its owner has set it up (XEP-0045 10.1)."""
        self.config = Config()
        self.affiliations: dict[str, str] = {}
        """By bare address; "none" is not kept."""
        self.occupants: dict[str, Occupant] = {}
        """By their names."""
        self.subject: Element | None = None
        self.history: deque[Said] = deque()
        self.grow(ROOM_SIZE)

    def restore(self, kept: Kept, caps: Caps) -> None:
        """Be what was kept."""
        self.config = Config.read(kept.config)
        self.affiliations = kept.affiliations
        self.subject = parse(kept.subject.encode(), caps) if kept.subject else None
        self.history = deque(saidOf(id, parse(xml.encode(), caps), len(xml)) for id, xml in kept.history)
        self.grow(self.config.size - Config().size + (0 if self.subject is None else weight(self.subject)))
        self.grow(sum(map(affiliationSize, self.affiliations)) + sum(said.weight for said in self.history))

    # -- what it takes --------------------------------------------------------------------------------------------

    def grow(self, size: int) -> None:
        """Charge the room with `size` bytes; a negative size gives them back."""
        self.server.housed.take(self.holder, size)
        self.size += size

    def check(self, size: int) -> None:
        """Raises StanzaError if the room may not take `size` bytes more."""
        if size > 0 and not self.server.housed.admits(self.holder, size):
            raise StanzaError("resource-constraint", "there is no memory left for rooms")

    # -- what is kept ---------------------------------------------------------------------------------------------

    def keep(self, key: str, value: str | None, kind: str = ROOM) -> None:
        """Write a record."""
        if self.isStored:
            self.server.vault.put(kind, self.jid, key, value)

    def configure(self, config: Config) -> None:
        """Set the configuration. Raises StanzaError."""
        size = config.size - self.config.size
        self.check(size)
        self.grow(size)
        self.config = config
        self.keep("config", config.write())

    def affiliation(self, bare: str) -> str:
        """What somebody is to the room, here or not."""
        return self.affiliations.get(bare, "none")

    def checkAffiliated(self, bares: Iterable[str]) -> None:
        """Raises StanzaError if the room cannot have affiliations for all of these as well."""
        new = [bare for bare in bares if bare not in self.affiliations]
        if new and len(self.affiliations) + len(new) > _MOST_AFFILIATED:
            raise StanzaError("resource-constraint", f"a room has at most {_MOST_AFFILIATED} affiliations")
        self.check(sum(map(affiliationSize, new)))

    def affiliate(self, bare: str, affiliation: str) -> None:
        """Make somebody that."""
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
        """Raises StanzaError."""
        size = weight(subject) - (0 if self.subject is None else weight(self.subject))
        self.check(size)
        self.grow(size)
        self.subject = subject
        self.keep("subject", subject.toXml())

    def remember(self, said: Said) -> bool:
        """Add to the history, removing the oldest messages if needed. False if the message is too large to be kept."""
        options, old = self.server.options, []
        if not options.history or said.weight > _HISTORY * options.max_stanza:
            return False
        while self.history and not self._hasPlaceFor(said):
            first = self.history.popleft()
            self.grow(-first.weight)
            old.append(first.id)
        if old and self.isStored:
            self.server.vault.discard(old)
        if not self._hasPlaceFor(said):
            return False
        self.history.append(said)
        self.grow(said.weight)
        return True

    def _hasPlaceFor(self, said: Said) -> bool:
        options = self.server.options
        return (
            len(self.history) < options.history
            and sum(each.weight for each in self.history) + said.weight <= _HISTORY * options.max_stanza
            and self.server.housed.admits(self.holder, said.weight)
        )

    def destroyed(self) -> None:
        """Nothing of it is kept."""
        self.isGone = True
        self.grow(-self.size)
        if self.isStored:
            self.server.vault.forget(self.jid)

    # -- who is here ----------------------------------------------------------------------------------------------

    def occupantOf(self, session: Session) -> Occupant | None:
        """Who a session is here."""
        nick = session.rooms.get(self.jid)
        return None if nick is None else self.occupants.get(nick)

    def roleOf(self, bare: str) -> str:
        """What somebody may do at first (XEP-0045 5.1.2)."""
        affiliation = self.affiliation(bare)
        if affiliation in ("admin", "owner"):
            return "moderator"
        return "visitor" if self.config.moderated and affiliation == "none" else "participant"

    def item(
        self, occupant: Occupant, isOpen: bool, role: str | None = None, affiliation: str | None = None
    ) -> Element:
        """What is told of an occupant; `isOpen` whether its address is."""
        attrs = {
            "affiliation": affiliation or self.affiliation(occupant.bare),
            "role": role or occupant.role,
        }
        if isOpen:
            attrs["jid"] = occupant.address
        return Element(USER, "item", attrs)

    # -- who is told ----------------------------------------------------------------------------------------------

    def presenceOf(self, occupant: Occupant, to: Occupant, codes: tuple[int, ...] = ()) -> Element:
        """The presence of an occupant as another sees it."""
        isOpen = not self.config.open or to.role == "moderator" or to is occupant
        x = Element(USER, "x", {}, self.item(occupant, isOpen))
        x.children += [Element(USER, "status", {"code": str(code)}) for code in codes]
        shown = occupant.presence.copy(**{"from": f"{self.jid}/{occupant.nick}"})
        shown.children = [
            child for child in shown.children if not (isinstance(child, Element) and child.ns in (MUC, USER))
        ]
        shown.children.append(x)
        return shown

    def tell(self, occupant: Occupant, codes: tuple[int, ...] = ()) -> None:
        """All see an occupant as it is now."""
        for other in self.occupants.values():
            seen = self.presenceOf(occupant, other, (110, *codes) if other is occupant else codes)
            for session in other.sessions.values():
                session.send(seen.copy(to=session.jid))

    def leave(self, occupant: Occupant, codes: tuple[int, ...] = (), *more: Element, affiliation: str = "") -> None:
        """An occupant goes; all are told, with these codes and what else is in the item."""
        for other in self.occupants.values():
            self._tellGone(occupant, other, codes, more, affiliation)
        self.occupants.pop(occupant.nick, None)
        for session in occupant.sessions.values():
            session.rooms.pop(self.jid, None)
        occupant.sessions.clear()

    def _tellGone(
        self,
        occupant: Occupant,
        other: Occupant,
        codes: tuple[int, ...],
        more: tuple[Element, ...],
        affiliation: str,
    ) -> None:
        isOpen = not self.config.open or other.role == "moderator" or other is occupant
        item = self.item(occupant, isOpen, "none", affiliation or None)
        item.children += more
        told = (*codes, 110) if other is occupant else codes
        x = Element(USER, "x", {}, item, *(Element(USER, "status", {"code": str(code)}) for code in told))
        isLeaving = occupant.presence.get("type") == "unavailable"
        shown = [each for each in occupant.presence.elements() if each.name == "status"] if isLeaving else []
        attrs = {"type": "unavailable", "from": f"{self.jid}/{occupant.nick}"}
        for session in other.sessions.values():
            session.send(Element(CLIENT, "presence", {**attrs, "to": session.jid}, *shown, x))

    def announce(self, *codes: int) -> None:
        """All are told that something about the room is new."""
        x = Element(USER, "x", {}, *(Element(USER, "status", {"code": str(code)}) for code in codes))
        self.broadcast(Element(CLIENT, "message", {"type": "groupchat", "from": self.jid}, x))

    def broadcast(self, message: Element) -> None:
        """Send to all."""
        for occupant in self.occupants.values():
            for session in occupant.sessions.values():
                session.send(message.copy(to=session.jid))
