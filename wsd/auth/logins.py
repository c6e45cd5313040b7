"""Logins: a user name with a password, or with a digest of it, that came in a message instead of the request head."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from hmac import compare_digest


@dataclass(frozen=True, slots=True)
class PasswordDigest:
    """A digest of a password: SHA-1 of nonce + created + password (WSS UsernameToken Profile 1.1, 3.1)."""

    user: str
    nonce: bytes
    created: str
    """When it was made, as the client has written it."""
    digest: bytes

    def isOf(self, password: str | bytes) -> bool:
        """Whether it is the digest of this password. Takes the same time for each password."""
        secret = password.encode() if isinstance(password, str) else password
        known = sha1(self.nonce + self.created.encode() + secret, usedforsecurity=False).digest()
        return compare_digest(known, self.digest)


@dataclass(frozen=True, slots=True)
class Login:
    """A user name, and either the password or a digest of it."""

    user: str
    password: str | None = None
    digest: PasswordDigest | None = None
