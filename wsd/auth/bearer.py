"""bearer: a JSON Web Token in the Authorization header, in a subprotocol entry, or in the query."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from wsd.auth.outcome import AuthenticatedUser, AuthRequest, Rejection, TokenError, isName
from wsd.head import Head

if TYPE_CHECKING:
    # It needs PyJWT, which only a daemon with tokens loads.
    from wsd.auth.tokens import Verifier

BEARER = "bearer."
"""The subprotocol entry that brings a token begins with this; it is never selected, and so never sent back."""


class BearerMethod:
    """Tokens that a key verifies."""

    name = "bearer"
    missing = f"send a token (Authorization: Bearer, or the subprotocol {BEARER}TOKEN)"

    def __init__(self, verifier: Verifier, realm: str) -> None:
        self.challenge = f'Bearer realm="{realm}"'
        self._verifier = verifier

    async def authenticate(self, request: AuthRequest) -> AuthenticatedUser | Rejection | None:
        """The subject (sub) of the token."""
        token = tokenOf(request.head)
        if token is None and request.tokenInQuery and "token=" in request.head.query:
            token = parse_qs(request.head.query).get("token", [None])[-1]
        if token is None:
            return None
        try:
            return self.verify(token)
        except TokenError as error:
            # RFC 6750 3.1.
            return Rejection(error.sentence, f'{self.challenge}, error="invalid_token"')

    def verify(self, token: str) -> AuthenticatedUser:
        """The subject (sub) of a token. Raises TokenError."""
        verified = self._verifier.verify(token)
        if verified.user is not None and not isName(verified.user):
            raise TokenError("bad_token", "the claim sub of the token is not the name of a user")
        return AuthenticatedUser(verified.user, self.name, verified.expires, verified.claims)


def tokenOf(head: Head) -> str | None:
    """The token of a request: in Authorization (RFC 6750 2.1), or in a subprotocol entry."""
    scheme, _, token = (head.headers.get("Authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    for entry in head.headers.get("Sec-WebSocket-Protocol", "").split(","):
        if entry.strip().startswith(BEARER):
            return entry.strip().removeprefix(BEARER)
    return None


def withoutTokens(subprotocols: Iterable[str]) -> tuple[str, ...]:
    """The offered subprotocols without the entries that bring a token."""
    return tuple(name for name in subprotocols if not name.startswith(BEARER))
