"""
The messages of y-websocket, which are binary: numbers as in lib0, and the sync and awareness protocols of y-protocols.

A number is written in groups of seven bits, the lowest group first; the high bit of a byte says that another follows
(lib0 `encoding.writeVarUint`). Bytes and strings are preceded by their length.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

_MOST_DIGITS = 10
"""Bytes of a number. JavaScript's largest, 2**53 - 1, takes eight."""


class MessageType(IntEnum):
    """The first number of a message (y-websocket)."""

    SYNC = 0
    AWARENESS = 1
    AUTH = 2
    QUERY_AWARENESS = 3


class SyncStep(IntEnum):
    """The second number of a sync message (y-protocols `sync.js`)."""

    STATE_VECTOR = 0
    """Step 1: what the sender has; the answer is step 2."""
    MISSING = 1
    """Step 2: an update with what the sender of step 1 does not have."""
    UPDATE = 2


class MalformedMessage(ValueError):
    """Raised for a message that is not of the format, with a sentence for the client."""


class Reader:
    """Reads the parts of a message in order. Each method raises MalformedMessage at the end of the data."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def isAtEnd(self) -> bool:
        """Whether everything is read."""
        return self._position >= len(self._data)

    def number(self) -> int:
        """Read a number."""
        value = 0
        for shift in range(0, 7 * _MOST_DIGITS, 7):
            if self.isAtEnd:
                raise MalformedMessage("a message ends within a number")
            byte = self._data[self._position]
            self._position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise MalformedMessage(f"a number has more than {_MOST_DIGITS} bytes")

    def byte(self) -> int:
        """Read one byte."""
        if self.isAtEnd:
            raise MalformedMessage("a message ends before it is complete")
        self._position += 1
        return self._data[self._position - 1]

    def count(self) -> int:
        """Read the number of parts that follow, each of which takes at least one byte."""
        count = self.number()
        if count > len(self._data) - self._position:
            raise MalformedMessage(f"{count} parts are announced, and {len(self._data) - self._position} bytes follow")
        return count

    def skip(self, length: int) -> None:
        """Skip bytes."""
        self._position += length
        if self._position > len(self._data):
            raise MalformedMessage("a message ends before it is complete")

    def bytes_(self) -> bytes:
        """Read bytes with their length before them."""
        length = self.number()
        start, self._position = self._position, self._position + length
        if self._position > len(self._data):
            raise MalformedMessage(f"{length} bytes are announced, and {len(self._data) - start} follow")
        return self._data[start : self._position]

    def text(self) -> str:
        """Read a string in UTF-8 with its length in bytes before it."""
        try:
            return self.bytes_().decode()
        except UnicodeDecodeError:
            raise MalformedMessage("a string is not UTF-8") from None


def number(value: int) -> bytes:
    """Returns a number as it is written."""
    written = bytearray()
    while value > 127:
        written.append(128 | value & 127)
        value >>= 7
    written.append(value)
    return bytes(written)


def sized(data: bytes) -> bytes:
    """Returns bytes with their length before them."""
    return number(len(data)) + data


def syncMessage(step: SyncStep, data: bytes) -> bytes:
    """Returns a sync message with a state vector or an update."""
    return bytes((MessageType.SYNC, step)) + sized(data)


@dataclass(frozen=True, slots=True)
class ClientState:
    """The awareness of one client: anything in JSON, such as a name and the position of a cursor."""

    client: int
    clock: int
    """Increases with each change, so that an older state never replaces a newer one."""
    state: str
    """JSON; "null" says that the client is gone."""


GONE = "null"
"""The state of a client that is gone."""


def awarenessMessage(states: list[ClientState]) -> bytes:
    """Returns a message with the states of clients."""
    update = number(len(states)) + b"".join(
        number(each.client) + number(each.clock) + sized(each.state.encode()) for each in states
    )
    return bytes((MessageType.AWARENESS,)) + sized(update)


def readAwareness(update: bytes, most: int) -> list[ClientState]:
    """Reads an awareness update with the states of at most `most` clients. Raises MalformedMessage."""
    reader = Reader(update)
    count = reader.number()
    if count > most:
        raise MalformedMessage(f"an awareness update has {count} clients; at most {most} are allowed")
    return [ClientState(reader.number(), reader.number(), reader.text()) for _ in range(count)]
