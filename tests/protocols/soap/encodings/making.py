"""Makes documents in binary by dice: any record at any place where it may be, with any value."""

from __future__ import annotations

import random

from wsd.protocols.soap.encodings.nbfs import STRINGS
from wsd.protocols.soap.encodings.nbfxvalues import IN_ARRAYS, VALUES
from wsd.protocols.soap.encodings.nbfxwriter import multiByte, string

_TEXTS = ("", "x", "a<b>&\"'\r\n\t", "é€", "\U0001f600", "]]>", "true", "AAAA" * 20, "x" * 300)
_LOCALS = ("a", "bcd", "Ünï", "n-1.x_", "true")
_NAMED = [2 * index for index, text in enumerate(STRINGS) if text.isalpha()]


class Maker:
    """The dice, and the numbers of names in the table of a session."""

    def __init__(self, dice: random.Random, names: list[int]) -> None:
        self._dice = dice
        self._numbers = [*_NAMED, *names]

    def document(self) -> bytes:
        """Returns a document. It may be wrong: a value may have no text."""
        return self._comment() + self._element(4) + self._comment()

    def _comment(self) -> bytes:
        return b"\x02" + string(self._dice.choice(_TEXTS)) if self._dice.random() < 0.05 else b""

    def _name(self, base: int, letters: int) -> bytes:
        """Returns the record of a name: with any of the ways to write its prefix, as a string or a number."""
        isNumber = self._dice.random() < 0.5
        name = multiByte(self._dice.choice(self._numbers)) if isNumber else string(self._dice.choice(_LOCALS))
        match self._dice.randrange(3):
            case 0:
                return bytes((base + 2 * isNumber,)) + name
            case 1:
                return bytes((base + 1 + 2 * isNumber,)) + string(self._dice.choice(_LOCALS)) + name
            case _:
                return bytes((letters + self._dice.randrange(26) + 26 * (not isNumber),)) + name

    def _start(self) -> bytes:
        return self._name(0x40, 0x44) + b"".join(self._attribute() for _ in range(self._dice.choice((0, 0, 1, 3))))

    def _attribute(self) -> bytes:
        match self._dice.randrange(5):
            case 0:
                return b"\x08" + string(self._dice.choice(_TEXTS))
            case 1:
                return b"\x09" + string(self._dice.choice(_LOCALS)) + string(self._dice.choice(_TEXTS))
            case 2:
                return b"\x0b" + string(self._dice.choice(_LOCALS)) + multiByte(self._dice.choice(self._numbers))
            case _:
                return self._name(0x04, 0x0C) + self._text(0)

    def _element(self, depth: int) -> bytes:
        inside = b"".join(self._content(depth - 1) for _ in range(self._dice.randrange(4))) if depth else b""
        return self._start() + inside + (self._text(1) if self._dice.random() < 0.5 else b"\x01")

    def _content(self, depth: int) -> bytes:
        match self._dice.randrange(4):
            case 0:
                return self._text(0)
            case 1:
                return self._array()
            case _:
                return self._comment() + self._element(depth)

    def _array(self) -> bytes:
        record, count = self._dice.choice(sorted(IN_ARRAYS)), self._dice.randrange(4)
        values = b"".join(self._value(record) for _ in range(count))
        return b"\x03" + self._start() + b"\x01" + bytes((record + 1,)) + multiByte(count) + values

    def _text(self, isLast: int) -> bytes:
        """Returns a text record. With `isLast` it also ends its element."""
        if self._dice.random() < 0.1:
            items = b"".join(bytes((record,)) + self._value(record) for record in self._records(3))
            return b"\xa4" + items + bytes((0xA6 | isLast,))
        (record,) = self._records(1)
        return bytes((record | isLast,)) + self._value(record)

    def _records(self, count: int) -> list[int]:
        return [self._dice.choice([*range(0x80, 0xA4, 2), *range(0xA8, 0xBE, 2)]) for _ in range(count)]

    def _value(self, record: int) -> bytes:
        """Returns the bytes of a value."""
        dice = self._dice
        if record in VALUES:
            size = VALUES[record][0]
            data = dice.choice((dice.randbytes(size), bytes(size), b"\xff" * size, dice.randbytes(1) + bytes(size - 1)))
            if record == 0x94:
                return (
                    data[:2]
                    + bytes((dice.randrange(29), dice.choice((0, 128))))
                    + dice.choice((bytes(4), data[4:8]))
                    + data[8:]
                )
            if record == 0x96:
                return (dice.randrange(3_155_378_976 * 10**9) | dice.randrange(4) << 62).to_bytes(8, "little")
            return bytes((data[0] & 1,)) if record == 0xB4 else data
        if 0x98 <= record < 0x9E or 0xB6 <= record < 0xBC:
            text = dice.choice(_TEXTS).encode("utf-8" if record < 0x9E else "utf-16-le")
            return self._sized(record - (0x98 if record < 0x9E else 0xB6), text)
        if 0x9E <= record < 0xA4:
            return self._sized(record - 0x9E, dice.randbytes(dice.randrange(100)))
        if record == 0xAA:
            return multiByte(dice.choice(self._numbers))
        return bytes((dice.randrange(26),)) + multiByte(dice.choice(self._numbers)) if record == 0xBC else b""

    @staticmethod
    def _sized(twice: int, data: bytes) -> bytes:
        """Returns bytes with their length: of one byte, two or four."""
        data = data[:254] if not twice else data
        return len(data).to_bytes(1 << twice // 2, "little") + data
