"""
The epochs of a topic in Redis, one after the other.

A Redis that restarts or fails over may have lost messages that it had acknowledged. Each topic then begins a new epoch,
whoever uses it first, and notes where the one before it ended. A position up to that end is still good. What lay beyond
it is lost, and the new messages there have positions of the new epoch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wsd.protocols.topics.position import Position

_EARLIER = re.compile(r"(\w+):(\d+) ", re.ASCII)


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a topic is, and how it came there."""

    epoch: str
    offset: int
    earlier: tuple[tuple[str, int], ...]
    """The epochs before, the oldest first, each with its last offset."""

    def at(self, offset: int) -> Position:
        """The position of a message. It stays what it was when the message was published."""
        for epoch, last in self.earlier:
            if offset <= last:
                return Position(epoch, offset)
        return Position(self.epoch, offset)

    @property
    def position(self) -> Position:
        """The place behind the newest message."""
        return self.at(self.offset)

    def has(self, position: Position) -> bool:
        """Whether Redis had everything up to this position."""
        if position.epoch == self.epoch:
            return position.offset <= self.offset
        return any(epoch == position.epoch and position.offset <= last for epoch, last in self.earlier)


def readLineage(epoch: bytes, offset: int, earlier: bytes) -> Lineage:
    """A lineage as the scripts write it: `EPOCH:OFFSET ` for each earlier epoch."""
    found = _EARLIER.findall(earlier.decode())
    return Lineage(epoch.decode(), offset, tuple((name, int(last)) for name, last in found))
