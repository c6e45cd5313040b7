"""
[MC-NBFX]: writes an envelope, which is XML text, in the binary format of WCF. `nbfxreader` has the records.

Names and texts that a table has are written as their numbers. A text is written as the record that is smallest and
reads as the same text: the canonical base64 of bytes as these bytes, `urn:uuid:` with a UUID as its 16 bytes, 0, 1,
true and false as one byte, and all else in UTF-8.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64, b2a_base64
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID
from xml.parsers.expat import ParserCreate

from wsd.protocols.soap.encodings import nbfs

_END = b"\x01"
_ELEMENT, _ATTRIBUTE, _XMLNS = 0x40, 0x04, 0x08
_LETTERS_OF_ELEMENTS, _LETTERS_OF_ATTRIBUTES = 0x44, 0x0C
_CHARACTERS, _BYTES, _EMPTY, _DICTIONARY, _UNIQUE_ID = 0x98, 0x9E, 0xA8, 0xAA, 0xAC
_SINGLE = {"": _EMPTY, "0": 0x80, "1": 0x82, "false": 0x84, "true": 0x86}
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
LEAST_BASE64 = 64
"""A shorter base64 saves too little to look for it."""
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BUFFER = 1 << 20


class Names(Protocol):
    """The strings that are written as numbers."""

    sent: dict[str, int]
    """The numbers of those that [MC-NBFS] does not have."""

    def numberOf(self, text: str) -> int | None:
        """Returns the number of a string, None for one that is written out."""


class Static:
    """The strings of [MC-NBFS] alone, for messages without a session."""

    __slots__ = ("sent",)

    def __init__(self) -> None:
        self.sent: dict[str, int] = {}

    def numberOf(self, text: str) -> int | None:
        """Returns the number of a string, None for one that is written out."""
        return nbfs.NUMBERS.get(text)


STATIC = Static()


def writeDocument(text: str, names: Names = STATIC) -> bytes:
    """Returns well-formed XML without a DTD as a document in binary."""
    writer = DocumentWriter(names)
    parser: Any = ParserCreate()
    parser.ordered_attributes = True
    parser.buffer_text = True
    parser.buffer_size = min(max(len(text), 1024), _BUFFER)
    parser.StartElementHandler = writer.start
    parser.EndElementHandler = writer.end
    parser.CharacterDataHandler = writer.texts.append
    parser.Parse(text, True)
    return b"".join(writer.out)


class DocumentWriter:
    """Takes the events of a parser, and keeps the records in `out`."""

    __slots__ = ("_isAction", "_names", "out", "texts")

    def __init__(self, names: Names) -> None:
        self._names = names
        self._isAction = False
        self.out: list[bytes] = []
        self.texts: list[str] = []
        """The text since the last tag, which may come in pieces."""

    def start(self, name: str, attributes: list[str]) -> None:
        """Called with the start of an element."""
        if self.texts:
            self._writeText(0)
        self._isAction = name.endswith(":Action")
        self.out.append(self._named(name, _ELEMENT, _LETTERS_OF_ELEMENTS))
        for index in range(0, len(attributes), 2):
            self._attribute(attributes[index], attributes[index + 1])

    def end(self, name: str) -> None:
        """Called with the end of an element."""
        if self.texts:
            self._writeText(1)
        else:
            self.out.append(_END)

    def _writeText(self, isLast: int) -> None:
        text = "".join(self.texts)
        self.texts.clear()
        number = self._names.numberOf(text) if self._isAction else nbfs.NUMBERS.get(text)
        self._isAction = False
        self.out.append(_textOf(text, isLast) if number is None else _numbered(_DICTIONARY | isLast, number))

    def _attribute(self, name: str, value: str) -> None:
        if name == "xmlns" or name.startswith("xmlns:"):
            number = self._names.numberOf(value)
            prefix = string(name[6:]) if len(name) > 5 else b""
            record = _XMLNS + (1 if prefix else 0) + (0 if number is None else 2)
            self.out.append(bytes((record,)) + prefix + (string(value) if number is None else multiByte(number)))
            return
        self.out.append(self._named(name, _ATTRIBUTE, _LETTERS_OF_ATTRIBUTES))
        number = nbfs.NUMBERS.get(value)
        self.out.append(_textOf(value, 0) if number is None else _numbered(_DICTIONARY, number))

    def _named(self, name: str, base: int, letters: int) -> bytes:
        """Returns the record of a name with its prefix."""
        prefix, _, local = name.rpartition(":")
        number = self._names.numberOf(local)
        written = string(local) if number is None else multiByte(number)
        if len(prefix) == 1 and "a" <= prefix <= "z":
            return bytes((letters + ord(prefix) - 97 + (26 if number is None else 0),)) + written
        record = base + (0 if number is None else 2)
        return bytes((record + 1,)) + string(prefix) + written if prefix else bytes((record,)) + written


def _textOf(text: str, isLast: int) -> bytes:
    """Returns the record of a text. `isLast` is 1 if it ends its element."""
    single = _SINGLE.get(text)
    if single is not None:
        return bytes((single | isLast,))
    if len(text) == 45 and _UUID.fullmatch(text):
        return bytes((_UNIQUE_ID | isLast,)) + UUID(text[9:]).bytes_le
    if len(text) >= LEAST_BASE64:
        data = bytesOf(text)
        if data is not None:
            return _sized(_BYTES | isLast, data)
    return _sized(_CHARACTERS | isLast, text.encode())


def bytesOf(text: str) -> bytes | None:
    """Returns the bytes whose canonical base64 a text is (XOP 1.0, 1.2), None for any other text."""
    if len(text) % 4 or not _BASE64.fullmatch(text):
        return None
    try:
        data = a2b_base64(text)
    except Error:
        return None
    return data if b2a_base64(data, newline=False).decode() == text else None


def _sized(record: int, data: bytes) -> bytes:
    """Returns one of three records, with a length of one, two or four bytes."""
    size = len(data)
    if size < 1 << 8:
        return bytes((record, size)) + data
    if size < 1 << 16:
        return bytes((record + 2,)) + size.to_bytes(2, "little") + data
    return bytes((record + 4,)) + size.to_bytes(4, "little") + data


def _numbered(record: int, number: int) -> bytes:
    return bytes((record,)) + multiByte(number)


@lru_cache(2048)
def multiByte(number: int) -> bytes:
    """Returns a MultiByteInt31 (2.1.2.2)."""
    data = bytearray()
    while number >= 0x80:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def string(text: str) -> bytes:
    """Returns a string: its length in bytes, and its bytes (2.1.2.3)."""
    data = text.encode()
    return multiByte(len(data)) + data
