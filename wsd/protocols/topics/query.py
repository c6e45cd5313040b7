"""What a plain client asks for in its URL: the topic or filter, and the fields of the query."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import unquote

from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.names import checkFilter, checkName, isFilter
from wsd.protocols.topics.position import Position, readPosition
from wsd.protocols.topics.publication import TopicMessage

_FIELDS = ("echo", "history", "since", "key", "last", "role", "token")
_ROLES = ("both", "publisher", "subscriber")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?", re.ASCII)

MAX_WAIT = 60.0
"""Seconds that a long poll may wait."""
MAX_TTL = 10 * 365 * 86400.0
MAX_KEY = 200
"""Bytes of a key, in UTF-8."""


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked for."""

    echo: bool = False
    """Whether it is sent what it publishes itself, too."""
    history: int = 0
    """How many of the newest messages it is sent first."""
    since: Position | None = None
    """It is sent first what was published behind this position."""
    key: str | None = None
    """Its messages become the topic's last value of this key."""
    last: bool = False
    """Whether it is sent the last values first."""
    role: str = "both"
    isRoleGiven: bool = False
    """Whether the role was asked for; without it, a client does what it may."""

    @property
    def publishes(self) -> bool:
        """Whether it publishes."""
        return self.role != "subscriber"

    @property
    def subscribes(self) -> bool:
        """Whether it subscribes."""
        return self.role != "publisher"

    @property
    def replays(self) -> bool:
        """Whether it receives earlier messages."""
        return self.last or self.history > 0 or self.since is not None


@dataclass(frozen=True, slots=True)
class ReadQuery:
    """What a GET asks for."""

    history: int | None = None
    """How many of the newest messages; None for as many as there are."""
    since: Position | None = None
    last: bool = False
    wait: float | None = None
    """Seconds to wait for a message."""
    isEnveloped: bool = False
    """Whether events have the fields of the enveloped form."""
    isReconnection: bool = False
    """Whether `since` is from the header Last-Event-ID, and nothing else was asked for."""

    @property
    def replays(self) -> bool:
        """Whether an event stream begins with earlier messages."""
        return self.last or bool(self.history) or self.since is not None


@dataclass(frozen=True, slots=True)
class WriteQuery:
    """What a POST asks for, beside its body."""

    key: str | None = None
    ttl: float | None = None
    once: str | None = None

    def applied(self, message: TopicMessage, number: int | None = None) -> TopicMessage:
        """The message with what was asked for; `number` is its number among those published at once."""
        once = self.once if self.once is None or number is None else f"{self.once}/{number}"
        isRemoval = self.key is not None and not message.isBinary and message.payload == b"null"
        return replace(message, key=self.key, isRemoval=isRemoval, ttl=self.ttl, once=once)


def readReadQuery(queries: dict[str, str], pattern: str, lastEventId: str | None) -> ReadQuery:
    """What a GET asks for at a topic or filter; the header Last-Event-ID counts as `since`. Raises TopicError."""
    _checkNames(queries, ("history", "since", "last", "wait", "envelope", "token"))
    since = lastEventId or queries.get("since")
    query = ReadQuery(
        history=_number(queries, "history") if "history" in queries else None,
        since=readPosition(since) if since else None,
        last=_flag(queries, "last"),
        wait=_seconds(queries, "wait", MAX_WAIT) if "wait" in queries else None,
        isEnveloped=_flag(queries, "envelope"),
        isReconnection=bool(lastEventId) and not queries.keys() & {"history", "since", "last"},
    )
    if isFilter(pattern) and (query.history is not None or query.since is not None or query.wait is not None):
        raise TopicError("filter", "a filter has no history; use a topic, or ?last")
    if query.since is not None and query.history is not None and lastEventId is None:
        raise TopicError("bad_query", "use either since or history, not both")
    return query


