"""
Quarantine: a row of the store that cannot be read is set aside, logged once and counted; all other rows are read.

A file may be damaged, changed by hand, or written by a version that accepted more than this one. Such rows stay in the
file for a later repair. No row keeps the daemon from starting, or a user from logging in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from twisted.logger import Logger

from wsd.metrics import RouteCounters
from wsd.protocols.xmpp import credentials
from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.credentials import ScramKeys
from wsd.protocols.xmpp.framing import XmlLimits, parse
from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.records import BLOCKED, STREAM, StoredUser, readStream
from wsd.protocols.xmpp.rooms import records as rooms
from wsd.protocols.xmpp.rooms.config import RoomConfig
from wsd.protocols.xmpp.rosteritem import ROSTER, RosterItem
from wsd.protocols.xmpp.stanza import CLIENT, Element

_T = TypeVar("_T")

_CLOSED = RoomConfig(persistent=True, public=False, membersOnly=True).write()
"""The settings of a room whose own cannot be read. They admit members only, as the real ones might."""


def readMessage(xml: str, limits: XmlLimits) -> Element:
    """Parse a stored message. Raises ValueError or StreamError if it is not one."""
    message = parse(xml.encode(), limits)
    if (message.ns, message.name) != (CLIENT, "message"):
        raise ValueError(f"this is not a message but <{message.name}/>")
    parseJid(message.get("from"))
    return message


class QuarantineServer(Protocol):
    """The server whose rows are read."""

    @property
    def store(self) -> AsyncStore:
        """The store."""

    @property
    def counters(self) -> RouteCounters:
        """The counters of its route."""

    @property
    def storedLimits(self) -> XmlLimits:
        """Limits for what is read from the store."""


class Quarantine:
    """Reads the rows of a server. Those that cannot be read are put into quarantine, and left out of the result."""

    log = Logger(namespace="wsd")

    def __init__(self, server: QuarantineServer) -> None:
        self._server = server
        self._logged: set[tuple[str, str, str]] = set()
        """The kinds, owners and keys of the rows that were logged."""

    def report(self, kind: str, owner: str, key: str, error: Exception) -> None:
        """Log and count a row that cannot be read, once."""
        if (kind, owner, key) in self._logged:
            return
        self._logged.add((kind, owner, key))
        self._server.counters.unreadable += 1
        self.log.error(
            "in the store of xmpp, {kind} {key} of {owner} cannot be read and is set aside: {sentence}",
            event="xmpp.aside",
            kind=kind,
            key=_shown(key),
            owner=_shown(owner),
            sentence=_shown(str(error)) or type(error).__name__,
        )

    def record(self, kind: str, owner: str, key: str, error: Exception) -> None:
        """Report a record, and put it into quarantine."""
        self.report(kind, owner, key, error)
        self._server.store.quarantine(kind, owner, key)

    def message(self, kind: str, owner: str, entryId: int, xml: str) -> Element | None:
        """The message of an entry, None if it cannot be read."""
        try:
            return readMessage(xml, self._server.storedLimits)
        except Exception as error:
            self.report(kind, owner, str(entryId), error)
            self._server.store.quarantineEntry(entryId, owner)
            return None

    def keys(self, bare: str, kept: str | None, mechanism: str) -> ScramKeys | None:
        """The keys of a user, None if they cannot be read. Such a row stays in place: nobody else may take the name."""
        try:
            return None if kept is None else credentials.readKeys(kept, mechanism)
        except ValueError as error:
            self.report(credentials.USER, bare, "keys", error)
            return None

    def secret(self, kept: str) -> bytes | None:
        """The secret from which decoy keys are made, None if it cannot be read."""
        return self._read(credentials.SECRET, "", "decoy", bytes.fromhex, kept)

    def handled(self, bare: str, streamId: str, kept: str | None) -> int | None:
        """How many stanzas of a stream were handled, None if the row cannot be read."""
        stream = None if kept is None else self._read(STREAM, bare, streamId, readStream, kept)
        return None if stream is None else stream[0]

    def user(self, bare: str, kept: StoredUser, stale: float) -> StoredUser:
        """The readable rows of a user. Streams that were last used before `stale` are removed from the store."""
        for streamId, value in kept.streams.items():
            stream = self._read(STREAM, bare, streamId, readStream, value)
            if stream is not None and stream[1] < stale:
                self._server.store.put(STREAM, bare, streamId, None)
        return kept._replace(
            roster=self._readable(ROSTER, bare, kept.roster, RosterItem.read),
            blocked=self._readable(BLOCKED, bare, kept.blocked, _readBlocked),
        )

    def room(self, kept: rooms.StoredRoom) -> rooms.StoredRoom | None:
        """The readable rows of a room, None if its address cannot be read."""
        jid, limits = kept.jid, self._server.storedLimits
        if self._read(rooms.ROOM, jid, "config", _readRoom, jid) is None:
            self._server.store.quarantine(rooms.ROOM, jid, "subject")
            return None
        config, subject = kept.config, kept.subject
        if self._read(rooms.ROOM, jid, "config", RoomConfig.read, config) is None:
            config = _CLOSED
            self._server.store.put(rooms.ROOM, jid, "config", config)
        if subject and self._read(rooms.ROOM, jid, "subject", readMessage, subject, limits) is None:
            subject = ""
        return replace(
            kept,
            config=config,
            subject=subject,
            affiliations=self._readable(rooms.AFFILIATION, jid, kept.affiliations, _readAffiliation),
            history=[entry for entry in kept.history if self.message(rooms.HISTORY, jid, *entry) is not None],
        )

    def _readable(
        self, kind: str, owner: str, records: dict[str, str], read: Callable[[str, str], object]
    ) -> dict[str, str]:
        return {
            key: value for key, value in records.items() if self._read(kind, owner, key, read, key, value) is not None
        }

    def _read(self, kind: str, owner: str, key: str, read: Callable[..., _T], *arguments: Any) -> _T | None:
        try:
            return read(*arguments)
        except Exception as error:
            # Readers check little: whatever they raise comes from the row.
            self.record(kind, owner, key, error)
            return None


def _shown(text: str) -> str:
    """The text for the log, with surrogates spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _readBlocked(address: str, _: str) -> str:
    """Check the address of a block list. Raises ValueError."""
    if parseJid(address).full != address:
        raise ValueError(f"{address!r} is not in prepared form")
    return address


def _readRoom(jid: str) -> str:
    """Check the address of a room. Raises ValueError."""
    address = parseJid(jid)
    if not address.local or address.full != jid:
        raise ValueError(f"{jid!r} is not the address of a room")
    return jid


def _readAffiliation(bare: str, affiliation: str) -> str:
    """Check an affiliation of a room. Raises ValueError."""
    if parseJid(bare).bare != bare or affiliation not in rooms.AFFILIATIONS:
        raise ValueError(f"{affiliation!r} is not an affiliation of {bare!r}")
    return affiliation
