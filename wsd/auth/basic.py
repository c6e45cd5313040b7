"""basic: a user name and a password in the Authorization header (RFC 7617)."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from hmac import digest
from secrets import token_bytes

from twisted.internet.interfaces import IReactorTime

from wsd.auth.htpasswd import PasswordFile, PasswordHash
from wsd.auth.outcome import AuthenticatedUser, AuthRequest, Rejection
from wsd.auth.shared import SharedAnswers
from wsd.head import Head
from wsd.policies.address import Peer, isLoopback
from wsd.policies.pool import JobTimedOut, PoolFull, PoolShare

_KEPT, _KEPT_SECONDS = 1024, 3600.0
"""How many right passwords are remembered, and for how many seconds: hashing one takes a tenth of a second."""

_MOST_PASSWORD = 1024
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

    async def authenticate(self, request: AuthRequest) -> AuthenticatedUser | Rejection | None:
        """The user of a request with the right password."""
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
    return (name, password) if colon and name and len(password) <= _MOST_PASSWORD else None