def readWriteQuery(queries: dict[str, str], once: str | None) -> WriteQuery:
    """
    What a POST asks for; `once` is its Idempotency-Key, which a beacon can only send as `?once`. Raises TopicError.
    """
    _checkNames(queries, ("key", "once", "ttl", "token"))
    name = "Idempotency-Key" if once is not None else "once"
    once = once if once is not None else queries.get("once")
    if once is not None and not 0 < len(once) <= MAX_KEY:
        raise TopicError("bad_query", f"{name} must have 1 to {MAX_KEY} characters")
    ttl = _seconds(queries, "ttl", MAX_TTL) if "ttl" in queries else None
    return WriteQuery(_key(queries), ttl, once)


def patternOf(path: str) -> tuple[str, tuple[str, ...]]:
    """A topic or filter and its levels, from what a percent-encoded path has below the route's. Raises TopicError."""
    try:
        pattern = unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise TopicError("bad_topic", f"{path[:60]!r} is not percent-encoded UTF-8") from None
    return pattern, checkFilter(pattern) if isFilter(pattern) else checkName(pattern)


def readQuery(queries: dict[str, str], pattern: str) -> Query:
    """What a query asks for at a topic or filter. Raises TopicError."""
    _checkNames(queries, _FIELDS)
    role = queries.get("role", "both")
    if role not in _ROLES:
        raise TopicError("bad_query", f"role={role[:40]!r} is not a role; write publisher, subscriber or both")
    query = Query(
        echo=_flag(queries, "echo"),
        history=_number(queries, "history"),
        since=readPosition(queries["since"]) if "since" in queries else None,
        key=_key(queries),
        last=_flag(queries, "last"),
        role=role if "role" in queries or not isFilter(pattern) else "subscriber",
        isRoleGiven="role" in queries,
    )
    _checkTogether(query, pattern)
    return query


def _checkTogether(query: Query, pattern: str) -> None:
    """Fields that contradict each other, or the filter."""
    if query.since is not None and query.history:
        raise TopicError("bad_query", "use either since or history, not both")
    if isFilter(pattern):
        if query.publishes:
            raise TopicError("filter", f"{pattern!r} is a filter, and only topics can be published to")
        if query.since is not None or query.history:
            raise TopicError("filter", "a filter has no history; use a topic, or ?last")
    if not query.publishes and query.key is not None:
        raise TopicError("bad_query", "key is only for publishers")
    if not query.subscribes and (query.echo or query.replays):
        raise TopicError("bad_query", "a publisher receives nothing; remove echo, history, since and last")


def checkKey(key: str) -> str:
    """A key of a last value. Raises TopicError("bad_query")."""
    if not key or len(key.encode("utf-8", "replace")) > MAX_KEY or not key.isprintable():
        raise TopicError("bad_query", f"{key[:40]!r} is not a key; write 1 to {MAX_KEY} bytes of printable text")
    return key


def _checkNames(queries: dict[str, str], known: tuple[str, ...]) -> None:
    for name in queries:
        if name not in known:
            raise TopicError("bad_query", f"{name[:40]!r} is unknown; the parameters are {', '.join(known)}")


def _seconds(queries: dict[str, str], name: str, most: float) -> float:
    text = queries[name]
    if not _SECONDS.fullmatch(text) or not 0 < float(text) <= most:
        raise TopicError("bad_query", f"{name}={text[:40]!r} is not a number of seconds above 0 and up to {most:g}")
    return float(text)


def _key(queries: dict[str, str]) -> str | None:
    return checkKey(queries["key"]) if "key" in queries else None


def _flag(queries: dict[str, str], name: str) -> bool:
    if queries.get(name, "1") not in ("", "1", "true"):
        raise TopicError("bad_query", f"{name}={queries[name][:40]!r} takes no value; write {name} alone")
    return name in queries


def _number(queries: dict[str, str], name: str) -> int:
    text = queries.get(name, "0")
    if not _NUMBER.fullmatch(text):
        raise TopicError("bad_query", f"{name}={text[:40]!r} is not a number of messages; write one such as 10")
    return int(text)
