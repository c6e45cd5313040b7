"""
The access lines: which of them are written, and how a flood of lines is kept from filling the disk.

An access line tells of one connection or HTTP request, as some other lines do. The first lines of a kind in a minute
are written. Further ones are counted, and the last of them is written after the minute with the number of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network

from twisted.logger import LogEvent, LogLevel

ACCESS = frozenset(
    {
        "connection.opened",
        "connection.closed",
        "connection.left",
        "connection.raw",
        "request.answered",
        "request.left",
        "request.refused",
    }
)
"""The events that are access lines."""

_LIMITED = ACCESS | {
    "handler.refused",
    "tls.refused",
    "proxy.dropped",
    "soap.unanswered",
    "soap.unauthenticated",
    "soap.user",
}
"""Events that any client can cause as often as it likes."""

_SOUND = frozenset({"peer_closed", "closed", "lost", "shutdown", "operator"})
"""Causes of connections that ended as they should, or whose client went away."""

MINUTE = 60.0
ALIKE = 60
"""The most lines of one kind in a minute."""


@dataclass(frozen=True)
class AccessSettings:
    """How access lines are written."""

    isEnabled: bool = True
    sample: float = 1.0
    """The share of the connections and requests without a failure that are written."""
    perMinute: int = 6000
    """The most lines in a minute that clients can cause, 0 for no limit."""

    def includes(self, event: LogEvent) -> bool:
        """
        Whether an access line belongs to the sample. Failures always do.

        The id decides, so that all lines of a connection are written, or none.
        """
        if not self.isEnabled:
            return False
        return self.sample == 1 or _hasFailed(event) or int(str(event["id"])[:6], 16) < self.sample * 0x1000000


def _hasFailed(event: LogEvent) -> bool:
    if event.get("event") == "connection.closed":
        return event.get("cause") not in _SOUND
    return int(event.get("status", 0)) >= 400


class LimitedLines:
    """Writes events, but not all of those that clients can cause as often as they like."""

    def __init__(self, write: Callable[[LogEvent], object], most: int) -> None:
        self._write = write
        self._limit = RepeatLimit(most)

    def __call__(self, event: LogEvent) -> None:
        """Write an event, unless it is one too many."""
        now = event.get("log_time", 0.0)
        limit = self._limit
        if not limit.begin <= now < limit.end:
            self.flush(now)
        if event.get("event") not in _LIMITED or limit.allows(event):
            self._write(event)

    def flushAfterMinute(self, now: float) -> None:
        """Flush if the minute is over, or the clock was set back."""
        if not self._limit.begin <= now < self._limit.end:
            self.flush(now)

    def flush(self, now: float) -> None:
        """Begin a new minute: write how many lines were left out in the last one."""
        for event in self._limit.leftOut(now):
            self._write(event)


class _Kind:
    """The lines of one kind in this minute."""

    __slots__ = ("last", "leftOut", "written")

    def __init__(self) -> None:
        self.written = self.leftOut = 0
        self.last: LogEvent = {}


class RepeatLimit:
    """Counts the lines of a minute: those of each kind from one address, and all together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.begin = self.end = 0.0
        """When the minute began, and when it is over."""
        self._written = self._omitted = 0
        self._kinds: dict[tuple[object, ...], _Kind] = {}

    def allows(self, event: LogEvent) -> bool:
        """Count an event. Returns whether it may be written."""
        # What makes two lines alike. The client chooses the path, so it does not count.
        get = event.get
        key = (event["event"], _clientIn(get("peer", "")), get("route"), get("cause"), get("code"), get("status"))
        kind = self._kinds.get(key)
        if kind is not None and kind.written >= ALIKE:
            kind.leftOut += 1
            kind.last = event
            return False
        if self._most and self._written >= self._most:
            self._omitted += 1
            return False
        if kind is None:
            # Never more kinds than lines: a flood from many addresses costs no more memory.
            kind = self._kinds[key] = _Kind()
        kind.written += 1
        self._written += 1
        return True

    def leftOut(self, now: float) -> Iterator[LogEvent]:
        """Begin a new minute. Returns the events that tell what was left out in the last one."""
        kinds, self._kinds = self._kinds, {}
        omitted, self._omitted = self._omitted, 0
        self.begin, self.end, self._written = now, now + MINUTE, 0
        for kind in kinds.values():
            if kind.leftOut:
                yield _repeated(kind.last, kind.leftOut - 1)
        if omitted:
            sentence = "omitted {count} lines that clients caused; the limit per minute is {most} (access.per_minute)"
            yield _warning(now, sentence, event="log.omitted", count=omitted, most=self._most)


def _repeated(event: LogEvent, others: int) -> LogEvent:
    """The last event that was left out, with the number of the others like it."""
    if not others:
        return event
    return {**event, "log_format": f"{event['log_format']}; and {others:,} like it", "repeats": others}


def _clientIn(peer: str) -> str:
    """The address of a peer without its port, or the network of an IPv6 address."""
    if peer[:1] == "[":
        return networkOf(peer[1 : peer.find("]")])
    host, colon, _ = peer.rpartition(":")
    if not colon:
        return peer
    return networkOf(peer) if ":" in host else host


@lru_cache(1024)
def networkOf(address: str) -> str:
    """The /64 of an IPv6 address, all of which belongs to one client."""
    try:
        return str(ip_network((address, 64), strict=False))
    except ValueError:
        return address


def _warning(now: float, template: str, **fields: object) -> LogEvent:
    """A warning by the log itself."""
    return {**fields, "log_format": template, "log_level": LogLevel.warn, "log_namespace": "wsd", "log_time": now}
