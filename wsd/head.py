"""
One request head, read strictly (RFC 9112, sections 2 to 5), by the only parser that any request of the daemon meets.

Bytes that another parser might read otherwise are refused, not repaired: a head has one meaning or none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MAX_HEAD = 16384
"""Bytes a head may have."""

MAX_HEADERS = 100
"""Header fields a head may have."""

_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]{1,16384}) HTTP/(\d)\.(\d)\Z")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n]*?)[ \t]*\Z")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f\x85]")
"""Control bytes, and those at which str.splitlines() begins a line: one value would become two header fields."""
_ABSOLUTE = re.compile(r"(https?|wss?)://([^/?#]*)([/?].*)?\Z", re.IGNORECASE)
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.%a-zA-Z]+\])(?::\d{1,5})?\Z")


class Refused(Exception):
    """A request that is answered with a status and one sentence, and header fields beside."""

    def __init__(self, status: int, sentence: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(status, sentence)
        self.status = status
        self.sentence = sentence
        self.headers = tuple(headers)


class Headers:
    """Header fields in their order; names are compared without case, values are latin-1."""

    __slots__ = ("_fields", "_lower")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = tuple(fields)
        self._lower: dict[str, list[str]] = {}
        for name, value in self._fields:
            self._lower.setdefault(name.lower(), []).append(value)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of a field; several of one name are joined with commas (RFC 9110 5.3)."""
        values = self._lower.get(name.lower())
        return default if values is None else values[0] if len(values) == 1 else ", ".join(values)

    def all(self, name: str) -> list[str]:
        """The values of each field of this name."""
        return list(self._lower.get(name.lower(), ()))

    def count(self, name: str) -> int:
        """How many fields have this name."""
        return len(self._lower.get(name.lower(), ()))

    def tokens(self, name: str) -> list[str]:
        """The elements of a comma-separated list, in lower case."""
        value = self.get(name)
        return [] if value is None else [element.strip(" \t").lower() for element in value.split(",") if element.strip(" \t")]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._lower

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


@dataclass(frozen=True, slots=True)
class Head:
    """
    A request line and its header fields.

    `line` and `target` are as received; `path` is the target's, still percent-encoded; `authority` is that of an
    absolute target, which counts instead of Host (RFC 9112 3.2.2).
    """

    line: str
    method: str
    target: str
    path: str
    query: str
    version: tuple[int, int]
    headers: Headers
    authority: str | None = None

    @property
    def host(self) -> str:
        """Whom the request is meant for, "" when it does not say."""
        return self.authority if self.authority is not None else self.headers.get("Host") or ""

    @property
    def isUpgrade(self) -> bool:
        """Whether it asks to become a WebSocket."""
        headers = self.headers
        return "upgrade" in headers and "websocket" in headers.tokens("Upgrade") and "upgrade" in headers.tokens("Connection")

    @property
    def chunked(self) -> bool:
        """Whether a chunked body follows."""
        return "Transfer-Encoding" in self.headers

    @property
    def length(self) -> int | None:
        """The length of the body in bytes, None when it does not say."""
        values = self.headers.all("Content-Length")
        return int(values[0]) if values else None

    @property
    def hasBody(self) -> bool:
        """Whether a body follows."""
        return self.chunked or bool(self.length)


def parseHead(data: bytes) -> Head:
    """The head of a request, without the empty line that ends it. Raises `Refused`."""
    lines = data.split(b"\r\n")
    line = _LINE.match(lines[0])
    if line is None:
        raise _badLine(lines[0])
    if len(lines) - 1 > MAX_HEADERS:
        raise Refused(431, f"the request has more than {MAX_HEADERS} header fields")
    fields = []
    for raw in lines[1:]:
        match = _FIELD.match(raw)
        if match is None or _BAD_VALUE.search(match[2]):
            raise _badField(raw)
        fields.append((match[1].decode("latin-1"), match[2].decode("latin-1")))
    method, target = line[1].decode("latin-1"), line[2].decode("latin-1")
    version = (int(line[3]), int(line[4]))
    if version not in ((1, 0), (1, 1)):
        raise Refused(505, f"HTTP/{version[0]}.{version[1]} is not spoken here; send HTTP/1.1")
    headers = Headers(fields)
    path, query, authority = _readTarget(method, target)
    _checkHost(headers, version, authority)
    _checkFraming(headers, version)
    return Head(lines[0].decode("latin-1"), method, target, path, query, version, headers, authority)


def _shown(data: bytes | str) -> str:
    """Something foreign, fit for a sentence: short, and without control characters."""
    return ascii(data.decode("latin-1") if isinstance(data, bytes) else data)[:80]


def _badLine(line: bytes) -> Refused:
    return Refused(400, f"the request line {_shown(line)} is not METHOD TARGET HTTP/1.1")


def _badField(field: bytes) -> Refused:
    if field[:1] in (b" ", b"\t"):
        return Refused(400, "a header field is folded over two lines; write it on one")
    return Refused(400, f"the header field {_shown(field)} is not NAME: VALUE without control characters")


def _readTarget(method: str, target: str) -> tuple[str, str, str | None]:
    """Path, query, and the authority of an absolute target (RFC 9112 3.2)."""
    authority = None
    if "#" in target:
        raise Refused(400, f"the target {_shown(target)} has a fragment; leave out the # and what follows")
    rest = target
    if not target.startswith("/"):
        if target == "*" and method == "OPTIONS":
            return "*", "", None
        absolute = _ABSOLUTE.match(target)
        if absolute is None or not _HOST.match(absolute[2]):
            raise Refused(400, f"the target {_shown(target)} is neither a path nor an http URL")
        authority, rest = absolute[2], absolute[3] or "/"
        if not rest.startswith("/"):
            rest = "/" + rest
    path, _, query = rest.partition("?")
    return path, query, authority


def _checkHost(headers: Headers, version: tuple[int, int], authority: str | None) -> None:
    """Exactly one Host in HTTP/1.1, at most one in HTTP/1.0 (RFC 9112 3.2)."""
    count = headers.count("Host")
    if count > 1 or (count == 0 and version == (1, 1)):
        raise Refused(400, f"the request has {count} Host header fields; send one")
    host = headers.get("Host")
    if host and not _HOST.match(host):
        raise Refused(400, f"Host {_shown(host)} is not NAME or NAME:PORT")


def _checkFraming(headers: Headers, version: tuple[int, int]) -> None:
    """How long the body is must have one answer (RFC 9112 6.3)."""
    lengths = headers.all("Content-Length")
    codings = headers.all("Transfer-Encoding")
    if lengths and codings:
        raise Refused(400, "the request has both Content-Length and Transfer-Encoding; send one of them")
    if lengths and (len(set(lengths)) > 1 or not re.fullmatch("[0-9]{1,18}", lengths[0])):
        raise Refused(400, f"Content-Length {_shown(', '.join(lengths))} is not one number of bytes")
    if codings and (len(codings) > 1 or codings[0].lower() != "chunked"):
        raise Refused(501, f"Transfer-Encoding {_shown(', '.join(codings))} is not understood; send chunked")
    if codings and version != (1, 1):
        raise Refused(400, "Transfer-Encoding is not for HTTP/1.0; send Content-Length")
