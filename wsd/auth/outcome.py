"""What a method of authentication is asked, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from wsd.auth.logins import PasswordDigest
from wsd.head import Head
from wsd.policies.address import Peer, TlsInfo

if TYPE_CHECKING:
    from wsd.traces.tracer import Span

MAX_NAME = 256
"""The longest name of a user in characters."""


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """A request, before anything of it is answered. A hook in Python is called with it."""

    head: Head
    """The request head: `method`, `path`, `query`, `headers`."""
    peer: Peer
    """The true client, also behind a proxy."""
    tls: TlsInfo | None = None
    """What the TLS handshake agreed on; None without TLS."""
    tokenInQuery: bool = False
    """Whether the route takes a token from the query."""
    digest: PasswordDigest | None = None
    """The digest of a password, if a message has brought it."""
    span: Span | None = field(default=None, compare=False)
    """The request in its trace; None without traces."""


class TokenError(Exception):
    """A token is not valid: `code` is "bad_token" or "expired", and `sentence` says why without a part of the token."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class AuthenticatedUser:
    """A user whom a method has recognised; `name` is None if a hook has accepted somebody without a name."""

    name: str | None
    method: str
    expires: float | None = None
    """When this ends, in seconds since 1970; None: never."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """What a verified token says."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a method does not accept the request, in a sentence that says what would be right."""

    sentence: str
    challenge: str | None = None
    """The WWW-Authenticate of the answer (RFC 9110 11.6.1), instead of the method's usual one."""
    isFailure: bool = False
    """Whether the method could not decide: the request is refused with 503."""


class Method(Protocol):
    """One method of authentication."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""

    @property
    def challenge(self) -> str | None:
        """Its WWW-Authenticate, None if there is nothing that a client could send in a header field."""

    @property
    def missing(self) -> str:
        """What would be right, for a request that has nothing for this method."""

    async def authenticate(self, request: AuthRequest) -> AuthenticatedUser | Rejection | None:
        """Returns who it is, why it is not accepted, or None if the request has nothing for this method."""


def isName(text: str) -> bool:
    """Whether a text can be the name of a user: printable, and not too long."""
    return 0 < len(text) <= MAX_NAME and text.isprintable() and text == text.strip()
