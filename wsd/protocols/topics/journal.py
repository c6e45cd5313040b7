"""The journal of topics: everything that the file backend keeps, in one SQLite file. Used on a thread."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsd.config.stores import markAsOpened, openStore, transaction, wasRestored
from wsd.protocols.topics.position import Position, newEpoch
from wsd.protocols.topics.publication import Publication, TopicMessage

_SCHEMA = """
CREATE TABLE IF NOT EXISTS topic (
    name TEXT PRIMARY KEY, epoch TEXT NOT NULL, offset INTEGER NOT NULL, used REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message (
    topic TEXT NOT NULL, offset INTEGER NOT NULL, payload BLOB NOT NULL, binary INTEGER NOT NULL, key TEXT,
    removal INTEGER NOT NULL, ttl REAL, type TEXT, at REAL NOT NULL,
    PRIMARY KEY (topic, offset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS last (
    topic TEXT NOT NULL, key TEXT NOT NULL, offset INTEGER NOT NULL, payload BLOB NOT NULL, binary INTEGER NOT NULL,
    ttl REAL, type TEXT, at REAL NOT NULL,
    PRIMARY KEY (topic, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS once (
    topic TEXT NOT NULL, once TEXT NOT NULL, epoch TEXT NOT NULL, offset INTEGER NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (topic, once)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS once_at ON once (at);
"""


@dataclass(slots=True)
class TopicState:
    """A topic as it is now, without its messages."""

    name: str
    epoch: str
    offset: int
    used: float
    first: int
    """The offset of the oldest message of the history, or the one behind the newest message if there is none."""


@dataclass(slots=True)
class Changes:
    """What a batch of publishes has changed."""

    topics: list[TopicState] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    """Topics that are gone; one of the same name may be among `topics` again."""
    messages: list[Publication] = field(default_factory=list)
    """New messages, without those that the history dropped at once."""
    last: list[tuple[str, str, Publication | None]] = field(default_factory=list)
    """Topic, key, and the new last value; None for a key that is removed."""
    once: list[tuple[str, str, Position, float]] = field(default_factory=list)
    """Topic, idempotency key, position, and when it was published."""
    onceSince: float = 0.0
    """Idempotency keys from before this time are forgotten."""

    @property
    def isEmpty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.topics or self.dropped)


@dataclass(slots=True)
class Kept:
    """What a journal has kept."""

    topics: list[TopicState]
    messages: list[Publication]
    last: list[tuple[str, Publication]]
    once: list[tuple[str, str, Position, float]]


class Journal:
    """The file. Its methods raise sqlite3.Error and OSError."""

    def __init__(self, path: Path) -> None:
        self._db = openStore(path, _SCHEMA)
        if wasRestored(self._db):
            self._renew()

    def _renew(self) -> None:
        """
        Give each topic a new epoch. A backup knows less than some clients do.

        Otherwise the next messages would get offsets that these clients believe they have read.
        """
        with transaction(self._db):
            epochs = self._db.execute("SELECT name, epoch FROM topic").fetchall()
            renewed = [(newEpoch(), name, epoch) for name, epoch in epochs]
            self._db.executemany("UPDATE once SET epoch = ? WHERE topic = ? AND epoch = ?", renewed)
            self._db.executemany("UPDATE topic SET epoch = ? WHERE name = ? AND epoch = ?", renewed)
            markAsOpened(self._db)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def write(self, changes: Changes) -> None:
        """Write a batch. It is on the disk when this returns, as a whole or not at all."""
        with transaction(self._db):
            for name in changes.dropped:
                for table in ("message", "last"):
                    self._db.execute(f"DELETE FROM {table} WHERE topic = ?", (name,))
                self._db.execute("DELETE FROM topic WHERE name = ?", (name,))
            self._db.executemany(
                "INSERT OR REPLACE INTO topic VALUES (?, ?, ?, ?)",
                ((topic.name, topic.epoch, topic.offset, topic.used) for topic in changes.topics),
            )
            self._db.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_row, changes.messages))
            self._db.executemany(
                "DELETE FROM message WHERE topic = ? AND offset < ?",
                ((topic.name, topic.first) for topic in changes.topics),
            )
            self._writeLast(changes.last)
            self._db.executemany(
                "INSERT OR REPLACE INTO once VALUES (?, ?, ?, ?, ?)",
                ((topic, once, position.epoch, position.offset, at) for topic, once, position, at in changes.once),
            )
            if changes.once:
                self._db.execute("DELETE FROM once WHERE at < ?", (changes.onceSince,))

    def _writeLast(self, last: Iterable[tuple[str, str, Publication | None]]) -> None:
        for topic, key, publication in last:
            if publication is None:
                self._db.execute("DELETE FROM last WHERE topic = ? AND key = ?", (topic, key))
            else:
                topic, offset, payload, binary, key, _, ttl, mediaType, at = _row(publication)
                self._db.execute(
                    "INSERT OR REPLACE INTO last VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (topic, key, offset, payload, binary, ttl, mediaType, at),
                )

    def probe(self) -> None:
        """Write something, to learn whether that is possible."""
        with transaction(self._db):
            self._db.execute("DELETE FROM once WHERE at < 0")
            self._db.execute("PRAGMA user_version = 1")

    def load(self) -> Kept:
        """Everything that is kept, the topic that was unused for the longest time first."""
        topics = [
            TopicState(name, epoch, offset, used, 0)
            for name, epoch, offset, used in self._db.execute("SELECT * FROM topic ORDER BY used")
        ]
        epochs = {topic.name: topic.epoch for topic in topics}
        messages = [
            _publication(epochs[topic], topic, *row)
            for topic, *row in self._db.execute("SELECT * FROM message ORDER BY topic, offset")
        ]
        last = [
            (key, _publication(epochs[topic], topic, offset, payload, binary, key, 0, *row))
            for topic, key, offset, payload, binary, *row in self._db.execute("SELECT * FROM last ORDER BY topic, at")
        ]
        once = [
            (topic, key, Position(epoch, offset), at)
            for topic, key, epoch, offset, at in self._db.execute("SELECT * FROM once ORDER BY at")
        ]
        return Kept(topics, messages, last, once)


def _row(publication: Publication) -> tuple[Any, ...]:
    message = publication.message
    return (
        publication.topic,
        publication.position.offset,
        message.payload,
        message.isBinary,
        message.key,
        message.isRemoval,
        message.ttl,
        message.mediaType,
        publication.at,
    )


def _publication(
    epoch: str,
    topic: str,
    offset: int,
    payload: bytes,
    binary: int,
    key: str | None,
    removal: int,
    ttl: float | None,
    mediaType: str | None,
    at: float,
) -> Publication:
    message = TopicMessage(bytes(payload), bool(binary), key, bool(removal), ttl, None, mediaType)
    return Publication(topic, Position(epoch, offset), message, at)
