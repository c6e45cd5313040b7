"""
[MC-NBFX]: reads a document in the binary format of WCF, and writes it as XML text.

A document is a row of records. The first byte of a record says what it is (2.1.2):

| first byte | record | section |
|---|---|---|
| 01 | the end of an element | 2.2.4.1 |
| 02 | a comment, which is skipped | 2.2.4.2 |
| 03 | an array: one element, then the type, the count and the values | 2.2.4.3 |
| 04 - 07, 0C - 3F | an attribute: prefix, name, and a text record | 2.2.2 |
| 08 - 0B | a namespace declaration | 2.2.2 |
| 40 - 77 | the start of an element: prefix and name | 2.2.1 |
| 80 - BD | a text; with an odd number it also ends the element | 2.2.3 |

A name is a string of the document, or the number of one in a table ([MC-NBFS], and in a session [MC-NBFSE]). A prefix
of one letter is part of the first byte. Lengths and numbers are MultiByteInt31 (2.1.2.2): seven bits a byte, the lowest
first, at most five bytes. A string is a length and that many bytes of UTF-8 (2.1.2.3).

A few bytes can stand for a long name, or for many elements. So the XML text is counted while it is written: the reader
stops at the bounds of an envelope, before it uses more memory.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import partial

from wsd.protocols.soap.encodings import nbfs
from wsd.protocols.soap.encodings.encoding import TooLarge, Unreadable
from wsd.protocols.soap.encodings.nbfxvalues import IN_ARRAYS, VALUES
from wsd.protocols.soap.reader import MOST_ATTRIBUTES, MOST_ELEMENTS, MOST_LEVELS

NAME = re.compile(
    "[A-Z_a-z\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff]"
    "[-.0-9A-Z_a-z\xb7\xc0-\xd6\xd8-\xf6\xf8-\u037d\u037f-\u1fff\u200c\u200d\u203f\u2040\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff]*"
)
"""A name without a colon (Namespaces in XML 1.0, 3)."""
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What is no character of XML (XML 1.0, 2.2)."""
_IN_CONTENT = re.compile("[&<>\r]")
_IN_ATTRIBUTE = re.compile('[&<>"\t\n\r]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}

_END, _COMMENT, _ARRAY = 0x01, 0x02, 0x03
_ATTRIBUTES, _ELEMENTS, _PAST_ELEMENTS, _TEXTS = 0x04, 0x40, 0x78, 0x80
_START_LIST, _END_LIST = 0xA4, 0xA6
_OF_ELEMENT, _OF_ATTRIBUTE = 5, 4
"""The characters of an element and of an attribute beside their names and values: <></> and a space, =""."""
MOST_TEXTS = 100_000
"""Limit of the texts, items of lists and comments together. Each may be a single byte."""


def readDocument(data: bytes, start: int, strings: Sequence[str], most: int) -> bytes:
    """
    Returns the document that begins at `start` as XML in UTF-8, of at most `most` bytes.

    `strings` are those of the session. Raises `Unreadable`, or `TooLarge`.
    """
    return DocumentReader(data, start, strings, most).read()


def multiByteAt(data: bytes, at: int) -> tuple[int, int]:
    """Returns a MultiByteInt31 (2.1.2.2), and the offset after it. Raises `Unreadable`."""
    value = shift = 0
    for index, byte in enumerate(data[at : at + 5]):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if value < 1 << 31:
                return value, at + index + 1
            break
    if shift < 35 and value < 1 << 31:
        raise Unreadable("the message ends inside a record", len(data))
    raise Unreadable("a number has more than 31 bits", at)


class DocumentReader:
    """Reads one document. Every method that reads moves `_at`, the offset of the next byte."""

    __slots__ = (
        "_at",
        "_attributes",
        "_data",
        "_elements",
        "_left",
        "_most",
        "_names",
        "_open",
        "_out",
        "_strings",
        "_texts",
    )

    def __init__(self, data: bytes, start: int, strings: Sequence[str], most: int) -> None:
        self._data = data
        self._at = start
        self._strings = strings
        self._most = most
        self._left = most
        self._elements = 0
        self._attributes = 0
        self._texts = 0
        self._out: list[str] = []
        self._open: list[str] = []
        self._names: set[str] = set()

    def read(self) -> bytes:
        """Returns the document as XML in UTF-8. Raises `Unreadable` or `TooLarge`."""
        try:
            self._readAll()
        except IndexError:
            raise Unreadable("the message ends inside a record", len(self._data)) from None
        except UnicodeDecodeError as error:
            raise Unreadable(f"a text is not valid {error.encoding}", self._at) from None
        text = "".join(self._out).encode()
        if len(text) > self._most:
            raise TooLarge(self._most)
        return text

    def _readAll(self) -> None:
        data, isBegun = self._data, False
        while self._at < len(data):
            record = data[self._at]
            self._at += 1
            if _ELEMENTS <= record < _PAST_ELEMENTS and (self._open or not isBegun):
                isBegun = True
                self._element(record)
            elif record == _COMMENT:
                self._countText()
                self._checked(self._take(self._length()).decode())
            elif not self._open:
                raise self._wrong(record)
            elif record >= _TEXTS:
                self._text(record)
            elif record == _END:
                self._out.append(f"</{self._open.pop()}>")
            elif record == _ARRAY:
                self._array()
            else:
                raise self._wrong(record)
        if self._open or not isBegun:
            raise IndexError

    def _wrong(self, record: int) -> Unreadable:
        return Unreadable(f"there is no record {record:02X} in this place", self._at - 1)

    # -- what records are made of -----------------------------------------------------------------------------------

    def _take(self, size: int) -> bytes:
        """Returns the next bytes. Raises IndexError if there are fewer."""
        at = self._at
        self._at = end = at + size
        if end > len(self._data):
            raise IndexError
        return self._data[at:end]

    def _length(self) -> int:
        value = self._data[self._at]
        if value < 0x80:
            self._at += 1
        else:
            value, self._at = multiByteAt(self._data, self._at)
        return value

    def _fixed(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _known(self) -> str:
        """Returns the string of a table whose number comes next."""
        at = self._at
        number = self._length()
        strings = self._strings if number & 1 else nbfs.STRINGS
        if number >> 1 >= len(strings):
            raise Unreadable(f"there is no string {number} in the table", at)
        return strings[number >> 1]

    def _name(self, isNumber: bool) -> str:
        """Returns a name: a string of the document, or one of a table."""
        at = self._at
        if isNumber:
            text = self._known()
            if text in self._names:
                return text
        else:
            text = self._take(self._length()).decode()
        if not NAME.fullmatch(text):
            raise Unreadable("a name has a character that no name of XML has", at)
        if isNumber:
            self._names.add(text)
        return text

    def _qualified(self, record: int, base: int, letters: int) -> str:
        """
        Returns the name of an element or attribute with its prefix.

        `base` is the first of the four records that begin with a whole prefix or have none, `letters` the first of
        those whose prefix is a letter: 26 with the number of a name, then 26 with a name.
        """
        if record < base + 4:
            isNumber = record - base >= 2
            if not (record - base) & 1:
                return self._name(isNumber)
            prefix = self._name(False)
            return f"{prefix}:{self._name(isNumber)}"
        letter = record - letters
        return f"{chr(97 + letter % 26)}:{self._name(letter < 26)}"

    def _spend(self, size: int) -> None:
        """Counts characters of the XML text. Raises `TooLarge`."""
        self._left -= size
        if self._left < 0:
            raise TooLarge(self._most)

    # -- elements and attributes ------------------------------------------------------------------------------------

    def _element(self, record: int) -> None:
        """Reads the start of an element, with its attributes (2.2.1)."""
        name = self._qualified(record, _ELEMENTS, 0x44)
        self._spend(2 * len(name) + _OF_ELEMENT)
        self._elements += 1
        if self._elements > MOST_ELEMENTS:
            raise Unreadable(f"an envelope has at most {MOST_ELEMENTS} elements; send less at once", self._at)
        out = self._out
        out.append(f"<{name}")
        data = self._data
        while _ATTRIBUTES <= data[self._at] < _ELEMENTS:
            record = data[self._at]
            self._at += 1
            self._attribute(record)
        out.append(">")
        self._open.append(name)
        if len(self._open) > MOST_LEVELS:
            raise Unreadable(f"an envelope has at most {MOST_LEVELS} levels", self._at)

    def _attribute(self, record: int) -> None:
        """Reads an attribute or a namespace declaration (2.2.2)."""
        self._attributes += 1
        if self._attributes > MOST_ATTRIBUTES:
            raise Unreadable(f"an envelope has at most {MOST_ATTRIBUTES} attributes", self._at)
        if 0x08 <= record <= 0x0B:
            name = f"xmlns:{self._name(False)}" if record & 1 else "xmlns"
            value = self._known() if record >= 0x0A else self._take(self._length()).decode()
        else:
            name = self._qualified(record, _ATTRIBUTES, 0x0C)
            record = self._data[self._at]
            self._at += 1
            if record < _TEXTS or record & 1:
                raise self._wrong(record)
            value = self._value(record)
            if record == _START_LIST and self._data[self._at - 1] & 1:
                raise self._wrong(_END_LIST + 1)
        value = self._escaped(value, _IN_ATTRIBUTE)
        self._spend(len(name) + len(value) + _OF_ATTRIBUTE)
        self._out.append(f' {name}="{value}"')

    def _array(self) -> None:
        """Reads an array: as many elements as it has values, all with the same name and attributes (2.2.4.3)."""
        record = self._take(1)[0]
        if not _ELEMENTS <= record < _PAST_ELEMENTS:
            raise self._wrong(record)
        first = len(self._out)
        self._element(record)
        start, end = "".join(self._out[first:]), f"</{self._open.pop()}>"
        del self._out[first:]
        self._left += len(start) + len(end)
        if self._take(1)[0] != _END:
            raise self._wrong(self._data[self._at - 1])
        record = self._take(1)[0] - 1
        if record not in IN_ARRAYS:
            raise self._wrong(record + 1)
        size, read = VALUES[record]
        at = self._at
        count = self._length()
        values = self._take(count * size)
        self._elements += count
        self._attributes += count * start.count('="')
        if self._elements > MOST_ELEMENTS or self._attributes > MOST_ATTRIBUTES:
            raise Unreadable(
                f"an envelope has at most {MOST_ELEMENTS} elements and {MOST_ATTRIBUTES} attributes, arrays included",
                at,
            )
        self._spend(count * (len(start) + len(end)))
        for index in range(0, len(values), size):
            text = self._typed(read, values[index : index + size])
            self._spend(len(text))
            self._out.append(f"{start}{text}{end}")

    # -- texts ------------------------------------------------------------------------------------------------------

    def _text(self, record: int) -> None:
        """Reads a text in an element, and the end of the element if the number of the record is odd (2.2.3)."""
        if record == _START_LIST + 1:
            raise self._wrong(record)
        text = self._escaped(self._value(record & 0xFE), _IN_CONTENT)
        if record == _START_LIST:
            # The record that ends a list says whether the element ends, too.
            record = self._data[self._at - 1]
        if text:
            self._spend(len(text))
            self._out.append(text)
        if record & 1:
            self._out.append(f"</{self._open.pop()}>")

    def _value(self, record: int) -> str:
        """Returns the text of a record."""
        read = _READERS.get(record)
        if read is None:
            raise self._wrong(record)
        self._countText()
        return read(self)

    def _countText(self) -> None:
        self._texts += 1
        if self._texts > MOST_TEXTS:
            raise Unreadable(f"an envelope has at most {MOST_TEXTS} texts", self._at)

    def _typed(self, read: Callable[[bytes], str], data: bytes) -> str:
        try:
            return read(data)
        except ValueError as error:
            raise Unreadable(str(error), self._at) from None

    def _checked(self, text: str) -> str:
        """Returns a text. Raises `Unreadable` for a character that XML cannot have."""
        if not text.isprintable():
            found = _FORBIDDEN.search(text)
            if found is not None:
                raise Unreadable(f"XML cannot have the character U+{ord(found[0]):04X}", self._at)
        return text

    def _escaped(self, text: str, special: re.Pattern[str]) -> str:
        """Returns a text as XML."""
        return special.sub(_escape, text) if special.search(self._checked(text)) else text

    def _characters(self, width: int) -> str:
        return self._take(self._fixed(width)).decode()

    def _utf16(self, width: int) -> str:
        return self._take(self._fixed(width)).decode("utf-16-le")

    def _bytes(self, width: int) -> str:
        data = self._take(self._fixed(width))
        if len(data) // 3 * 4 > self._left:
            raise TooLarge(self._most)
        return b64encode(data).decode()

    def _qname(self) -> str:
        """Returns a QName: a prefix of one letter, and the number of a name (2.2.3.31)."""
        letter = self._take(1)[0]
        if letter > 25:
            raise Unreadable("the prefix of a QName is one letter, 0 to 25", self._at - 1)
        return f"{chr(97 + letter)}:{self._name(True)}"

    def _list(self) -> str:
        """Returns the items of a list, separated by spaces (2.2.3.22)."""
        items: list[str] = []
        size = 0
        while (record := self._take(1)[0]) & 0xFE != _END_LIST:
            if record & 1 or record == _START_LIST:
                raise self._wrong(record)
            item = self._value(record)
            items.append(item)
            size += len(item) + 1
            if size - 1 > self._left:
                raise TooLarge(self._most)
        return " ".join(items)


def _escape(found: re.Match[str]) -> str:
    return _ESCAPES[found[0]]


def _constant(text: str) -> Callable[[DocumentReader], str]:
    return lambda reader: text


def _sized(size: int, read: Callable[[bytes], str]) -> Callable[[DocumentReader], str]:
    return lambda reader: reader._typed(read, reader._take(size))


_READERS: dict[int, Callable[[DocumentReader], str]] = {
    0x80: _constant("0"),
    0x82: _constant("1"),
    0x84: _constant("false"),
    0x86: _constant("true"),
    0xA8: _constant(""),
    _START_LIST: DocumentReader._list,
    0xAA: DocumentReader._known,
    0xBC: DocumentReader._qname,
    **{record: _sized(size, read) for record, (size, read) in VALUES.items()},
    **{0x98 + 2 * index: partial(DocumentReader._characters, width=width) for index, width in enumerate((1, 2, 4))},
    **{0x9E + 2 * index: partial(DocumentReader._bytes, width=width) for index, width in enumerate((1, 2, 4))},
    **{0xB6 + 2 * index: partial(DocumentReader._utf16, width=width) for index, width in enumerate((1, 2, 4))},
}
"""What reads each text record, by its even number."""
