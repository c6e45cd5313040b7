"""User: who has sessions, a roster and a list of the blocked; and what of it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from wsd.protocols.xmpp import credentials
from wsd.protocols.xmpp.blocking import BLOCKED
from wsd.protocols.xmpp.ledger import cost
from wsd.protocols.xmpp.roster import ROSTER, Item
from wsd.protocols.xmpp.stanza import Element
from wsd.protocols.xmpp.store import RecordStore

if TYPE_CHECKING:
    from wsd.protocols.xmpp.session import Session

OFFLINE, STREAM = "offline", "stream"
"""A kind of entries, and one of records: how much was handled of a stream that may be resumed."""

STALE = 86400.0
"""Seconds after which nobody resumes any more."""


class Kept(NamedTuple):
    """What the store has of a user."""

    exists: bool
    roster: dict[str, str]
    blocked: dict[str, str]
    waiting: dict[int, int]
    streams: Mapping[str, str] = MappingProxyType({})


def readStream(kept: str) -> tuple[int, float]:
    """The number of handled stanzas of a stream, and when it was last used. Raises ValueError."""
    handled, _, seconds = kept.partition(" ")
    if not 0 <= int(handled) < 1 << 32:
        raise ValueError(f"{handled} is not a number of stanzas")
    return int(handled), float(seconds)


def load(store: RecordStore, bare: str) -> Kept:
    """Everything stored for a user."""
    return Kept(
        credentials.has(store, bare),
        store.load(ROSTER, bare),
        store.load(BLOCKED, bare),
        {id: cost(value) for id, value in store.entries(OFFLINE, bare)},
        store.load(STREAM, bare),
    )


class User:
    """One user, in memory while there are sessions, and a while longer."""

    def __init__(self, bare: str, isAnonymous: bool, kept: Kept) -> None:
        self.bare = bare
        self.isAnonymous = isAnonymous
        self.roster = {jid: Item.read(jid, value) for jid, value in kept.roster.items()}
        self.blocked = set(kept.blocked)
        self.waiting = kept.waiting
        """The stored messages, each with its cost in bytes."""
        self.sessions: dict[str, Session] = {}
        """By resource."""

    def available(self) -> list[Session]:
        """The sessions whose presence is known."""
        return [session for session in self.sessions.values() if session.presence is not None]

    def best(self) -> list[Session]:
        """The available sessions of the highest priority, where it is not negative (RFC 6121 8.5.2.1.1)."""
        willing = [session for session in self.available() if session.priority >= 0]
        highest = max((session.priority for session in willing), default=0)
        return [session for session in willing if session.priority == highest]

    def interested(self) -> list[Session]:
        """The sessions that asked for the roster."""
        return [session for session in self.sessions.values() if session.isInterested]

    def grants(self, jid: str) -> bool:
        """Whether who has this bare address may see our presence."""
        return jid == self.bare or (jid in self.roster and self.roster[jid].hasFrom)

    def sees(self, jid: str) -> bool:
        """Whether we may see the presence of who has this bare address."""
        return jid == self.bare or (jid in self.roster and self.roster[jid].hasTo)

    def toOwn(self, stanza: Element) -> None:
        """To each available session."""
        for session in self.available():
            session.send(stanza.copy(to=session.jid))
