"""
Credentials: the users, and the keys that SCRAM stores instead of their passwords (RFC 5802 3).

Functions that take milliseconds are meant for a thread. scramp is needed only where users have passwords.
"""

from __future__ import annotations

import hmac
import json
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from wsd.protocols.xmpp.store import RecordStore

SCRAM = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1")
"""The mechanisms for which a user has keys, the strongest first. @xmpp/client knows only the last."""

FOR_PLAIN = "SCRAM-SHA-256"
"""The mechanism whose keys are used to check a password that was sent by PLAIN."""

ITERATIONS = 10_000
"""The iteration count of new keys (RFC 5802 5.1 wants at least 4096)."""
_MOST_ITERATIONS = 1_000_000
"""Limit for stored keys. The work of each login grows with it: the client's for SCRAM, the server's for PLAIN."""

USER, SECRET = "user", "secret"
"""Kinds of records: the keys of a user, and the secret for decoy keys."""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """The keys that are stored for one mechanism instead of a password (RFC 5802 3)."""

    salt: bytes
    storedKey: bytes
    """Checks that the client knows the password."""
    serverKey: bytes
    """Shows the client that the server knows these keys."""
    iterations: int


@lru_cache(1)
def hasScram() -> bool:
    """Whether scramp is installed."""
    return find_spec("scramp") is not None


def mechanism(name: str) -> Any:
    """scramp's object for a mechanism."""
    from scramp import ScramMechanism

    return ScramMechanism(name)


def derive(password: str) -> str:
    """Derive keys from a password, as they are stored. Takes milliseconds. Raises ValueError for a bad password."""
    from scramp import ScramException

    kept = {}
    try:
        for name in SCRAM:
            salt, storedKey, serverKey, iterations = mechanism(name).make_auth_info(
                password, iteration_count=ITERATIONS, salt=secrets.token_bytes(16)
            )
            kept[name] = [*(b64encode(part).decode() for part in (salt, storedKey, serverKey)), iterations]
    except (ScramException, UnicodeError) as error:
        raise ValueError(f"this is not a valid password: {error}; use printable characters") from None
    return json.dumps(kept)


def check(password: str, kept: str | None) -> bool:
    """
    Whether this is the password whose keys were stored. Takes milliseconds.

    `kept` is None if there is no such user. That takes as long, so that the time does not reveal which users exist.
    """
    from scramp import ScramException

    keys = readKeys(kept, FOR_PLAIN) if kept is not None else ScramKeys(bytes(16), bytes(32), bytes(32), ITERATIONS)
    try:
        _, derived, _, _ = mechanism(FOR_PLAIN).make_auth_info(
            password, iteration_count=keys.iterations, salt=keys.salt
        )
    except (ScramException, UnicodeError):
        return False
    return hmac.compare_digest(derived, keys.storedKey)


def readKeys(kept: str, name: str) -> ScramKeys:
    """The stored keys for a mechanism. Raises ValueError if `derive` cannot have made them."""
    try:
        salt, storedKey, serverKey, iterations = json.loads(kept)[name]
        keys = ScramKeys(b64decode(salt), b64decode(storedKey), b64decode(serverKey), iterations)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"there are no keys: {error}") from None
    if type(iterations) is not int or not 0 < iterations <= _MOST_ITERATIONS:
        raise ValueError(f"{iterations!r} is not a number of iterations")
    return keys


def decoy(secret: bytes, user: str, name: str) -> ScramKeys:
    """
    Keys for a user who does not exist. No password fits, and the salt is the same each time.

    A login then fails as it does with a wrong password, so that nobody learns which users exist.
    """
    salt = hmac.digest(secret, f"{name} {user}".encode(), "sha256")[:16]
    size = mechanism(name).hf().digest_size
    return ScramKeys(salt, secrets.token_bytes(size), secrets.token_bytes(size), ITERATIONS)


def secretOf(store: RecordStore) -> str:
    """The secret from which the salts of decoy keys are made, in hexadecimal. It stays the same after a restart."""
    kept = store.get(SECRET, "", "decoy")
    if kept is None:
        kept = secrets.token_hex(32)
        store.put(SECRET, "", "decoy", kept)
    return kept


# -- users -------------------------------------------------------------------------------------------------------------


def has(store: RecordStore, user: str) -> bool:
    """Whether this user exists."""
    return store.get(USER, user, "keys") is not None


def add(store: RecordStore, user: str, kept: str) -> bool:
    """Add a user with the keys of a password. Returns False if the user exists already."""
    if has(store, user):
        return False
    store.put(USER, user, "keys", kept)
    return True


def change(store: RecordStore, user: str, kept: str) -> bool:
    """Change the keys of a user. Returns False if the user does not exist."""
    if not has(store, user):
        return False
    store.put(USER, user, "keys", kept)
    return True
