"""UsernameToken: a user name with a password or a digest of it (WSS UsernameToken Profile 1.1, 3.1)."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from typing import Any

from wsd.auth.basic import MOST_PASSWORD
from wsd.auth.logins import Login, PasswordDigest
from wsd.auth.outcome import isName
from wsd.protocols.soap.names import WSSE, localName
from wsd.protocols.soap.security.faults import SecurityFault
from wsd.protocols.soap.security.timestamps import CREATED, checkFresh, timeOf

_PROFILE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"
_TEXT, _DIGEST = f"{_PROFILE}#PasswordText", f"{_PROFILE}#PasswordDigest"
_USERNAME, _PASSWORD, _NONCE = (f"{{{WSSE}}}{name}" for name in ("Username", "Password", "Nonce"))
_DERIVED = ("Salt", "Iteration")
"""Elements of a token without a password, from which keys are derived (4)."""
_SHA1 = 20
_MOST_NONCE = 256


def readToken(element: Any, now: float) -> Login:
    """Returns the login in a UsernameToken. Raises `SecurityFault`."""
    parts = _partsOf(element)
    user, password = parts.get(_USERNAME), parts.get(_PASSWORD)
    if user is None:
        raise _invalid("the UsernameToken has no Username")
    name = (user.text or "").strip()
    if not isName(name) or ":" in name:
        raise _invalid("the Username must be printable, without colons, and not longer than 256 characters")
    if password is None:
        raise _invalid("the UsernameToken has no Password; send it as PasswordText, over TLS")
    kind, text = password.get("Type", _TEXT), password.text or ""
    if kind == _DIGEST:
        return Login(name, digest=_digestIn(parts, name, text, now))
    if kind != _TEXT:
        raise SecurityFault(
            "UnsupportedSecurityToken",
            f"the Password has the Type {kind[:200]!r}; use PasswordText or PasswordDigest of the profile",
        )
    if CREATED in parts:
        checkFresh(timeOf(parts[CREATED]), now)
    if len(text.encode()) > MOST_PASSWORD:
        raise _invalid(f"the Password is longer than {MOST_PASSWORD} bytes")
    return Login(name, text)


def _partsOf(element: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for part in element:
        if localName(part.tag) in _DERIVED:
            raise SecurityFault("UnsupportedSecurityToken", "key derivation is not supported; send a Password over TLS")
        if part.tag in parts:
            raise _invalid(f"the UsernameToken has {localName(part.tag)[:80]} twice")
        parts[part.tag] = part
    return parts


def _digestIn(parts: dict[str, Any], user: str, text: str, now: float) -> PasswordDigest:
    nonce, created = parts.get(_NONCE), parts.get(CREATED)
    if nonce is None or created is None:
        raise _invalid("a PasswordDigest needs a wsse:Nonce and a wsu:Created, so that it cannot be sent again")
    checkFresh(timeOf(created), now)
    digest = _bytesOf(text, "the PasswordDigest")
    if len(digest) != _SHA1:
        raise _invalid(f"the PasswordDigest has {len(digest)} bytes; SHA-1 has {_SHA1}")
    random = _bytesOf(nonce.text or "", "the wsse:Nonce")
    if not 0 < len(random) <= _MOST_NONCE:
        raise _invalid(f"the wsse:Nonce has {len(random)} bytes; it must have 1 to {_MOST_NONCE}")
    return PasswordDigest(user, random, (created.text or "").strip(), digest)


def _bytesOf(text: str, what: str) -> bytes:
    try:
        return b64decode("".join(text.split()), validate=True)
    except (NotBase64, ValueError):
        raise _invalid(f"{what} is not base64") from None


def _invalid(sentence: str) -> SecurityFault:
    return SecurityFault("InvalidSecurityToken", sentence)
