"""
Checks an update before it is applied: Yjs' update format, version 1 (yjs `src/utils/UpdateDecoder.js`).

The library that applies updates allocates memory for the counts that an update names, and recurses into its nested
values: 200 kB can end the process. So counts may not exceed the bytes that follow, and nesting is limited.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from wsd.protocols.yjs.messages import MalformedMessage, Reader

_MOST_NESTED = 64
"""Arrays and objects within one another, in one value."""

_MOST_CONTINUED = 5000
"""Parts of one client that continue the part before. Yjs merges them; to merge many at once takes quadratic time."""

_MOST_PASSED = 20_000_000
"""
Items that applying may pass over to find the places of others, a few nanoseconds each.

One without a left neighbour, at a key of a map or before a certain item, passes all others at that place.
"""

_MOST_VALUES = 100_000
"""Values within one value of an array or a map. Checking them takes up to 30 milliseconds, which cannot be divided."""

_STEP = 256
"""Parts that are checked in one step: about two milliseconds."""

_MOST_CLOCK = 2**31 - 1
"""The clock of a client counts its insertions, a character each."""
_BEYOND = "an update has a clock beyond 2**31"

_ANY = 8
"""The reference of content that is a list of values."""

_GC, _SKIP = 0, 10
"""The references of structs that stand for deleted and for missing ones."""

_HAS_LEFT, _HAS_RIGHT, _HAS_PARENT_SUB = 0x80, 0x40, 0x20
_CONTENT = 0x1F

_XML_ELEMENT, _XML_HOOK = 3, 5
"""The references of types that have a name."""

_UNDEFINED, _NULL, _INTEGER, _FLOAT32, _FLOAT64, _BIGINT = 127, 126, 125, 124, 123, 122
_FALSE, _TRUE, _STRING, _OBJECT, _ARRAY, _BYTES = 121, 120, 119, 118, 117, 116
"""The tags of values (lib0 `encoding.writeAny`)."""

_FIXED = {_UNDEFINED: 0, _NULL: 0, _FALSE: 0, _TRUE: 0, _FLOAT32: 4, _FLOAT64: 8, _BIGINT: 8}
"""Bytes of a value behind its tag."""


def checkUpdate(update: bytes) -> None:
    """Raises MalformedMessage if an update is not complete and well-formed, or would take too long to apply."""
    for _ in updateChecks(update):
        pass


def updateChecks(update: bytes) -> Iterator[None]:
    """`checkUpdate` in steps of some milliseconds each: a large update takes a second."""
    reader, places = Reader(update), _Places()
    for _ in range(reader.count()):
        yield from _client(reader, places)
    places.check()
    deleted = 0
    for _ in range(reader.count()):
        reader.number()
        for _ in range(reader.count()):
            if _clock(reader) + _clock(reader) > _MOST_CLOCK:
                raise MalformedMessage(_BEYOND)
            deleted += 1
            if not deleted % _STEP:
                yield
    if not reader.isAtEnd:
        raise MalformedMessage("bytes follow the end of an update")


class _Places:
    """Counts the items that are to stand at the same place, and whatever might stand there before them."""

    def __init__(self) -> None:
        self._counts: dict[object, int] = {}
        self._most = 0
        self.parts = 0
        """The parts of the update so far."""

    def add(self, place: object) -> None:
        """Count an item without a left neighbour."""
        count = self._counts[place] = self._counts.get(place, 0) + 1
        self._most = max(self._most, count)

    def check(self) -> None:
        """Raises MalformedMessage if there are too many."""
        if self._most > 1 and self._most * self.parts > _MOST_PASSED:
            raise MalformedMessage(
                f"an update inserts {self._most} items at the same place, which takes too long; send fewer at a time"
            )


def _client(reader: Reader, places: _Places) -> Iterator[None]:
    """Read the structs of one client."""
    structs, client, clock = reader.count(), reader.number(), _clock(reader)
    continued = 0
    before = _CONTENT
    for number in range(structs):
        if not number % _STEP:
            places.check()
            yield
        places.parts += 1
        info = reader.byte()
        content = info & _CONTENT
        if content in (_GC, _SKIP):
            continued += content == before
            clock += reader.number()
        else:
            continued += _origin(reader, info, places) == (client, clock - 1)
            clock += (yield from _values(reader)) if content == _ANY else _content(reader, content)
        if clock > _MOST_CLOCK:
            raise MalformedMessage(_BEYOND)
        before = content
        if continued > _MOST_CONTINUED:
            raise MalformedMessage(
                f"an update has more than {_MOST_CONTINUED} parts that continue the part before; "
                "send the state of a document that has merged them"
            )


def _clock(reader: Reader) -> int:
    """Read a clock, or a number of clocks."""
    clock = reader.number()
    if clock > _MOST_CLOCK:
        raise MalformedMessage(_BEYOND)
    return clock


def _origin(reader: Reader, info: int, places: _Places) -> tuple[int, int] | None:
    """Read where an item stands. Returns what it was inserted after: a client, and a clock of that client."""
    left = (reader.number(), _clock(reader)) if info & _HAS_LEFT else None
    right = (reader.number(), _clock(reader)) if info & _HAS_RIGHT else None
    if left is not None:
        return left
    if right is not None:
        places.add(right)
        return None
    parent = reader.bytes_() if reader.number() == 1 else (reader.number(), _clock(reader))
    if info & _HAS_PARENT_SUB:
        places.add((parent, reader.bytes_()))
    return None


def _content(reader: Reader, kind: int) -> int:
    """Read the content of an item. Returns its length: by how much it advances its client's clock."""
    read = _CONTENTS.get(kind)
    if read is None:
        raise MalformedMessage(f"an update has content of the unknown kind {kind}")
    return read(reader)


