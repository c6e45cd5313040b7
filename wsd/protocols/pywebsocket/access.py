"""Basic authentication for a whole route (RFC 7617)."""

from __future__ import annotations

from base64 import b64encode
from hmac import compare_digest

from wsd.connection import Refused
from wsd.head import Head

_CHALLENGE = 'Basic realm="wsd", charset="UTF-8"'


class BasicAuth:
    """Admits all clients, or those with the one name and password."""

    def __init__(self, credential: str | None) -> None:
        """`credential` is "name:password"; None admits all clients."""
        self._expected = None if credential is None else b64encode(credential.encode())

    def check(self, head: Head) -> None:
        """Raises `Refused` (401) without the right name and password."""
        if self._expected is None:
            return
        scheme, _, given = head.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic" or not compare_digest(given.strip().encode("latin-1"), self._expected):
            raise Refused(401, "a user name and a password are required", [("WWW-Authenticate", _CHALLENGE)])
