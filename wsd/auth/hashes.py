"""
Hashes of passwords: bcrypt, SCRAM (RFC 5803, as PostgreSQL writes it) and salted SHA (RFC 2307).

A password may also be in the clear, behind {CLEARTEXT}: digests of a password cannot be verified by a hash of it.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from hmac import compare_digest, digest

try:
    import bcrypt
except ImportError:
    bcrypt = None  # type: ignore[assignment]

Verify = Callable[[bytes], bool]
"""Returns whether a password is right. This takes long, so it is called on a thread."""

_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_SCRAM = re.compile(r"SCRAM-SHA-(1|256|512)\$(\d{1,9}):([^$:]+)\$([^$:]+):([^$:]+)")
_SALTED = re.compile(r"\{SSHA(256|512)?\}(.+)")
_CLEAR = "{CLEARTEXT}"
_SHA = {None: "sha1", "1": "sha1", "256": "sha256", "512": "sha512"}
_MOST_BYTES = 72
"""bcrypt reads no more of a password, and htpasswd cuts it there."""
_MOST_ROUNDS = 10_000_000
_MOST_COST = 17


def verifierOf(text: str) -> Verify:
    """Returns what verifies passwords by a hash. Raises ValueError with a sentence."""
    for read in (_bcryptOf, _scramOf, _saltedOf, _clearOf):
        verify = read(text)
        if verify is not None:
            return verify
    kind = _kindOf(text)
    raise ValueError(f"{kind} is not accepted; use a salted hash such as bcrypt: htpasswd -B FILE USER")


def secretOf(text: str) -> bytes | None:
    """Returns the password itself if it is in the clear, None for a hash."""
    return text.removeprefix(_CLEAR).encode() if text.startswith(_CLEAR) else None


def _kindOf(text: str) -> str:
    """The kind of a hash that is not accepted, for an error without the hash itself."""
    if text.startswith(("$apr1$", "$1$")):
        return "an MD5 hash"
    if text.startswith("{SHA}"):
        return "an SHA-1 hash without a salt"
    if text.startswith(("$5$", "$6$", "$y$")) or re.fullmatch(r"[./A-Za-z0-9]{13}", text):
        return "a hash of crypt"
    return "a hash of an unknown kind, or a password in the clear,"


def _bcryptOf(text: str) -> Verify | None:
    found = _BCRYPT.fullmatch(text)
    if found is None:
        return None
    if bcrypt is None:
        raise ValueError('bcrypt hashes need the library bcrypt; install it with: pip install "txwsd[auth]"')
    if not 4 <= int(found[1]) <= _MOST_COST:
        raise ValueError(f"a bcrypt hash of cost {int(found[1])} is not accepted; use 4 to {_MOST_COST}")
    known = text.encode()
    return lambda password: _isBcrypt(password, known)


def _isBcrypt(password: bytes, known: bytes) -> bool:
    try:
        return bool(bcrypt.checkpw(password[:_MOST_BYTES], known))
    except ValueError:
        # A password with a NUL.
        return False


def _scramOf(text: str) -> Verify | None:
    found = _SCRAM.fullmatch(text)
    if found is None:
        return None
    name, rounds = _SHA[found[1]], int(found[2])
    salt, stored = _bytesOf(found[3]), _bytesOf(found[4])
    if not 1 <= rounds <= _MOST_ROUNDS or len(stored) != hashlib.new(name).digest_size:
        raise ValueError("a SCRAM hash has a wrong number of rounds, or a StoredKey of the wrong length")

    def verify(password: bytes) -> bool:
        if b"\0" in password:
            # HMAC pads short keys with zeros, so it would take this for the password without them.
            return False
        # RFC 5802 3.
        client = digest(hashlib.pbkdf2_hmac(name, password, salt, rounds), b"Client Key", name)
        return compare_digest(hashlib.new(name, client).digest(), stored)

    return verify


def _saltedOf(text: str) -> Verify | None:
    found = _SALTED.fullmatch(text)
    if found is None:
        return None
    name, content = _SHA[found[1]], _bytesOf(found[2])
    size = hashlib.new(name).digest_size
    known, salt = content[:size], content[size:]
    if len(known) < size or not salt:
        raise ValueError("an SSHA hash has no salt")
    return lambda password: compare_digest(hashlib.new(name, password + salt).digest(), known)


def _clearOf(text: str) -> Verify | None:
    secret = secretOf(text)
    if secret is None:
        return None
    if not secret:
        raise ValueError("a password in the clear is empty; write {CLEARTEXT}PASSWORD")
    return lambda password: compare_digest(password, secret)


def _bytesOf(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except NotBase64:
        raise ValueError("a hash is not base64") from None
