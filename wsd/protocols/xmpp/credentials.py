"""
Who may log in: users and the keys of their passwords (RFC 5802), never the passwords themselves.

Keys are derived on a bounded pool of its own; scramp is needed here and for SCRAM, and not where all are anonymous.
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

from wsd.protocols.xmpp.store import Store

SCRAM = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1")
"""The mechanisms a user has keys for, the strongest first; @xmpp/client knows only the last."""

PLAIN = SCRAM[1]
"""The mechanism whose keys are used to check a password that was sent in the clear."""

ITERATIONS = 10_000
_MOST_ITERATIONS = 1_000_000

USER, SECRET = "user", "secret"
"""Kinds of records."""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a password is known by."""

    salt: bytes
    stored: bytes
    server: bytes
    iterations: int


@lru_cache(1)
def hasScram() -> bool:
    """Whether scramp is installed."""
    return find_spec("scramp") is not None


def mechanism(name: str) -> Any:
    """scramp's mechanism of a name."""
    from scramp import ScramMechanism

    return ScramMechanism(name)


def derive(password: str) -> str:
    """The keys of a password, as they are stored. Raises ValueError for one that cannot be. Takes milliseconds."""
    from scramp import ScramException

    kept = {}
    try:
        for name in SCRAM:
            salt, stored, server, iterations = mechanism(name).make_auth_info(
                password, iteration_count=ITERATIONS, salt=secrets.token_bytes(16)
            )
            kept[name] = [*(b64encode(part).decode() for part in (salt, stored, server)), iterations]
    except (ScramException, UnicodeError) as error:
        raise ValueError(f"this cannot be a password: {error}; write printable characters") from None
    return json.dumps(kept)


def check(password: str, kept: str | None) -> bool:
    """Whether this is the password whose keys were stored; as long for a user that there is not. Takes milliseconds."""
    from scramp import ScramException

    keys = readKeys(kept, PLAIN) if kept is not None else ScramKeys(bytes(16), bytes(32), bytes(32), ITERATIONS)
    try:
        _, stored, _, _ = mechanism(PLAIN).make_auth_info(password, iteration_count=keys.iterations, salt=keys.salt)
    except (ScramException, UnicodeError):
        return False
    return hmac.compare_digest(stored, keys.stored)


def readKeys(kept: str, name: str) -> ScramKeys:
    """The stored keys of a mechanism. Raises ValueError for keys that `derive` cannot have made."""
    try:
        salt, stored, server, iterations = json.loads(kept)[name]
        keys = ScramKeys(b64decode(salt), b64decode(stored), b64decode(server), iterations)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"there are no keys: {error}") from None
    if type(iterations) is not int or not 0 < iterations <= _MOST_ITERATIONS:
        raise ValueError(f"{iterations!r} is not a number of iterations")
    return keys


def decoy(secret: bytes, user: str, name: str) -> ScramKeys:
    """ScramKeys for a user that there is not: the same salt each time, and no password that fits."""
    salt = hmac.digest(secret, f"{name} {user}".encode(), "sha256")[:16]
    size = mechanism(name).hf().digest_size
    return ScramKeys(salt, secrets.token_bytes(size), secrets.token_bytes(size), ITERATIONS)


def secretOf(store: Store) -> str:
    """The secret from which decoys are made, in hexadecimal digits; it survives a restart."""
    kept = store.get(SECRET, "", "decoy")
    if kept is None:
        kept = secrets.token_hex(32)
        store.put(SECRET, "", "decoy", kept)
    return kept


# -- users -------------------------------------------------------------------------------------------------------------


def has(store: Store, user: str) -> bool:
    """Whether there is this user."""
    return store.get(USER, user, "keys") is not None


def add(store: Store, user: str, kept: str) -> bool:
    """Add a user with the keys of a password: False when there is one of that name."""
    if has(store, user):
        return False
    store.put(USER, user, "keys", kept)
    return True


def change(store: Store, user: str, kept: str) -> bool:
    """Change a user's password: False when there is no such user."""
    if not has(store, user):
        return False
    store.put(USER, user, "keys", kept)
    return True
