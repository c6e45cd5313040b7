# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=True
"""_head: splits a request head into its parts, in C; `wsd.head.pythonSplit` is the same in Python."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

cdef extern from "Python.h":
    object PyUnicode_DecodeLatin1(const char* text, Py_ssize_t size, const char* errors)
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    uint8_t* PyUnicode_1BYTE_DATA(object text)

cdef enum:
    MAX_METHOD = 32
    LONGEST = 24                 # of the names that are known

cdef uint8_t[256] _lower         # a character of a token (RFC 9110 5.6.2) in lower case, 0 for any other byte
cdef uint8_t[256] _isInValue     # whether a byte may be in a value: no control character but the tab (RFC 9110 5.5)


cdef int _prepare() except -1:
    cdef int byte
    for byte in range(256):
        _lower[byte] = 0
        _isInValue[byte] = byte == 0x09 or (byte >= 0x20 and byte != 0x7F)
    for byte in b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz":
        _lower[byte] = byte
    for byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        _lower[byte] = byte + 0x20
    return 0


_prepare()

_NAMES = b"""
    Accept Accept-Encoding Accept-Language Authorization Cache-Control Connection Cookie Host Origin Pragma Referer
    Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-WebSocket-Extensions Sec-WebSocket-Key Sec-WebSocket-Protocol
    Sec-WebSocket-Version Upgrade User-Agent Via X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Real-IP
"""

# By its length: a name in the two usual ways of writing, as text, and in lower case. All heads share these, which saves
# time, and most of the memory of the fields of an open connection.
cdef list _known = [[] for size in range(LONGEST + 1)]
for _name in _NAMES.split():
    for _written in (_name, _name.lower()):
        _known[len(_name)].append((_written, _written.decode(), _name.lower().decode()))


cdef tuple _namesOf(const uint8_t* begin, Py_ssize_t size):
    """A name as it is written, and in lower case, behind what they were found by."""
    cdef tuple known
    if size <= LONGEST:
        for known in <list>_known[size]:
            if not memcmp(PyBytes_AS_STRING(known[0]), begin, size):
                return known
    return None, _text(begin, begin + size), _lowered(begin, size)


cdef inline str _text(const uint8_t* begin, const uint8_t* end):
    return PyUnicode_DecodeLatin1(<const char*>begin, end - begin, NULL)


cdef str _lowered(const uint8_t* begin, Py_ssize_t size):
    cdef str text = PyUnicode_New(size, 127)
    cdef uint8_t* to = PyUnicode_1BYTE_DATA(text)
    cdef Py_ssize_t index
    for index in range(size):
        to[index] = _lower[begin[index]]
    return text


def split(bytes data):
    """Split a head, as `wsd.head.pythonSplit` does."""
    cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef const uint8_t* end = begin + PyBytes_GET_SIZE(data)
    cdef const uint8_t* at = begin
    cdef const uint8_t* target
    cdef const uint8_t* name
    cdef const uint8_t* colon
    cdef const uint8_t* value
    cdef const uint8_t* last
    cdef str method, text, line
    cdef tuple names

    while at < end and _lower[at[0]]:
        at += 1
    if at == begin or at - begin > MAX_METHOD or at == end or at[0] != c" ":
        return None
    method = _text(begin, at)
    at += 1
    target = at
    while at < end and 0x21 <= at[0] <= 0x7E:
        at += 1
    if at == target or end - at < 9 or memcmp(at, b" HTTP/", 6):
        return None
    text = _text(target, at)
    at += 6
    if not (c"0" <= at[0] <= c"9" and at[1] == c"." and c"0" <= at[2] <= c"9"):
        return None
    version = (<int>at[0] - c"0", <int>at[2] - c"0")
    at += 3
    line = _text(begin, at)
    texts = []
    byName = {}
    while at < end:
        if end - at < 2 or at[0] != c"\r" or at[1] != c"\n":
            return None
        at += 2
        name = at
        while at < end and _lower[at[0]]:
            at += 1
        if at == name or at == end or at[0] != c":":
            return None
        colon = at
        at += 1
        value = at
        while at < end and _isInValue[at[0]]:
            at += 1
        last = at
        while value < last and (value[0] == c" " or value[0] == c"\t"):
            value += 1
        while last > value and ((last - 1)[0] == c" " or (last - 1)[0] == c"\t"):
            last -= 1
        found = _text(value, last)
        names = _namesOf(name, colon - name)
        texts.append(names[1])
        texts.append(found)
        byName[names[2]] = found
    return line, method, text, version, tuple(texts), byName
