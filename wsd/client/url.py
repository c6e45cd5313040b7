"""Turns a URL as people write it into one for a request: in ASCII (RFC 3986), with the user in a header (RFC 7617)."""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from wsd.config.values import asciiName, printable

_KEPT = "%/?:@!$&'()*+,;=[]~"
"""Characters of a path and a query that are not escaped: reserved ones (RFC 3986 2.2), and `%` of existing escapes."""

_USER = re.compile(r"//[^/?#]*@")


def readUrl(text: str) -> tuple[str, dict[str, str]]:
    """Returns the URL in ASCII without its user, and header fields with the user's credentials. Raises ValueError."""
    parts = urlsplit(text.strip())
    user, at, place = parts.netloc.rpartition("@")
    host, colon, port = place.partition(":") if not place.isascii() else (place, "", "")
    url = parts._replace(netloc=asciiName(host) + colon + port, path=_encoded(parts.path), query=_encoded(parts.query))
    return urlunsplit(url), {"Authorization": f"Basic {_credentials(user)}"} if at else {}


def shownUrl(text: str) -> str:
    """The URL for a terminal or a log: without the user and the password."""
    return printable(_USER.sub("//", text))


def _encoded(text: str) -> str:
    return quote(text, safe=_KEPT, errors="surrogateescape")


def _credentials(user: str) -> str:
    name, _, password = user.partition(":")
    return b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
