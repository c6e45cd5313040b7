"""Tokens: JSON Web Tokens (RFC 7519, RFC 8725), verified by a key, an audience and an issuer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twisted.logger import Logger

from wsd.auth.htpasswd import stampOf
from wsd.auth.outcome import TokenError

try:
    import jwt
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
except ImportError:
    jwt = None  # type: ignore[assignment]

_MAX_TOKEN = 8192
_LEEWAY = 10.0
"""Seconds by which clocks may differ."""
_LEAST_SECRET = 32
"""Bytes of a secret for HS256 (RFC 7518 3.2)."""


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a valid token says."""

    user: str | None
    """Its subject (sub)."""
    expires: float
    """Seconds since 1970."""
    claims: Mapping[str, Any]
    """All of it."""


class Keys:
    """
    The keys that tokens are verified with: a secret, a public key in PEM, or a set of keys as JWKS (RFC 7517).

    The kind of the key decides the algorithm: HS256 for a secret; RS256, ES256 or EdDSA for a public key. A token that
    names another algorithm is not valid (RFC 8725 3.1). The file is read again when it changes.
    """

    log = Logger(namespace="wsd")

    def __init__(self, path: str) -> None:
        """Raises ValueError when PyJWT is missing or the file holds no key, OSError when it cannot be read."""
        if jwt is None:
            raise ValueError('tokens need PyJWT; install it with: pip install "pyjwt[crypto]"')
        self._path = path
        self._read()

    def _read(self) -> None:
        self._stamp = stampOf(self._path)
        with open(self._path, "rb") as file:
            self._keys = _keysOf(file.read(), self._path)

    def find(self, kid: str | None) -> tuple[str, Any]:
        """The algorithm and the key for a token of this key id. Raises LookupError."""
        if stampOf(self._path) != self._stamp:
            self._readAgain()
        if len(self._keys) == 1 and (kid is None or None in self._keys):
            return next(iter(self._keys.values()))
        return self._keys[kid]

    def _readAgain(self) -> None:
        """The file has changed. If it cannot be read, the old keys stay in use until it changes again."""
        try:
            self._read()
        except (OSError, ValueError) as error:
            self.log.error("the old keys stay in use: {reason}", event="auth.keys", reason=str(error))
        else:
            self.log.info("reloaded the keys from {path}", event="auth.keys", path=self._path)


def _keysOf(content: bytes, path: str) -> dict[str | None, tuple[str, Any]]:
    """Keys by their id, None for one without. Raises ValueError."""
    if content.lstrip()[:1] == b"{":
        try:
            found = jwt.PyJWKSet.from_json(content.decode())
        except Exception as error:
            raise ValueError(f"{path} is not a JWKS: {error}") from None
        return {key.key_id: (_algorithmOf(key.key, path), key.key) for key in found.keys}
    if b"-----BEGIN" in content:
        try:
            key = load_pem_public_key(content)
        except Exception as error:
            raise ValueError(f"{path} is not a public key in PEM: {error}") from None
        return {None: (_algorithmOf(key, path), key)}
    secret = content.strip()
    if len(secret) < _LEAST_SECRET:
        raise ValueError(f"{path} has a secret of {len(secret)} bytes; HS256 needs {_LEAST_SECRET} or more")
    return {None: ("HS256", secret)}


def _algorithmOf(key: Any, path: str) -> str:
    if isinstance(key, bytes):
        return "HS256"
    if isinstance(key, RSAPublicKey):
        return "RS256"
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return "ES256"
    if isinstance(key, Ed25519PublicKey):
        return "EdDSA"
    raise ValueError(f"{path} has a key that is not RSA, P-256 or Ed25519")


class Verifier:
    """Verifies tokens by the keys of a file, and by audience and issuer where the route names them."""

    def __init__(self, keys: Keys, audience: str | None, issuer: str | None) -> None:
        self._keys = keys
        self._audience = audience
        self._issuer = issuer

    def verify(self, token: str) -> VerifiedToken:
        """What a token says. Raises TokenError."""
        if len(token) > _MAX_TOKEN:
            raise TokenError("bad_token", f"the token is longer than {_MAX_TOKEN} characters")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            algorithm, key = self._keys.find(kid)
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY,
                options={"require": ["exp"], "verify_aud": self._audience is not None},
            )
        except jwt.ExpiredSignatureError:
            raise TokenError("expired", "the token has expired; get a new one") from None
        except LookupError:
            raise TokenError("bad_token", "the token names a key that this route does not have") from None
        except OverflowError:
            raise TokenError("bad_token", "the claim exp, nbf or iat is not a time") from None
        except jwt.InvalidTokenError as error:
            raise TokenError("bad_token", f"the token is not valid here: {_wordsOf(error)}") from None
        return _verified(claims)


def _wordsOf(error: Exception) -> str:
    """What is wrong with a token, without a part of it."""
    words = {
        "InvalidAlgorithmError": "its algorithm does not match the key",
        "InvalidSignatureError": "its signature is wrong",
        "InvalidAudienceError": "its audience (aud) does not match",
        "InvalidIssuerError": "its issuer (iss) does not match",
        "ImmatureSignatureError": "it is not valid yet (nbf, iat)",
        "MissingRequiredClaimError": "a required claim is missing (exp, or aud or iss if they are checked)",
    }
    return words.get(type(error).__name__, "it is not a JSON Web Token")


def _verified(claims: Mapping[str, Any]) -> VerifiedToken:
    user, expires = claims.get("sub"), claims["exp"]
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        raise TokenError("bad_token", "the claim exp is not a number of seconds since 1970")
    return VerifiedToken(user if isinstance(user, str) else None, float(expires), claims)
