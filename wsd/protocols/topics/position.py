"""
Positions in a topic, written `epoch-offset`.

Offsets count a topic's messages from 1. The epoch names one life of that count: it changes when the topic lost what it
knew, so an old position is never mistaken for a new one.
"""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple

from wsd.protocols.topics.errors import TopicError

_POSITION = re.compile(r"([A-Za-z0-9_]{1,32})-(0|[1-9][0-9]{0,18})", re.ASCII)


class Position(NamedTuple):
    """The place right behind a message, or with offset 0 the place before the first."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"

    @property
    def before(self) -> Position:
        """The place right before the message of this position."""
        return Position(self.epoch, self.offset - 1)


def readPosition(text: str) -> Position:
    """A position as a client gives it back. Raises TopicError("bad_position")."""
    found = _POSITION.fullmatch(text)
    if found is None:
        raise TopicError(
            "bad_position",
            f"{text[:60]!r} is not a position; use one from the server, such as 4f2c81d0-17",
        )
    return Position(found[1], int(found[2]))


def newEpoch() -> str:
    """An epoch that was never used before."""
    return secrets.token_hex(4)
