"""Turns a URL as people write it into one for a request: in ASCII (RFC 3986), with the user in a header (RFC 7617)."""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from wsd.config.values import asciiName, printable

_KEPT = "%/?:@!$&'()*+,;=[]~"
"""Characters of a path and a query that are not escaped: reserved ones (RFC 3986 2.2), and `%` of existing escapes."""

_USER = re.compile(r"(//|^)[^/?#]*@")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
"""The scheme of a WebSocket for each scheme that may be written."""


def readUrl(text: str) -> tuple[str, dict[str, str]]:
    """
    Returns the URL in ASCII without its user, and header fields with the user's credentials. Raises ValueError.

    http and https are read as ws and wss, and a URL without a scheme as ws.
    """
    text = text.strip()
    parts = urlsplit(text if _SCHEME.match(text) else f"ws://{text}")
    if parts.scheme not in _SCHEMES:
        raise ValueError(f'the scheme "{printable(parts.scheme)}" is not ws or wss')
    user, at, place = parts.netloc.rpartition("@")
    host, colon, port = place.partition(":") if not place.isascii() else (place, "", "")
    url = parts._replace(
        scheme=_SCHEMES[parts.scheme],
        netloc=asciiName(host) + colon + port,
        path=_encoded(parts.path),
        query=_encoded(parts.query),
    )
    return urlunsplit(url), {"Authorization": basicCredentials(user)} if at else {}


def shownUrl(text: str) -> str:
    """The URL for a terminal or a log: without the user and the password."""
    return printable(_USER.sub(r"\1", text))


def basicCredentials(user: str) -> str:
    """The value of an Authorization header for the percent-encoded `user:password` of a URL (RFC 7617)."""
    name, _, password = user.partition(":")
    return basic(unquote(name), unquote(password))


def basic(name: str, password: str) -> str:
    """The value of an Authorization header for a user and a password (RFC 7617)."""
    return f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"


def _encoded(text: str) -> str:
    return quote(text, safe=_KEPT, errors="surrogateescape")
