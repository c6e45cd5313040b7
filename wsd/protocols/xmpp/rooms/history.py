"""The history of a room: the messages that new occupants are sent (XEP-0045 7.2.13 and 7.2.14)."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from wsd.protocols.xmpp.ledger import weight
from wsd.protocols.xmpp.rooms.muc import MUC
from wsd.protocols.xmpp.stanza import Element
from wsd.protocols.xmpp.values import INT, dateTime, number


class HistoryMessage(NamedTuple):
    """A message in the history."""

    entryId: int
    """The id of its entry in the store: the microsecond in which it arrived."""
    message: Element
    characters: int
    """Characters of its XML."""
    weight: int
    """Bytes of memory that it takes."""

    @property
    def seconds(self) -> float:
        """When it arrived, whatever <delay/> it contains."""
        return self.entryId / 1_000_000


def historyMessage(entryId: int, message: Element, characters: int) -> HistoryMessage:
    """A message for the history, with its size."""
    return HistoryMessage(entryId, message, characters, weight(message))


class HistoryRequest(NamedTuple):
    """The part of the history that a new occupant wants (XEP-0045 7.2.14)."""

    since: float = 0.0
    """Seconds since 1970."""
    maxStanzas: int = INT
    maxChars: int = INT
    """Limit of the characters of XML."""

    def choose(self, history: deque[HistoryMessage]) -> list[Element]:
        """The newest messages within all limits, oldest first."""
        chosen: list[Element] = []
        characters = 0
        for each in reversed(history):
            characters += each.characters
            if each.seconds < self.since or len(chosen) >= self.maxStanzas or characters > self.maxChars:
                break
            chosen.append(each.message)
        return chosen[::-1]


def readHistoryRequest(x: Element | None, now: float) -> HistoryRequest:
    """The request in the <x/> of presence that enters a room. Raises StanzaError."""
    asked = None if x is None else x.child(MUC, "history")
    if asked is None:
        return HistoryRequest()
    since = 0.0
    if "seconds" in asked.attrs:
        since = now - number(asked.get("seconds"), "seconds")
    if "since" in asked.attrs:
        since = max(since, dateTime(asked.get("since"), "since"))
    limits = (number(asked.get(name, str(INT)), name) for name in ("maxstanzas", "maxchars"))
    return HistoryRequest(since, *limits)
