"""The rows of a user in the store: their kinds, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from wsd.protocols.xmpp import credentials
from wsd.protocols.xmpp.ledger import cost
from wsd.protocols.xmpp.rosteritem import ROSTER
from wsd.protocols.xmpp.store import RecordStore

BLOCKED, STREAM = "blocked", "stream"
"""Kinds of records: blocked addresses, and how many stanzas of a resumable stream were handled."""
OFFLINE = "offline"
"""A kind of entries: messages that wait for their user."""

STALE = 86400.0
"""Seconds after which the count of a stream is no longer kept for a client that may resume it."""


class StoredUser(NamedTuple):
    """The rows of a user."""

    exists: bool
    roster: dict[str, str]
    blocked: dict[str, str]
    waiting: dict[int, int]
    """The cost in bytes of each waiting message, by its id."""
    streams: Mapping[str, str] = MappingProxyType({})


def loadUser(store: RecordStore, bare: str) -> StoredUser:
    """Reads everything that is stored for a user."""
    return StoredUser(
        credentials.has(store, bare),
        store.load(ROSTER, bare),
        store.load(BLOCKED, bare),
        {entryId: cost(value) for entryId, value in store.entries(OFFLINE, bare)},
        store.load(STREAM, bare),
    )


def readStream(kept: str) -> tuple[int, float]:
    """The number of handled stanzas of a stream, and when it was last used. Raises ValueError."""
    handled, _, seconds = kept.partition(" ")
    if not 0 <= int(handled) < 1 << 32:
        raise ValueError(f"{handled} is not a number of stanzas")
    return int(handled), float(seconds)


class EntryIds:
    """Ids for entries of the store: the microsecond of the entry. They grow, across restarts too."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last = 0

    def next(self) -> int:
        """Returns a new id, greater than all before."""
        self._last = max(self._last + 1, int(self._now() * 1_000_000))
        return self._last

    def passed(self, last: int) -> None:
        """Make all new ids greater than this one, which the store has, whatever the clock says."""
        self._last = max(self._last, last)