def _string(reader: Reader) -> int:
    return len(reader.text().encode("utf-16-le")) // 2


def _one(reader: Reader) -> int:
    reader.bytes_()
    return 1


def _strings(reader: Reader) -> int:
    count = reader.count()
    for _ in range(count):
        reader.bytes_()
    return count


def _format(reader: Reader) -> int:
    reader.bytes_()
    reader.bytes_()
    return 1


def _type(reader: Reader) -> int:
    kind = reader.number()
    if kind in (_XML_ELEMENT, _XML_HOOK):
        reader.bytes_()
    elif kind > _XML_HOOK + 1:
        raise MalformedMessage(f"an update has a shared type of the unknown kind {kind}")
    return 1


def _values(reader: Reader) -> Generator[None, None, int]:
    count = reader.count()
    for number in range(1, count + 1):
        _value(reader, 0, [_MOST_VALUES])
        if not number % _STEP:
            yield
    return count


def _subdocument(reader: Reader) -> int:
    reader.bytes_()
    _value(reader, 0, [_MOST_VALUES])
    return 1


def _value(reader: Reader, depth: int, room: list[int]) -> None:
    """Read a value of any kind, which may have as many values within as `room` says."""
    tag = reader.byte()
    size = _FIXED.get(tag)
    if size is not None:
        reader.skip(size)
    elif tag in (_STRING, _BYTES):
        reader.bytes_()
    elif tag == _INTEGER:
        reader.number()
    elif tag in (_ARRAY, _OBJECT):
        if depth == _MOST_NESTED:
            raise MalformedMessage(f"an update has a value that is nested more than {_MOST_NESTED} deep")
        count = reader.count()
        room[0] -= count
        if room[0] < 0:
            raise MalformedMessage(f"an update has a value with more than {_MOST_VALUES} values within")
        for _ in range(count):
            if tag == _OBJECT:
                reader.bytes_()
            _value(reader, depth + 1, room)
    else:
        raise MalformedMessage(f"an update has a value of the unknown kind {tag}")


_CONTENTS: dict[int, Callable[[Reader], int]] = {
    1: Reader.number,
    2: _strings,
    3: _one,
    4: _string,
    5: _one,
    6: _format,
    7: _type,
    9: _subdocument,
}
"""Reads the content of an item, by its reference: deleted, JSON, binary, string, embed, format, type, any, document."""
