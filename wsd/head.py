"""
The daemon's only parser of request heads (RFC 9112, sections 2 to 5). It is strict.

Bytes that another parser might read differently are refused, not repaired: a head has one meaning or none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple, overload
from urllib.parse import unquote

MAX_HEAD = 16384
"""The largest head in bytes."""

MAX_HEADERS = 100
"""The largest number of header fields in a head."""

END = b"\r\n\r\n"
"""The end of a head."""

_VERSIONS = ((1, 1), (1, 0))
"""The supported versions of HTTP."""

_TCHAR = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_HEAD = re.compile(rf"({_TCHAR}{{1,32}}) ([!-~]++) HTTP/([0-9])\.([0-9])((?:\r\n{_TCHAR}++:[\t -~\x80-\xff]*+)*)\Z")
"""
A head as latin-1 text.

Control bytes are refused, so that no other parser can split a value into two fields. Bytes from 0x80 on are opaque (RFC
9110 5.5). One of them, 0x85, is part of many letters in UTF-8; str.splitlines() would take it for the end of a line, so
it is not used here. The expression never backtracks: refusing 16 KiB takes no longer than parsing it. Only single
characters are repeated possessively, since Python before 3.11.5 has a bug with groups.
"""
_METHOD = re.compile(rf"{_TCHAR}{{1,32}}\Z")
_NAME = re.compile(rf"{_TCHAR}+\Z")
_BAD_BYTE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_KEPT = re.compile(r"%(2[5f])", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,18}\Z")
_ABSOLUTE = re.compile(r"(?:https?|wss?)://([^/?]*+)(.*)\Z", re.IGNORECASE)
_HOST = re.compile(r"(?:[0-9A-Za-z_-]++(?:\.[0-9A-Za-z_-]++)*\.?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?\Z")
"""A name or an address, IPv6 in brackets, and a port: the part of RFC 3986 3.2.2 that is used in practice."""


class Refused(Exception):
    """
    Raised to answer a request with a status, one sentence, and header fields.

    Raises ValueError for an unknown status (RFC 9110 15), or a line break in a header field.
    """

    def __init__(self, status: int, sentence: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        self.phrase = HTTPStatus(status).phrase
        for name, value in headers:
            if not set(name + value).isdisjoint("\r\n\0"):
                raise ValueError(f"the header field {shown(name)} of a refusal contains a line break")
        super().__init__(status, sentence)
        self.status = status
        self.sentence = sentence
        self.headers = tuple(headers)


@lru_cache(64)
def _tokens(value: str) -> tuple[str, ...]:
    return tuple(token for element in value.lower().split(",") if (token := element.strip(" \t")))


_NO_REPEATED: Mapping[str, list[str]] = MappingProxyType({})


class Headers:
    """
    Header fields in their order. Names are compared without case; values are latin-1.

    `byName` maps each name, in lower case, to its value: a faster look-up than `get`.
    """

    __slots__ = ("_repeated", "_texts", "byName")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        texts = tuple(text for field in fields for text in field)
        self._set(texts, {name.lower(): value for name, value in _pairs(texts)})

    @classmethod
    def ofTexts(cls, texts: tuple[str, ...], byName: Mapping[str, str]) -> Headers:
        """Of names and values in turn, and the last value of each name in lower case."""
        headers = cls.__new__(cls)
        headers._set(texts, byName)
        return headers

    def _set(self, texts: tuple[str, ...], byName: Mapping[str, str]) -> None:
        # Names and values in turn, since each open connection keeps its head: a tuple for each field takes 56 bytes.
        self._texts = texts
        self.byName = byName
        self._repeated = _NO_REPEATED
        if 2 * len(byName) < len(texts):
            self._join()

    def _join(self) -> None:
        """Join the values of fields with the same name into one list (RFC 9110 5.3)."""
        every: dict[str, list[str]] = {}
        for name, value in self:
            every.setdefault(name.lower(), []).append(value)
        self._repeated = {name: values for name, values in every.items() if len(values) > 1}
        self.byName = {name: ", ".join(values) for name, values in every.items()}

    @overload
    def get(self, name: str) -> str | None: ...

    @overload
    def get(self, name: str, default: str) -> str: ...

    def get(self, name: str, default: str | None = None) -> str | None:
        """Returns the value of a field. The values of repeated fields are joined with commas (RFC 9110 5.3)."""
        return self.byName.get(name.lower(), default)

    def all(self, name: str) -> list[str]:
        """Returns the values of all fields with this name."""
        name = name.lower()
        if name not in self.byName:
            return []
        return list(self._repeated.get(name) or (self.byName[name],))

    def count(self, name: str) -> int:
        """Returns the number of fields with this name."""
        return len(self.all(name))

    def isRepeated(self, name: str) -> bool:
        """Returns whether several fields have this name, which must be in lower case."""
        return name in self._repeated

    def tokens(self, name: str) -> list[str]:
        """Returns the elements of a comma-separated list, in lower case (RFC 9110 5.6.1)."""
        return list(_tokens(self.get(name, "")))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self.byName

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return _pairs(self._texts)

    def __len__(self) -> int:
        return len(self._texts) // 2

    def __repr__(self) -> str:
        return f"Headers({tuple(self)!r})"


def _pairs(texts: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    rest = iter(texts)
    return zip(rest, rest, strict=True)


class Head(NamedTuple):
    """
    A request line and its header fields.

    `line` and `target` are as received, and `path` is still percent-encoded. `authority` is that of an absolute target,
    and replaces Host (RFC 9112 3.2.2).
    """

    line: str
    method: str
    target: str
    path: str
    query: str
    version: tuple[int, int]
    headers: Headers
    authority: str | None = None

    def withHeaders(self, headers: Headers) -> Head:
        """The head with other header fields; faster than `_replace`."""
        line, method, target, path, query, version, _, authority = self
        return Head(line, method, target, path, query, version, headers, authority)

    @property
    def host(self) -> str:
        """The requested host, "" if there is none."""
        return self.authority if self.authority is not None else self.headers.byName.get("host", "")

    @property
    def isUpgrade(self) -> bool:
        """Whether the request is an opening handshake of a WebSocket (RFC 6455 4.2.1)."""
        values = self.headers.byName
        return "websocket" in _tokens(values.get("upgrade", "")) and "upgrade" in _tokens(values.get("connection", ""))

    @property
    def chunked(self) -> bool:
        """Whether a chunked body follows (RFC 9112 7.1)."""
        return "Transfer-Encoding" in self.headers

    @property
    def length(self) -> int | None:
        """The Content-Length, None if there is none."""
        values = self.headers.all("Content-Length")
        return int(values[0]) if values else None

    @property
    def hasBody(self) -> bool:
        """Whether a body follows (RFC 9112 6)."""
        values = self.headers.byName
        return "transfer-encoding" in values or ("content-length" in values and bool(self.length))


@lru_cache(64)
def decodedPath(path: str) -> str:
    """
    Returns a path in canonical form: percent-decoded once, as UTF-8 (RFC 3986 6.2.2.2).

    An encoded slash or percent sign stays encoded. A path that is not UTF-8 is returned unchanged.
    """
    if "%" not in path:
        return path
    try:
        return unquote(_KEPT.sub(lambda kept: f"%25{kept[1].upper()}", path), errors="strict")
    except UnicodeDecodeError:
        return path


def afterBlankLines(data: bytes) -> bytes:
    """Returns the data without the empty lines before a head (RFC 9112 2.2)."""
    start = 0
    while data.startswith(b"\r\n", start):
        start += 2
    return data[start:] if start else data


def endOfHead(data: bytes, searched: int = 0) -> int:
    """Returns the index of the end of the head, -1 if it is incomplete. Raises `Refused` (431) if it is too large."""
    end = data.find(END, max(0, searched - len(END) + 1))
    if end > MAX_HEAD or (end < 0 and len(data) > MAX_HEAD):
        raise _tooLarge()
    return end


Parts = tuple[str, str, str, tuple[int, int], tuple[str, ...], dict[str, str]]
"""
Of a head: the request line, its method, target and version, the names and values of the fields in turn, and the last
value of each name in lower case.
"""


def pythonSplit(data: bytes) -> Parts | None:
    """Split a head into its parts; None if it is malformed. `wsd._head` does the same in C, where it is built."""
    text = data.decode("latin-1")
    match = _HEAD.match(text)
    if match is None:
        return None
    method, target, major, minor, lines = match.groups()
    split = [line.partition(":") for line in lines.split("\r\n")[1:]]
    texts = tuple(text for name, _, value in split for text in (name, value.strip(" \t")))
    byName = {name.lower(): value for name, value in _pairs(texts)}
    return text[: match.start(5)], method, target, (int(major), int(minor)), texts, byName


def _found() -> Callable[[bytes], Parts | None]:
    try:
        from wsd._head import split
    except ImportError:
        return pythonSplit
    return split


split = _found()


def parseHead(data: bytes) -> Head:
    """Parse a head, without the empty line that ends it. Raises `Refused` if it is malformed."""
    parts = split(data) if len(data) <= MAX_HEAD else None
    if parts is None:
        raise _fault(data.decode("latin-1"))
    line, method, target, version, texts, byName = parts
    if len(texts) > 2 * MAX_HEADERS:
        raise Refused(431, f"the request has {len(texts) // 2} header fields; send at most {MAX_HEADERS}")
    if version not in _VERSIONS:
        raise Refused(505, f"HTTP/{version[0]}.{version[1]} is not supported; use HTTP/1.1")
    headers = Headers.ofTexts(texts, byName)
    path, query, authority = _readTarget(method, target)
    _checkHost(headers, version)
    if "content-length" in byName or "transfer-encoding" in byName:
        _checkFraming(headers, version)
    return Head(line, method, target, path, query, version, headers, authority)


def shown(text: str) -> str:
    """Quote received text for a sentence or a log line: on one line, in ASCII, in at most 80 characters."""
    quoted = ascii(text[:80])
    return quoted if len(quoted) <= 80 else f"{quoted[:76]}...{quoted[0]}"


def _fault(text: str) -> Refused:
    """Returns what is wrong with a malformed head."""
    if len(text) > MAX_HEAD:
        return _tooLarge()
    line, *fields = text.split("\r\n")
    if re.search("[\r\n]", line + "".join(fields)):
        return Refused(400, "a line of the request head ends with CR or LF alone; end each with CR LF")
    if (fault := _faultOfLine(line)) is not None:
        return Refused(400, fault)
    if len(fields) > MAX_HEADERS:
        return Refused(431, f"the request has {len(fields)} header fields; send at most {MAX_HEADERS}")
    faults = (fault for field in fields if (fault := _faultOfField(field)) is not None)
    return Refused(400, next(faults, "the request head is malformed (RFC 9112)"))


def _tooLarge() -> Refused:
    return Refused(431, f"the request head is larger than {MAX_HEAD} bytes; send fewer or shorter header fields")


def _faultOfLine(line: str) -> str | None:
    """Returns what is wrong with a request line (RFC 9112 3), None if nothing is."""
    parts = line.split(" ")
    if len(parts) != 3 or not parts[1]:
        return f"the request line {shown(line)} is not METHOD TARGET HTTP/1.1 with single spaces"
    method, target, version = parts
    if not _METHOD.match(method):
        return f"the method {shown(method)} is not a method; write one such as GET"
    if not re.fullmatch("[!-~]+", target):
        return f"the target {shown(target)} has control or non-ASCII characters; percent-encode them"
    if not re.fullmatch("HTTP/[0-9][.][0-9]", version):
        return f"the version {shown(version)} is not an HTTP version; write HTTP/1.1"
    return None


def _faultOfField(field: str) -> str | None:
    """Returns what is wrong with a header line (RFC 9112 5), None if nothing is."""
    name, colon, value = field.partition(":")
    if field[:1] in (" ", "\t"):
        return f"the header line {shown(field)} continues the previous line; write each field on one line"
    if not colon:
        return f"the header line {shown(field)} has no colon; write NAME: VALUE"
    if name.endswith((" ", "\t")):
        return f"the header name {shown(name)} has a space before its colon; remove it"
    if not _NAME.match(name):
        return f"the header name {shown(name)} is not valid; use letters, digits and hyphens"
    if _BAD_BYTE.search(value):
        return f"the header {name[:40]} has a control character in its value {shown(value.strip(' '))}; remove it"
    return None


def _readTarget(method: str, target: str) -> tuple[str, str, str | None]:
    """Returns the path and query of a target, and the authority of an absolute one (RFC 9112 3.2)."""
    if "#" in target:
        raise Refused(400, f"the target {shown(target)} has a fragment; remove the # and everything after it")
    authority = None
    if not target.startswith("/"):
        if target == "*" and method == "OPTIONS":
            return "*", "", None
        absolute = _ABSOLUTE.match(target)
        if absolute is None:
            raise Refused(400, f"the target {shown(target)} is neither a path that begins with / nor an http URL")
        authority, target = absolute[1], absolute[2]
        if "@" in authority:
            raise Refused(400, "the target has a user name before its host; remove everything up to the @")
        _checkAuthority("the host of the target", authority)
        if not target.startswith("/"):
            target = "/" + target
    path, _, query = target.partition("?")
    return path, query, authority


def _checkAuthority(what: str, authority: str) -> None:
    """Check a host and its port; `what` names them in the refusal."""
    if not _isAuthority(authority):
        raise Refused(400, f"{what} {shown(authority)} is not a name or an address, with or without a port")


@lru_cache(64)
def _isAuthority(text: str) -> bool:
    match = _HOST.match(text)
    return match is not None and int(match[1] or 0) <= 65535


def _checkHost(headers: Headers, version: tuple[int, int]) -> None:
    """Check that there is exactly one Host in HTTP/1.1, at most one in HTTP/1.0 (RFC 9112 3.2)."""
    host = headers.byName.get("host")
    if (host is None and version == (1, 1)) or headers.isRepeated("host"):
        raise Refused(400, f"the request has {headers.count('Host') or 'no'} Host header fields; send one")
    if host:
        _checkAuthority("Host", host)


def _checkFraming(headers: Headers, version: tuple[int, int]) -> None:
    """Check that the length of the body is unambiguous (RFC 9112 6.3)."""
    lengths = headers.all("Content-Length")
    codings = headers.all("Transfer-Encoding")
    if lengths and codings:
        raise Refused(400, "the request has both Content-Length and Transfer-Encoding; send one of them")
    if lengths and (len(lengths) > 1 or not _LENGTH.match(lengths[0])):
        raise Refused(400, f"Content-Length {shown(', '.join(lengths))} is not a single number of bytes")
    if codings and version != (1, 1):
        raise Refused(400, "Transfer-Encoding is not allowed in HTTP/1.0; send Content-Length")
    if codings and (len(codings) > 1 or codings[0].lower() != "chunked"):
        raise Refused(501, f"Transfer-Encoding {shown(', '.join(codings))} is not supported; send chunked")
