"""The rows of rooms in the store: their kinds, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass

from wsd.protocols.xmpp.stanza import isText
from wsd.protocols.xmpp.store import RecordStore

ROOM, AFFILIATION = "room", "affiliation"
"""Kinds of records: the settings and the subject of a room, and the affiliations to it."""
HISTORY = "history"
"""A kind of entries: the messages that a room remembers."""

AFFILIATIONS = ("outcast", "none", "member", "admin", "owner")
"""From the least to the most (XEP-0045 5.2)."""


@dataclass(slots=True)
class StoredRoom:
    """The rows of a room."""

    jid: str
    config: str
    subject: str
    affiliations: dict[str, str]
    history: list[tuple[int, str]]


def loadRooms(store: RecordStore) -> list[StoredRoom]:
    """Reads everything that is stored for all rooms."""
    rooms = []
    for jid in store.owners(ROOM):
        if not isText(jid):
            # No other row can be found under this address.
            rooms.append(StoredRoom(jid, "", "", {}, []))
            continue
        records = store.load(ROOM, jid)
        rooms.append(
            StoredRoom(
                jid,
                records.get("config", "{}"),
                records.get("subject", ""),
                store.load(AFFILIATION, jid),
                store.entries(HISTORY, jid),
            )
        )
    return rooms
