"""
Openings whose heads are known: only the key differs from that of an earlier one.

All tabs of one page, and all connections of one program, send the same head but for `Sec-WebSocket-Key`. What was read
and checked of the first head holds for the others, as long as the routes and the policies are the same. Whatever
depends on more than these is checked each time: the key, the client's address and certificate, and all limits.
"""

from __future__ import annotations

from typing import NamedTuple

from wsd.connection.request import Request
from wsd.head import Head, Headers
from wsd.policies.negotiation import Offers
from wsd.policies.upgrade import isKey
from wsd.web.route import SiteRoute

_BEFORE_KEY = b"\r\nSec-WebSocket-Key: "
_KEY = "sec-websocket-key"
_SIZE = 24
"""The length of a key: the base64 of 16 bytes."""

_MOST = 64
"""Heads that are known at a time."""

_LARGEST = 2048
"""The largest head that is remembered, in bytes."""

_SECRET = frozenset({"authorization", "proxy-authorization", "cookie"})
"""Fields whose values must not stay in memory after their connection."""


class KnownOpening(NamedTuple):
    """An opening handshake that has passed all checks of its head."""

    head: Head
    route: SiteRoute
    subprotocols: tuple[str, ...]
    extensions: Offers


class RepeatedOpening(NamedTuple):
    """An opening handshake with a known head, and its own key."""

    known: KnownOpening
    key: str


class KeyedHeaders(Headers):
    """The header fields of a known head with another key. Their table is made when somebody reads it."""

    __slots__ = ("_key", "_like")

    def __init__(self, like: Headers, key: str) -> None:
        # Not that of Headers, which sets what `__getattr__` makes.
        self._like = like
        self._key = key

    def __getattr__(self, name: str) -> object:
        """Called for what is not set: set all of it."""
        if name not in Headers.__slots__:
            raise AttributeError(name)
        texts = [text for field in self._like for text in field]
        at = next(at for at in range(0, len(texts), 2) if texts[at].lower() == _KEY)
        texts[at + 1] = self._key
        self._set(tuple(texts), {**self._like.byName, _KEY: self._key})
        return getattr(self, name)


class KnownOpenings:
    """The openings that a site knows. It forgets all of them when its routes or policies change."""

    def __init__(self) -> None:
        self._openings: dict[bytes, KnownOpening] = {}

    def __len__(self) -> int:
        return len(self._openings)

    def find(self, data: bytes) -> RepeatedOpening | None:
        """Returns the known opening with this head, and the key; None if it is not known, or the key is not valid."""
        found = data.find(_BEFORE_KEY)
        if found < 0:
            return None
        start = found + len(_BEFORE_KEY)
        known = self._openings.get(data[:start] + data[start + _SIZE :])
        if known is None:
            return None
        key = data[start : start + _SIZE].decode("latin-1")
        return RepeatedOpening(known, key) if isKey(key) else None

    def remember(self, data: bytes, request: Request, route: SiteRoute) -> None:
        """Remember the head of an opening that has passed all checks, unless it may have a secret."""
        head = request.head
        found = data.find(_BEFORE_KEY)
        start = found + len(_BEFORE_KEY)
        isUsual = found > 0 and len(data) <= _LARGEST and data[start : start + _SIZE] == request.key.encode()
        mayHaveSecret = route.authenticator is not None or head.query or not _SECRET.isdisjoint(head.headers.byName)
        if not isUsual or mayHaveSecret:
            return
        if len(self._openings) >= _MOST:
            del self._openings[next(iter(self._openings))]
        known = KnownOpening(head, route, request.subprotocols, request.extensions)
        self._openings[data[:start] + data[start + _SIZE :]] = known
