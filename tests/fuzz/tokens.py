"""
JSON Web Tokens: nothing that somebody without the key has made is taken, and any token is taken or a `TokenError`.

A sentence never has a part of the token. What a token with a right signature says is read, or refused in the same way.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from contextlib import suppress
from functools import cache
from tempfile import NamedTemporaryFile

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wsd.auth.bearer import BearerMethod
from wsd.auth.outcome import TokenError
from wsd.auth.tokens import Keys, Verifier
from wsd.protocols.topics.claims import readClaims
from wsd.protocols.topics.errors import TopicError

_SECRET = b"0123456789abcdef0123456789abcdef"
_PRIVATE = Ed25519PrivateKey.from_private_bytes(_SECRET)
_PUBLIC = _PRIVATE.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


@cache
def _methods() -> dict[str, BearerMethod]:
    """A route with a secret, and one with a public key."""
    found = {}
    for name, key in (("secret", _SECRET), ("public", _PUBLIC)):
        with NamedTemporaryFile(prefix="wsd-fuzz-") as file:
            file.write(key)
            file.flush()
            keys = Keys(file.name)
        # The file is gone: the key stays in use.
        keys._stamp = None
        found[name] = BearerMethod(Verifier(keys, None, None), "wsd")
    return found


def check(data: bytes) -> None:
    """Takes how to sign, a header and what the token says, one on each line; or a token, if there is one line."""
    lines = data.split(b"\n", 2)
    if len(lines) < 3:
        for name in _methods():
            assert not _isTaken(name, data.decode("utf-8", "replace")), "nobody has signed it"
        return
    kind, header, payload = lines
    text = _encode(header) + b"." + _encode(payload)
    tokens = {
        "secret": text + b"." + _encode(hmac.digest(_SECRET, text, hashlib.sha256)),
        "public": text + b"." + _encode(_PRIVATE.sign(text)),
        "confused": text + b"." + _encode(hmac.digest(_PUBLIC, text, hashlib.sha256)),
        "unsigned": text + b"." + kind,
    }
    for signed, token in tokens.items():
        for name in _methods():
            isTaken = _isTaken(name, token.decode("latin-1"))
            assert name == signed or not isTaken, (name, signed)


def _encode(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _isTaken(name: str, token: str) -> bool:
    try:
        user = _methods()[name].verify(token)
    except TokenError as error:
        refused = error
    else:
        with suppress(TopicError):
            readClaims(user.name, user.expires, user.claims)
        return True
    assert refused.code in ("bad_token", "expired")
    assert not any(len(part) > 40 and part in refused.sentence for part in token.split("."))
    return False
