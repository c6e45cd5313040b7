# cython: language_level=3, wraparound=False, cdivision=True, embedsignature=True
"""
_nbfx: reads and writes documents of [MC-NBFX] in C.

What it does not know it leaves to Python, from the beginning of the document: `nbfxreader` for a document that is wrong
or too large, which then says why, and `nbfxwriter` for what no answer has. Every byte that is read is checked to be
within the message, and every byte that is written within the limit.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

cdef extern from "Python.h":
    char* PyOS_double_to_string(double value, char format, int precision, int flags, int* kind) except NULL
    double PyOS_string_to_double(const char* text, char** end, PyObject* overflow) except? -1.0

from wsd.protocols.soap.encodings.nbfs import NUMBERS, STRINGS
from wsd.protocols.soap.encodings.nbfxreader import MOST_TEXTS, NAME
from wsd.protocols.soap.encodings.nbfxvalues import IN_ARRAYS, VALUES
from wsd.protocols.soap.encodings.nbfxwriter import LEAST_BASE64, bytesOf
from wsd.protocols.soap.reader import MOST_ATTRIBUTES, MOST_ELEMENTS, MOST_LEVELS

cdef enum:
    END = 0x01
    COMMENT = 0x02
    ARRAY = 0x03
    ATTRIBUTES = 0x04
    XMLNS = 0x08
    PAST_XMLNS = 0x0C
    ELEMENTS = 0x40
    PAST_ELEMENTS = 0x78
    TEXTS = 0x80
    CHARACTERS = 0x98
    BYTES = 0x9E
    START_LIST = 0xA4
    END_LIST = 0xA6
    EMPTY = 0xA8
    DICTIONARY = 0xAA
    UNIQUE_ID = 0xAC
    LETTERS_OF_ATTRIBUTES = 0x0C
    LETTERS_OF_ELEMENTS = 0x44
    LEVELS = 256         # the room for open elements
    FIRST = 65536        # the most that a buffer begins with: a message is not trusted to become large
    NOT_KNOWN = -1       # instead of the number of a string

    # Kinds of ASCII characters, as bits.
    STARTS_NAME = 1
    IN_NAME = 2
    IN_CONTENT = 4       # as it is
    IN_ATTRIBUTE = 8     # as it is
    IN_BASE64 = 16
    IN_XML = 32          # at all

assert MOST_LEVELS == LEVELS
cdef int _MOST_ELEMENTS = MOST_ELEMENTS
cdef int _MOST_ATTRIBUTES = MOST_ATTRIBUTES
cdef int _MOST_TEXTS = MOST_TEXTS
cdef Py_ssize_t _LEAST_BASE64 = LEAST_BASE64
cdef list _STRINGS = list(STRINGS)
cdef dict _NUMBERS = NUMBERS
cdef Py_ssize_t _LONGEST = max(len(text.encode()) for text in NUMBERS)
cdef dict _VALUES = VALUES
cdef const char* _DIGITS = "0123456789abcdef"
cdef const char* _BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
cdef uint64_t _SECOND = 10_000_000                          # ticks
cdef uint64_t _MOST_TICKS = 3_155_378_975_999_999_999       # the last moment of the year 9999
cdef uint8_t _kinds[256]


cdef void _setKinds() noexcept:
    cdef int c
    for c in range(256):
        _kinds[c] = 0
        if c >= 0x20 or c in (9, 10, 13):
            _kinds[c] |= IN_XML
        if c >= 0x20 and c not in b"&<>":
            _kinds[c] |= IN_CONTENT
            if c != 34:
                _kinds[c] |= IN_ATTRIBUTE
        if c in (9, 10):
            _kinds[c] |= IN_CONTENT
        if 65 <= c <= 90 or 97 <= c <= 122:
            _kinds[c] |= STARTS_NAME | IN_NAME | IN_BASE64
        elif 48 <= c <= 57:
            _kinds[c] |= IN_NAME | IN_BASE64
        elif c == 95:
            _kinds[c] |= STARTS_NAME | IN_NAME
        elif c in b"-.":
            _kinds[c] |= IN_NAME
        elif c in b"+/=":
            _kinds[c] |= IN_BASE64


_setKinds()


class Otherwise(Exception):
    """Raised inside for a document that is left to Python."""


cdef class Buffer:
    """Bytes that grow up to a limit."""

    cdef uint8_t* data
    cdef Py_ssize_t size, room, most

    def __dealloc__(self):
        PyMem_Free(self.data)

    cdef int reserve(self, Py_ssize_t more) except -1:
        """Make room. Raises `Otherwise` beyond the limit."""
        cdef Py_ssize_t room
        cdef void* data
        if more > self.most - self.size:
            raise Otherwise
        if more > self.room - self.size:
            room = max(2 * self.room, self.size + more)
            data = PyMem_Realloc(self.data, room)
            if data == NULL:
                raise MemoryError
            self.data = <uint8_t*>data
            self.room = room
        return 0

    cdef inline int put(self, const void* data, Py_ssize_t size) except -1:
        if size > self.room - self.size or size > self.most - self.size:
            self.reserve(size)
        memcpy(self.data + self.size, data, size)
        self.size += size
        return 0

    cdef inline int putByte(self, uint8_t byte) except -1:
        if self.size >= self.room or self.size >= self.most:
            self.reserve(1)
        self.data[self.size] = byte
        self.size += 1
        return 0

    cdef bytes whole(self):
        return PyBytes_FromStringAndSize(<const char*>self.data, self.size)


cdef Buffer newBuffer(Py_ssize_t first, Py_ssize_t most):
    """Returns a buffer with a little room."""
    cdef Buffer buffer = Buffer.__new__(Buffer)
    buffer.most = most
    buffer.reserve(min(first, FIRST, most))
    return buffer


cdef inline Py_ssize_t characterAt(const uint8_t* at, Py_ssize_t left) noexcept:
    """Returns the size of a character beyond ASCII, 0 if it is no UTF-8 (RFC 3629 4) or no character of XML."""
    cdef uint8_t first = at[0]
    cdef uint8_t second
    if first < 0xC2 or first > 0xF4 or left < 2:
        return 0
    second = at[1]
    if second & 0xC0 != 0x80:
        return 0
    if first < 0xE0:
        return 2
    if left < 3 or at[2] & 0xC0 != 0x80:
        return 0
    if first < 0xF0:
        if (first == 0xE0 and second < 0xA0) or (first == 0xED and second > 0x9F):
            return 0
        return 0 if first == 0xEF and second == 0xBF and at[2] > 0xBD else 3
    if left < 4 or at[3] & 0xC0 != 0x80 or (first == 0xF0 and second < 0x90) or (first == 0xF4 and second > 0x8F):
        return 0
    return 4


cdef bint isName(const uint8_t* text, Py_ssize_t size) except -1:
    """Returns whether a text is a name without a colon (Namespaces in XML 1.0, 3)."""
    cdef Py_ssize_t index
    if size == 0:
        return False
    for index in range(size):
        if text[index] >= 0x80:
            try:
                return NAME.fullmatch(PyUnicode_DecodeUTF8(<const char*>text, size, NULL)) is not None
            except UnicodeDecodeError:
                return False
        if not _kinds[text[index]] & (IN_NAME if index else STARTS_NAME):
            return False
    return True


# -- reading ----------------------------------------------------------------------------------------------------------


def readDocument(bytes data not None, Py_ssize_t start, strings, Py_ssize_t most):
    """
    Returns the document that begins at `start` as XML in UTF-8, of at most `most` bytes.

    `strings` are those of the session. Returns None for a document that is not valid, or larger.
    """
    if start < 0 or start > len(data):
        raise IndexError(start)
    cdef Reader reader = Reader.__new__(Reader)
    reader.at = <const uint8_t*>PyBytes_AS_STRING(data) + start
    reader.end = <const uint8_t*>PyBytes_AS_STRING(data) + PyBytes_GET_SIZE(data)
    reader.strings = strings if type(strings) is list else list(strings)
    try:
        reader.out = newBuffer(4 * PyBytes_GET_SIZE(data) + 1024, most)
        reader.read()
    except Otherwise:
        return None
    return reader.out.whole()


cdef class Reader:
    """Reads one document, as `nbfxreader.DocumentReader`, which has the sections of the records."""

    cdef const uint8_t* at           # the next byte, up to
    cdef const uint8_t* end
    cdef list strings
    cdef Buffer out
    cdef int elements, attributes, texts, levels
    cdef Py_ssize_t names[LEVELS]    # where in `out` the name of each open element begins
    cdef Py_ssize_t sizes[LEVELS]    # and its size

    cdef int read(self) except -1:
        cdef uint8_t record
        cdef bint isBegun = False
        while self.at < self.end:
            record = self.at[0]
            self.at += 1
            if ELEMENTS <= record < PAST_ELEMENTS and (self.levels or not isBegun):
                isBegun = True
                self.element(record)
            elif record == COMMENT:
                self.comment()
            elif not self.levels:
                raise Otherwise
            elif record >= TEXTS:
                self.text(record)
            elif record == END:
                self.endElement()
            elif record == ARRAY:
                self.array()
            else:
                raise Otherwise
        if self.levels or not isBegun:
            raise Otherwise
        return 0

    # -- what records are made of

    cdef const uint8_t* take(self, Py_ssize_t size) except NULL:
        """Returns the next bytes, which are there."""
        cdef const uint8_t* at = self.at
        if size > self.end - at:
            raise Otherwise
        self.at += size
        return at

    cdef inline int byte(self) except -1:
        if self.at >= self.end:
            raise Otherwise
        self.at += 1
        return (self.at - 1)[0]

    cdef Py_ssize_t length(self) except -1:
        """Returns a MultiByteInt31."""
        cdef uint64_t value = 0
        cdef int shift, byte
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= <uint64_t>(byte & 0x7F) << shift
            if byte < 0x80:
                if value >> 31:
                    break
                return <Py_ssize_t>value
        raise Otherwise

    cdef uint64_t fixed(self, int size) except? 0xDEAD:
        """Returns an unsigned number of `size` bytes."""
        cdef const uint8_t* data = self.take(size)
        cdef uint64_t value = 0
        cdef int index
        for index in range(size):
            value |= <uint64_t>data[index] << 8 * index
        return value

    cdef const uint8_t* known(self, Py_ssize_t* size) except NULL:
        """Returns the string of a table whose number comes next. The table keeps it alive."""
        cdef Py_ssize_t number = self.length()
        cdef list strings = self.strings if number & 1 else _STRINGS
        if number >> 1 >= len(strings):
            raise Otherwise
        return <const uint8_t*>PyUnicode_AsUTF8AndSize(strings[number >> 1], size)

    cdef int name(self, bint isNumber) except -1:
        """Read a name, and write it."""
        cdef const uint8_t* text
        cdef Py_ssize_t size = 0
        if isNumber:
            text = self.known(&size)
        else:
            size = self.length()
            text = self.take(size)
        if not isName(text, size):
            raise Otherwise
        return self.out.put(text, size)

    cdef int qualified(self, uint8_t record, uint8_t base, uint8_t letters) except -1:
        """Read the name of an element or attribute with its prefix, and write it."""
        cdef uint8_t letter
        if record < base + 4:
            if (record - base) & 1:
                self.name(False)
                self.out.putByte(58)
            return self.name(record - base >= 2)
        letter = record - letters
        self.out.putByte(97 + letter % 26)
        self.out.putByte(58)
        return self.name(letter < 26)

    # -- elements and attributes

    cdef int element(self, uint8_t record) except -1:
        cdef Py_ssize_t start
        if self.levels >= LEVELS:
            raise Otherwise
        self.out.putByte(60)
        start = self.out.size
        self.qualified(record, ELEMENTS, LETTERS_OF_ELEMENTS)
        self.names[self.levels] = start
        self.sizes[self.levels] = self.out.size - start
        self.open()
        self.elements += 1
        if self.elements > _MOST_ELEMENTS:
            raise Otherwise
        while True:
            record = self.byte()
            if not ATTRIBUTES <= record < ELEMENTS:
                break
            self.attribute(record)
        self.at -= 1
        return self.out.putByte(62)

    cdef int open(self) except -1:
        """Count the end tag of an element that begins, so that it has room within the limit."""
        cdef Py_ssize_t size = self.sizes[self.levels] + 3
        if size > self.out.most - self.out.size:
            raise Otherwise
        self.out.most -= size
        self.levels += 1
        return 0

    cdef int endElement(self) except -1:
        cdef Py_ssize_t size
        if self.levels < 1:
            raise Otherwise
        self.levels -= 1
        size = self.sizes[self.levels]
        self.out.most += size + 3
        # Room first: the name may move with the buffer.
        self.out.reserve(size + 3)
        self.out.put(b"</", 2)
        self.out.put(self.out.data + self.names[self.levels], size)
        return self.out.putByte(62)

    cdef int attribute(self, uint8_t record) except -1:
        cdef const uint8_t* text
        cdef Py_ssize_t size = 0
        self.attributes += 1
        if self.attributes > _MOST_ATTRIBUTES:
            raise Otherwise
        self.out.putByte(32)
        if XMLNS <= record < PAST_XMLNS:
            self.out.put(b"xmlns", 5)
            if record & 1:
                self.out.putByte(58)
                self.name(False)
            if record >= XMLNS + 2:
                text = self.known(&size)
            else:
                size = self.length()
                text = self.take(size)
            self.out.put(b'="', 2)
            self.escaped(text, size, IN_ATTRIBUTE)
        else:
            self.qualified(record, ATTRIBUTES, LETTERS_OF_ATTRIBUTES)
            self.out.put(b'="', 2)
            record = self.byte()
            if record < TEXTS or record & 1:
                raise Otherwise
            self.value(record, IN_ATTRIBUTE)
            if record == START_LIST and (self.at - 1)[0] & 1:
                raise Otherwise
        return self.out.putByte(34)

    cdef int array(self) except -1:
        """Read an array: as many elements as it has values, all with the same name and attributes."""
        cdef Py_ssize_t first = self.out.size
        cdef Py_ssize_t tag, count, index
        cdef int attributes = self.attributes
        cdef int record = self.byte()
        cdef const uint8_t* past
        if not ELEMENTS <= record < PAST_ELEMENTS:
            raise Otherwise
        self.element(record)
        tag = self.out.size - first
        if self.byte() != END:
            raise Otherwise
        record = self.byte() - 1
        if record not in IN_ARRAYS:
            raise Otherwise
        count = self.length()
        size = _VALUES[record][0]
        if count > (self.end - self.at) // <Py_ssize_t>size:
            raise Otherwise
        past = self.at + count * <Py_ssize_t>size
        if count > _MOST_ELEMENTS - self.elements:
            raise Otherwise
        self.elements += count
        attributes = self.attributes - attributes
        if count * attributes > _MOST_ATTRIBUTES - self.attributes:
            raise Otherwise
        self.attributes += count * attributes
        for index in range(count):
            if index:
                # Room first: the tag may move with the buffer.
                self.out.reserve(tag)
                self.out.put(self.out.data + first, tag)
                self.open()
            self.value(record, IN_CONTENT, False)
            self.endElement()
        if count == 0:
            self.endElement()
            self.out.size = first
        if self.at != past:
            raise Otherwise
        return 0

    # -- texts

    cdef int comment(self) except -1:
        cdef Py_ssize_t size, step, index = 0
        cdef const uint8_t* text
        self.countText()
        size = self.length()
        text = self.take(size)
        while index < size:
            step = 1 if text[index] < 0x80 else characterAt(text + index, size - index)
            if step == 0 or not _kinds[text[index]] & IN_XML:
                raise Otherwise
            index += step
        return 0

    cdef int text(self, uint8_t record) except -1:
        if record == START_LIST + 1:
            raise Otherwise
        self.value(record & 0xFE, IN_CONTENT)
        if record == START_LIST:
            # The record that ends a list says whether the element ends, too.
            record = (self.at - 1)[0]
        return self.endElement() if record & 1 else 0

    cdef int countText(self) except -1:
        self.texts += 1
        if self.texts > _MOST_TEXTS:
            raise Otherwise
        return 0

    cdef int value(self, uint8_t record, uint8_t kind, bint isCounted=True) except -1:
        """Read the value of a record, and write its text. `kind` says which characters are written as they are."""
        cdef Py_ssize_t size = 0
        cdef const uint8_t* data
        if isCounted:
            self.countText()
        if record == 0x80 or record == 0x82:
            return self.out.putByte(48 + (record == 0x82))
        if record == 0x84 or record == 0x86:
            return self.boolean(record == 0x86)
        if record == 0x88:
            return self.integer(<int8_t>self.fixed(1))
        if record == 0x8A:
            return self.integer(<int16_t>self.fixed(2))
        if record == 0x8C:
            return self.integer(<int32_t>self.fixed(4))
        if record == 0x8E:
            return self.integer(<int64_t>self.fixed(8))
        if record == 0xB2:
            return self.digits(self.fixed(8), 1, 0)
        if record == 0x94:
            return self.decimal()
        if record == 0x96:
            return self.dateTime()
        if record == 0x90:
            return self.single()
        if record == 0x92:
            return self.double()
        if record == 0xAE:
            return self.typed(record)
        if CHARACTERS <= record < BYTES:
            size = self.fixed(1 << (record - CHARACTERS) // 2)
            return self.escaped(self.take(size), size, kind)
        if BYTES <= record < START_LIST:
            size = self.fixed(1 << (record - BYTES) // 2)
            return self.base64(self.take(size), size)
        if record == START_LIST:
            return self.items(kind)
        if record == EMPTY:
            return 0
        if record == DICTIONARY:
            data = self.known(&size)
            return self.escaped(data, size, kind)
        if record == UNIQUE_ID:
            self.out.put(b"urn:uuid:", 9)
            return self.uuid()
        if record == 0xB0:
            return self.uuid()
        if record == 0xB4:
            size = self.byte()
            if size > 1:
                raise Otherwise
            return self.boolean(size == 1)
        if 0xB6 <= record < 0xBC:
            return self.utf16(1 << (record - 0xB6) // 2, kind)
        if record == 0xBC:
            size = self.byte()
            if size > 25:
                raise Otherwise
            self.out.putByte(97 + size)
            self.out.putByte(58)
            return self.name(True)
        raise Otherwise

    cdef int escaped(self, const uint8_t* text, Py_ssize_t size, uint8_t kind) except -1:
        """Write a text as XML."""
        cdef Py_ssize_t step, index = 0, first = 0
        cdef uint8_t byte
        while index < size:
            byte = text[index]
            if byte >= 0x80:
                step = characterAt(text + index, size - index)
                if step == 0:
                    raise Otherwise
                index += step
                continue
            if _kinds[byte] & kind:
                index += 1
                continue
            self.out.put(text + first, index - first)
            index += 1
            first = index
            if byte == 38:
                self.out.put(b"&amp;", 5)
            elif byte == 60:
                self.out.put(b"&lt;", 4)
            elif byte == 62:
                self.out.put(b"&gt;", 4)
            elif byte == 34:
                self.out.put(b"&quot;", 6)
            elif byte == 9:
                self.out.put(b"&#9;", 4)
            elif byte == 10:
                self.out.put(b"&#10;", 5)
            elif byte == 13:
                self.out.put(b"&#13;", 5)
            else:
                raise Otherwise
        return self.out.put(text + first, size - first)

    cdef int items(self, uint8_t kind) except -1:
        cdef bint isFirst = True
        cdef int record
        while True:
            record = self.byte()
            if record & 0xFE == END_LIST:
                return 0
            if record & 1 or record == START_LIST:
                raise Otherwise
            if not isFirst:
                self.out.putByte(32)
            isFirst = False
            self.value(record, kind)

    cdef int utf16(self, int width, uint8_t kind) except -1:
        cdef Py_ssize_t size = self.fixed(width)
        cdef const uint8_t* data = self.take(size)
        try:
            text = PyBytes_FromStringAndSize(<const char*>data, size).decode("utf-16-le").encode()
        except UnicodeDecodeError:
            raise Otherwise from None
        return self.escaped(<const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), kind)

    cdef int boolean(self, bint isTrue) except -1:
        return self.out.put(b"true", 4) if isTrue else self.out.put(b"false", 5)

    cdef int integer(self, int64_t value) except -1:
        if value < 0:
            self.out.putByte(45)
            return self.digits(0 - <uint64_t>value, 1, 0)
        return self.digits(<uint64_t>value, 1, 0)

    cdef int digits(self, uint64_t value, int least, int scale) except -1:
        """Write at least `least` digits, of which the last `scale` are behind a point."""
        cdef uint8_t text[64]
        cdef int at = 64, count = 0
        while value or count < least:
            if scale and count == scale:
                at -= 1
                text[at] = 46
            at -= 1
            text[at] = 48 + value % 10
            value //= 10
            count += 1
        return self.out.put(text + at, 64 - at)

    cdef int single(self) except -1:
        """Write a float of 32 bits: the fewest digits that give it."""
        cdef uint32_t bits = self.fixed(4)
        cdef float value
        cdef double wide, found
        cdef int digits
        cdef char* text
        memcpy(&value, &bits, 4)
        wide = value
        if bits & 0x7FFFFF == 0 or bits & 0x7F800000 == 0x7F800000:
            # A power of two has more room above than below, which is for Python. So are infinities and NaN.
            self.at -= 4
            return self.typed(0x90)
        for digits in range(6 if bits & 0x7F800000 else 1, 10):
            text = PyOS_double_to_string(wide, 101, digits - 1, 0, NULL)
            try:
                found = PyOS_string_to_double(text, NULL, NULL)
                if digits == 9 or <float>found == value:
                    return self.number(text, 9)
            finally:
                PyMem_Free(text)
        raise Otherwise

    cdef int double(self) except -1:
        """Write a float of 64 bits: the fewest digits that give it."""
        cdef uint64_t bits = self.fixed(8)
        cdef double value
        cdef char* text
        if bits & 0x7FF0000000000000 == 0x7FF0000000000000:
            self.at -= 8
            return self.typed(0x92)
        memcpy(&value, &bits, 8)
        text = PyOS_double_to_string(value, 114, 0, 0, NULL)
        try:
            return self.number(text, 17)
        finally:
            PyMem_Free(text)

    cdef int number(self, const char* text, int precision) except -1:
        """Write a number as .NET does: with an exponent below 0.0001, and above its precision."""
        cdef char digits[32]
        cdef int count = 0, point = 0, power = 0, first = 0, index
        cdef bint isPast = False, isSmall
        if text[0] == 45:
            self.out.putByte(45)
            text += 1
        while text[0] and text[0] != 101:
            if text[0] == 46:
                isPast = True
            elif 48 <= text[0] <= 57 and count < 32:
                digits[count] = text[0]
                count += 1
                point += not isPast
            else:
                raise Otherwise
            text += 1
        if text[0] == 101:
            isSmall = text[1] == 45
            for index in range(2, 6):
                if not text[index]:
                    break
                power = 10 * power + text[index] - 48
            point += -power if isSmall else power
        while first < count and digits[first] == 48:
            first += 1
            point -= 1
        while count > first and digits[count - 1] == 48:
            count -= 1
        count -= first
        if count == 0:
            return self.out.putByte(48)
        if point > max(count, precision) or point < -3:
            self.out.putByte(digits[first])
            if count > 1:
                self.out.putByte(46)
                self.out.put(digits + first + 1, count - 1)
            self.out.put(b"E+" if point > 0 else b"E-", 2)
            return self.digits(point - 1 if point > 0 else 1 - point, 2, 0)
        if point <= 0:
            self.out.put(b"0.000", 2 - point)
            return self.out.put(digits + first, count)
        for index in range(point):
            self.out.putByte(digits[first + index] if index < count else 48)
        if count > point:
            self.out.putByte(46)
            self.out.put(digits + first + point, count - point)
        return 0

    cdef int decimal(self) except -1:
        cdef const uint8_t* data = self.take(16)
        cdef uint64_t low
        if data[2] > 28 or data[3] & 0x7F:
            raise Otherwise
        self.at -= 12
        if self.fixed(4):
            self.at -= 8
            return self.typed(0x94)
        low = self.fixed(8)
        if data[3] and low:
            self.out.putByte(45)
        return self.digits(low, data[2] + 1, data[2])

    cdef int dateTime(self) except -1:
        """Write a time. Of the eight bytes the two highest bits are the kind."""
        cdef uint64_t value = self.fixed(8)
        cdef uint64_t ticks = value & 0x3FFFFFFFFFFFFFFF
        cdef int kind = value >> 62
        cdef uint64_t days, seconds, era, ofEra, years, ofYear, month
        if kind >= 2:
            self.at -= 8
            return self.typed(0x96)
        if ticks > _MOST_TICKS:
            raise Otherwise
        seconds, ticks = ticks // _SECOND, ticks % _SECOND
        days, seconds = seconds // 86_400, seconds % 86_400
        # Years begin in March here, so that the leap day is the last one. 306 days are those from March to January.
        days += 306
        era, ofEra = days // 146_097, days % 146_097
        years = (ofEra - ofEra // 1460 + ofEra // 36_524 - ofEra // 146_096) // 365
        ofYear = ofEra - (365 * years + years // 4 - years // 100)
        month = (5 * ofYear + 2) // 153
        self.digits(400 * era + years + (month >= 10), 4, 0)
        self.out.putByte(45)
        self.digits(month - 9 if month >= 10 else month + 3, 2, 0)
        self.out.putByte(45)
        self.digits(ofYear - (153 * month + 2) // 5 + 1, 2, 0)
        self.out.putByte(84)
        self.digits(seconds // 3600, 2, 0)
        self.out.putByte(58)
        self.digits(seconds // 60 % 60, 2, 0)
        self.out.putByte(58)
        self.digits(seconds % 60, 2, 0)
        if ticks:
            self.out.putByte(46)
            self.digits(ticks, 7, 0)
            while self.out.data[self.out.size - 1] == 48:
                self.out.size -= 1
        return self.out.putByte(90) if kind == 1 else 0

    cdef int typed(self, uint8_t record) except -1:
        """Write the text of a value that Python finds."""
        cdef Py_ssize_t size
        whole, read = _VALUES[record]
        size = whole
        data = PyBytes_FromStringAndSize(<const char*>self.take(size), size)
        try:
            text = (<str>read(data)).encode()
        except ValueError:
            raise Otherwise from None
        return self.out.put(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))

    cdef int uuid(self) except -1:
        cdef const uint8_t* data = self.take(16)
        cdef uint8_t text[36]
        cdef int index, place = 0
        for index in (3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15):
            if place in (8, 13, 18, 23):
                text[place] = 45
                place += 1
            text[place] = _DIGITS[data[index] >> 4]
            text[place + 1] = _DIGITS[data[index] & 15]
            place += 2
        return self.out.put(text, 36)

    cdef int base64(self, const uint8_t* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t index, left
        cdef uint8_t* to
        cdef uint32_t three
        self.out.reserve((size + 2) // 3 * 4)
        to = self.out.data + self.out.size
        for index in range(0, size, 3):
            left = size - index
            three = <uint32_t>data[index] << 16
            if left > 1:
                three |= <uint32_t>data[index + 1] << 8
            if left > 2:
                three |= data[index + 2]
            to[0] = _BASE64[three >> 18]
            to[1] = _BASE64[three >> 12 & 63]
            to[2] = _BASE64[three >> 6 & 63] if left > 1 else 61
            to[3] = _BASE64[three & 63] if left > 2 else 61
            to += 4
        self.out.size = to - self.out.data
        return 0


# -- writing ----------------------------------------------------------------------------------------------------------


def writeDocument(str text not None, names):
    """
    Returns well-formed XML as a document in binary.

    `names` has the numbers of strings, and gives new ones. Returns None for XML that no answer has: a declaration,
    comments, CDATA, characters that a parser normalizes.
    """
    cdef Writer writer = Writer.__new__(Writer)
    cdef Py_ssize_t size = 0
    writer.at = <const uint8_t*>PyUnicode_AsUTF8AndSize(text, &size)
    writer.end = writer.at + size
    writer.names = names
    writer.sent = names.sent
    # A record is never more than 5 bytes longer than its text.
    writer.out = newBuffer(size + 64, 6 * size + 64)
    writer.plain = newBuffer(64, size + 64)
    try:
        writer.write()
    except Otherwise:
        return None
    return writer.out.whole()


cdef inline bint isSpace(uint8_t byte) noexcept:
    return byte == 32 or byte == 10 or byte == 9


cdef class Writer:
    """Reads XML, and writes it in binary, as `nbfxwriter.DocumentWriter`."""

    cdef const uint8_t* at           # the next byte, up to
    cdef const uint8_t* end
    cdef object names
    cdef dict sent
    cdef Buffer out
    cdef Buffer plain                # a text without references
    cdef int levels
    cdef bint isAction

    cdef int write(self) except -1:
        cdef const uint8_t* text
        cdef Py_ssize_t size
        cdef bint isBegun = False
        while True:
            text = self.at
            self.at = self.find(60, self.levels == 0)
            size = self.at - text
            if self.levels == 0 and (size or self.at == self.end):
                while size and isSpace(text[size - 1]):
                    size -= 1
                if size:
                    raise Otherwise
            if self.at == self.end:
                break
            if self.end - self.at < 2:
                raise Otherwise
            if self.at[1] == 47:
                self.endTag(text, size)
            elif self.levels == 0 and isBegun:
                raise Otherwise
            else:
                isBegun = True
                if size:
                    self.content(text, size, 0)
                self.startTag()
        if self.levels or not isBegun:
            raise Otherwise
        return 0

    cdef const uint8_t* find(self, uint8_t byte, bint orEnd) except NULL:
        """Returns where a byte comes next, or the end."""
        cdef const uint8_t* found = <const uint8_t*>memchr(self.at, byte, self.end - self.at)
        if found == NULL:
            if not orEnd:
                raise Otherwise
            return self.end
        return found

    cdef int endTag(self, const uint8_t* text, Py_ssize_t size) except -1:
        self.at = self.find(62, False) + 1
        if self.levels < 1:
            raise Otherwise
        self.levels -= 1
        return self.content(text, size, 1) if size else self.out.putByte(END)

    cdef int startTag(self) except -1:
        cdef const uint8_t* name
        cdef const uint8_t* value
        cdef Py_ssize_t size
        cdef uint8_t quote
        self.at += 1
        name = self.at
        size = self.nameSize()
        self.isAction = size > 7 and memcmp(name + size - 7, b":Action", 7) == 0
        self.named(name, size, ELEMENTS, LETTERS_OF_ELEMENTS)
        while True:
            while self.at < self.end and isSpace(self.at[0]):
                self.at += 1
            if self.end - self.at < 2:
                raise Otherwise
            if self.at[0] == 62:
                self.at += 1
                self.levels += 1
                return 0
            if self.at[0] == 47:
                if self.at[1] != 62:
                    raise Otherwise
                self.at += 2
                return self.out.putByte(END)
            name = self.at
            size = self.nameSize()
            if self.end - self.at < 2 or self.at[0] != 61 or self.at[1] not in (34, 39):
                raise Otherwise
            quote = self.at[1]
            self.at += 2
            value = self.at
            self.at = self.find(quote, False)
            self.attribute(name, size, value, self.at - value)
            self.at += 1

    cdef Py_ssize_t nameSize(self) except -1:
        """Skip a name with its prefix. Returns its size."""
        cdef const uint8_t* first = self.at
        while self.at < self.end and (self.at[0] >= 0x80 or self.at[0] == 58 or _kinds[self.at[0]] & IN_NAME):
            self.at += 1
        if self.at == first:
            raise Otherwise
        return self.at - first

    cdef int numberOf(self, const uint8_t* text, Py_ssize_t size, bint isOfSession) except -2:
        """Returns the number of a string. In a session a new one gets a number, if there is room for it."""
        cdef PyObject* found
        if not isOfSession and size > _LONGEST:
            return NOT_KNOWN
        string = PyUnicode_DecodeUTF8(<const char*>text, size, NULL)
        found = PyDict_GetItemWithError(_NUMBERS, string)
        if found == NULL and isOfSession:
            found = PyDict_GetItemWithError(self.sent, string)
            if found == NULL:
                number = self.names.numberOf(string)
                if number is None:
                    return NOT_KNOWN
                return number
        if found == NULL:
            return NOT_KNOWN
        return <object>found

    cdef int multiByte(self, uint32_t number) except -1:
        while number >= 0x80:
            self.out.putByte(number & 0x7F | 0x80)
            number >>= 7
        return self.out.putByte(number)

    cdef int string(self, const uint8_t* text, Py_ssize_t size) except -1:
        if size >> 31:
            raise Otherwise
        self.multiByte(size)
        return self.out.put(text, size)

    cdef int named(self, const uint8_t* name, Py_ssize_t size, uint8_t base, uint8_t letters) except -1:
        """Write the record of a name with its prefix."""
        cdef const uint8_t* colon = <const uint8_t*>memchr(name, 58, size)
        cdef Py_ssize_t prefix = 0 if colon == NULL else colon - name
        cdef const uint8_t* local = name if colon == NULL else colon + 1
        cdef Py_ssize_t left = size - (local - name)
        cdef int number
        if left < 1 or (colon != NULL and prefix == 0) or memchr(local, 58, left) != NULL:
            raise Otherwise
        number = self.numberOf(local, left, True)
        if prefix == 1 and 97 <= name[0] <= 122:
            self.out.putByte(letters + name[0] - 97 + (26 if number == NOT_KNOWN else 0))
        else:
            self.out.putByte(base + (0 if number == NOT_KNOWN else 2) + (1 if prefix else 0))
            if prefix:
                self.string(name, prefix)
        return self.string(local, left) if number == NOT_KNOWN else self.multiByte(number)

    cdef int attribute(self, const uint8_t* name, Py_ssize_t size, const uint8_t* value, Py_ssize_t length) except -1:
        cdef bint isDeclaration = size >= 5 and memcmp(name, b"xmlns", 5) == 0 and (size == 5 or name[5] == 58)
        cdef Py_ssize_t index
        cdef int number
        for index in range(length):
            if value[index] < 32 or value[index] == 60:
                raise Otherwise
        value = self.withoutReferences(value, &length)
        if not isDeclaration:
            self.named(name, size, ATTRIBUTES, LETTERS_OF_ATTRIBUTES)
            return self.text(value, length, 0, False)
        if size == 6:
            raise Otherwise
        number = self.numberOf(value, length, True)
        self.out.putByte(XMLNS + (1 if size > 5 else 0) + (0 if number == NOT_KNOWN else 2))
        if size > 5:
            self.string(name + 6, size - 6)
        return self.string(value, length) if number == NOT_KNOWN else self.multiByte(number)

    cdef int content(self, const uint8_t* text, Py_ssize_t size, int isLast) except -1:
        """Write the text of an element. `isLast` is 1 if the element ends behind it."""
        cdef bint isAction = self.isAction
        self.isAction = False
        if memchr(text, 13, size) != NULL:
            raise Otherwise
        text = self.withoutReferences(text, &size)
        return self.text(text, size, isLast, isAction)

    cdef const uint8_t* withoutReferences(self, const uint8_t* text, Py_ssize_t* size) except NULL:
        """Returns a text with characters in place of the references to them, and its size."""
        cdef const uint8_t* end = text + size[0]
        cdef const uint8_t* found
        cdef const uint8_t* last
        if memchr(text, 38, size[0]) == NULL:
            return text
        self.plain.size = 0
        while True:
            found = <const uint8_t*>memchr(text, 38, end - text)
            if found == NULL:
                break
            self.plain.put(text, found - text)
            found += 1
            last = <const uint8_t*>memchr(found, 59, end - found)
            if last == NULL:
                raise Otherwise
            self.reference(found, last - found)
            text = last + 1
        self.plain.put(text, end - text)
        size[0] = self.plain.size
        return self.plain.data

    cdef int reference(self, const uint8_t* name, Py_ssize_t size) except -1:
        if size == 3 and memcmp(name, b"amp", 3) == 0:
            return self.plain.putByte(38)
        if size == 2 and memcmp(name, b"lt", 2) == 0:
            return self.plain.putByte(60)
        if size == 2 and memcmp(name, b"gt", 2) == 0:
            return self.plain.putByte(62)
        if size == 4 and memcmp(name, b"quot", 4) == 0:
            return self.plain.putByte(34)
        if size == 3 and memcmp(name, b"#13", 3) == 0:
            return self.plain.putByte(13)
        if size == 3 and memcmp(name, b"#10", 3) == 0:
            return self.plain.putByte(10)
        if size == 2 and memcmp(name, b"#9", 2) == 0:
            return self.plain.putByte(9)
        raise Otherwise

    cdef int text(self, const uint8_t* text, Py_ssize_t size, int isLast, bint isOfSession) except -1:
        """Write the smallest record that reads as a text."""
        cdef int number = self.numberOf(text, size, isOfSession) if size else NOT_KNOWN
        if number != NOT_KNOWN:
            self.out.putByte(DICTIONARY | isLast)
            return self.multiByte(number)
        if size == 0:
            return self.out.putByte(EMPTY | isLast)
        if size == 1 and 48 <= text[0] <= 49:
            return self.out.putByte((0x80 if text[0] == 48 else 0x82) | isLast)
        if size == 5 and memcmp(text, b"false", 5) == 0:
            return self.out.putByte(0x84 | isLast)
        if size == 4 and memcmp(text, b"true", 4) == 0:
            return self.out.putByte(0x86 | isLast)
        if size == 45 and self.uniqueId(text, isLast):
            return 0
        if size >= _LEAST_BASE64 and isBase64(text, size):
            data = bytesOf(PyUnicode_DecodeUTF8(<const char*>text, size, NULL))
            if data is not None:
                return self.sized(BYTES | isLast, <const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        return self.sized(CHARACTERS | isLast, text, size)

    cdef int sized(self, uint8_t record, const uint8_t* data, Py_ssize_t size) except -1:
        """Write one of three records, with a length of one, two or four bytes."""
        cdef int width = 1 if size < 1 << 8 else 2 if size < 1 << 16 else 4
        cdef int index
        if size >> 32:
            raise Otherwise
        self.out.putByte(record + (width & 6))
        for index in range(width):
            self.out.putByte(size >> 8 * index & 0xFF)
        return self.out.put(data, size)

    cdef bint uniqueId(self, const uint8_t* text, int isLast) except -1:
        """Write a UUID with urn:uuid: before it. Returns whether the text of 45 characters is one."""
        cdef uint8_t data[16]
        cdef int index, place = 9
        cdef int high, low
        if memcmp(text, b"urn:uuid:", 9) != 0:
            return False
        for index in (3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15):
            if place in (17, 22, 27, 32):
                if text[place] != 45:
                    return False
                place += 1
            high, low = hexDigit(text[place]), hexDigit(text[place + 1])
            if high < 0 or low < 0:
                return False
            data[index] = high << 4 | low
            place += 2
        self.out.putByte(UNIQUE_ID | isLast)
        self.out.put(data, 16)
        return True


cdef inline int hexDigit(uint8_t byte) noexcept:
    if 48 <= byte <= 57:
        return byte - 48
    return byte - 87 if 97 <= byte <= 102 else -1


cdef bint isBase64(const uint8_t* text, Py_ssize_t size) noexcept:
    """Returns whether a text may be base64."""
    cdef Py_ssize_t index
    if size % 4:
        return False
    for index in range(size):
        if not _kinds[text[index]] & IN_BASE64:
            return False
    return True
