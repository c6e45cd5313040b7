"""basic: a user name and a password in the Authorization header (RFC 7617)."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator
from hmac import digest
from secrets import token_bytes

from twisted.internet.interfaces import IReactorTime

from wsd.auth.htpasswd import PasswordFile, PasswordHash
from wsd.auth.logins import PasswordDigest
from wsd.auth.outcome import AuthenticatedUser, AuthRequest, Rejection
from wsd.auth.shared import SharedAnswers
from wsd.head import Head, Headers
from wsd.policies.address import Peer, isLoopback
from wsd.policies.pool import JobTimedOut, PoolFull, PoolShare

_KEPT, _KEPT_SECONDS = 1024, 3600.0
"""How many right passwords are remembered, and for how many seconds: hashing one takes a tenth of a second."""

MOST_PASSWORD = 1024
"""Bytes of the longest password."""
_WRONG = "the user name or the password is wrong"


class BasicMethod:
    """Users and passwords from a file. Passwords are hashed on the threads of `share`."""

    name = "basic"
    missing = "send a user name and a password (Authorization: Basic)"

    def __init__(
        self, users: PasswordFile, share: PoolShare, clock: IReactorTime, realm: str, withoutTls: bool
    ) -> None:
        self.challenge = f'Basic realm="{realm}", charset="UTF-8"'
        self._users = users
        self._share = share
        self._withoutTls = withoutTls
        self._secret = token_bytes(32)
        self._verified: SharedAnswers[bool] = SharedAnswers(clock, _KEPT_SECONDS, _KEPT, keeps=bool)

    @property
    def takesDigests(self) -> bool:
        """Whether digests of passwords can be verified, which needs the passwords themselves."""
        return self._users.hasSecrets

    async def authenticate(self, request: AuthRequest) -> AuthenticatedUser | Rejection | None:
        """The user of a request with the right password, or the right digest of it."""
        if request.digest is not None:
            return self._userOf(request.digest)
        credentials = credentialsOf(request.head)
        if credentials is None:
            return None
        if not self._withoutTls and not _isSafe(request.peer):
            return Rejection("a password may not be sent over a connection without TLS; use wss:// or https://")
        user, password = credentials
        known = self._users.find(user)
        compared = known or self._users.decoyFor(user)
        try:
            isRight = compared is not None and await self._isRight(user, password, compared)
        except (PoolFull, JobTimedOut):
            return Rejection("too many passwords are being checked; try again", isFailure=True)
        return AuthenticatedUser(user, self.name) if isRight and known is not None else Rejection(_WRONG)

    def _userOf(self, digest: PasswordDigest) -> AuthenticatedUser | Rejection:
        """The same work is done for an unknown user, and for one whose password is stored as a hash."""
        known = self._users.find(digest.user)
        secret = None if known is None else known.secret
        isRight = digest.isOf(self._secret if secret is None else secret)
        return AuthenticatedUser(digest.user, self.name) if isRight and secret is not None else Rejection(_WRONG)

    async def _isRight(self, user: str, password: bytes, compared: PasswordHash) -> bool:
        """
        Whether the password is right.

        The answer is remembered for the user's present hash, so that a changed password takes effect at once. The
        password itself is not remembered, only a digest that nobody can compute without the secret of this process.
        """
        question = digest(self._secret, b"\0".join((user.encode(), compared.text.encode(), password)), "sha256")

        async def hashed() -> bool:
            return await self._share.run(compared.verify, password)

        return await self._verified.get(question, hashed)


def _isSafe(peer: Peer) -> bool:
    """Whether nobody on the way can read what the client sends."""
    return peer.secure or peer.direct or (peer.via is None and (peer.address == "unix" or isLoopback(peer.address)))


def withCredentials(head: Head, user: str, password: str) -> Head:
    """The request head with this user and password, instead of those that it has."""
    credentials = b64encode(f"{user}:{password}".encode()).decode()
    return head._replace(headers=Headers([*_unauthorized(head), ("Authorization", f"Basic {credentials}")]))


def withoutCredentials(head: Head) -> Head:
    """The request head without any Authorization."""
    return head._replace(headers=Headers(_unauthorized(head)))


def _unauthorized(head: Head) -> Iterator[tuple[str, str]]:
    return (field for field in head.headers if field[0].lower() != "authorization")


def credentialsOf(head: Head) -> tuple[str, bytes] | None:
    """The user and the password of a request, None if it has none, or not in UTF-8."""
    scheme, _, text = (head.headers.get("Authorization") or "").partition(" ")
    if scheme.lower() != "basic" or head.headers.isRepeated("authorization"):
        return None
    try:
        user, colon, password = b64decode(text.strip(), validate=True).partition(b":")
        name = user.decode()
    except (NotBase64, ValueError):
        return None
    return (name, password) if colon and name and len(password) <= MOST_PASSWORD else None
