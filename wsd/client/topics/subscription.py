"""A subscription of a client of topics: what it asks for, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message of a topic, or, with a `sender`, one for this member alone."""

    topic: str
    payload: Any
    """A value of JSON, a str (with the form "text"), or bytes."""
    form: str
    """How it was sent: "data" (JSON), "text" or "binary"."""
    position: str | None = None
    key: str | None = None
    mediaType: str | None = None
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of a topic or filter are lost."""

    topic: str
    position: str | None = None
    """Where the topic is now."""
    skipped: int | None = None
    """How many, if this client read too slowly."""


@dataclass(frozen=True, slots=True)
class SubscriptionOptions:
    """What the application asks for, and what it is to be called with."""

    onMessage: Callable[[ReceivedMessage], object]
    since: str | None
    history: int
    last: bool
    onGap: Callable[[Gap], object] | None
    onPresence: Callable[[dict[str, Any]], object] | None
    onMembers: Callable[[list[dict[str, Any]]], object] | None


class Subscription:
    """One topic or filter."""

    def __init__(self, topic: str, options: SubscriptionOptions, close: Callable[[Subscription], None]) -> None:
        self.topic = topic
        self.options = options
        self.isFilter = "+" in topic or "#" in topic
        self.position = options.since
        """Where it is; give it as `since` to go on there another time."""
        self.ready: Deferred[None] = Deferred()
        """Fires when the server has granted it; or fails with `TopicsError`."""
        self._close = close
        self._levels = topic.split("/")
        self._own: set[str] = set()
        """Positions of messages of ours that may come when we resume, and are not to be delivered then."""
        self._replayed = ("", 0)
        """The end of what comes since we resumed."""

    def close(self) -> None:
        """Unsubscribe."""
        self._close(self)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the request that begins it, or resumes it."""
        options = self.options
        presence = True if options.onPresence or options.onMembers else None
        if self.position is None:
            return given(history=options.history or None, last=options.last or None, presence=presence)
        isFirst = not self.ready.called
        return given(since=self.position, last=(isFirst and options.last) or None, presence=presence)

    def matches(self, topic: str) -> bool:
        """Whether it is of this topic."""
        levels = topic.split("/")
        if levels[0].startswith("$") and self._levels[0] in ("+", "#"):
            return False
        for number, level in enumerate(self._levels):
            if level == "#":
                return True
            if number >= len(levels) or level not in ("+", levels[number]):
                return False
        return len(levels) == len(self._levels)

    def advance(self, position: str) -> None:
        """Everything up to this position has come. Messages of ours that follow need not come."""
        epoch, offset = _parse(position)
        was, before = _parse(self.position or "-0")
        self._own = {own for own in self._own if _parse(own)[0] == epoch and _parse(own)[1] > offset}
        if epoch == was and offset <= before:
            return
        while (own := f"{epoch}-{offset + 1}") in self._own:
            offset += 1
            if epoch != self._replayed[0] or offset > self._replayed[1]:
                self._own.discard(own)
        self.position = f"{epoch}-{offset}"

    def resumed(self, position: str) -> None:
        """The messages up to this position are coming, ours among them."""
        self._replayed = _parse(position)

    def published(self, position: str) -> None:
        """A message of ours was published there: it must not come to us when we resume."""
        if self.isFilter or not self.ready.called:
            return
        self._own.add(position)
        epoch, offset = _parse(self.position or "-0")
        if position == f"{epoch}-{offset + 1}":
            self.advance(position)

    def took(self, message: ReceivedMessage) -> bool:
        """Note its position. Returns whether it is to be delivered."""
        isOwn = message.position in self._own
        if not self.isFilter and message.position is not None:
            self.advance(message.position)
        return not isOwn


def messageOf(fields: dict[str, Any], payload: bytes | None) -> ReceivedMessage:
    """The message that the server has sent."""
    form = "binary" if payload is not None else "text" if "text" in fields else "data"
    return ReceivedMessage(
        fields["topic"],
        fields[form] if payload is None else payload,
        form,
        fields.get("position"),
        fields.get("key"),
        fields.get("type"),
        fields.get("from"),
    )


def given(**fields: Any) -> dict[str, Any]:
    """Those fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def _parse(position: str) -> tuple[str, int]:
    epoch, _, offset = position.partition("-")
    return epoch, int(offset)
