"""Logins: the keys and passwords of a server's users, and the limits for guessing them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsd.policies.pool import PoolShare
from wsd.protocols.xmpp import credentials
from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.credentials import ScramKeys
from wsd.protocols.xmpp.guard import BY_ADDRESS, BY_USER, Guard
from wsd.protocols.xmpp.quarantine import Quarantine
from wsd.protocols.xmpp.sasl import SaslFailure

_DERIVING = 100
"""Limit of the passwords that wait to be derived."""


class Logins:
    """The keys, limits and threads that all logins of a server share."""

    def __init__(self, store: AsyncStore, quarantine: Quarantine, deriving: PoolShare, clock: Any) -> None:
        self.store = store
        self.quarantine = quarantine
        self.deriving = deriving
        self.byAddress = Guard(clock, BY_ADDRESS)
        self.byUser = Guard(clock, BY_USER)
        self.count: Callable[[bool], object] = lambda isAccepted: None
        """Called after each login."""
        self._secret: bytes | None = None

    async def derive(self, password: str) -> str:
        """The keys of a password. Raises ValueError."""
        return await self.deriving.run(credentials.derive, password)

    async def secret(self) -> bytes:
        """The secret from which decoys are made. Raises StoreError."""
        while self._secret is None:
            kept = await self.store.read(credentials.secretOf, owner=credentials.SECRET)
            self._secret = self.quarantine.secret(kept)
        return self._secret


class StreamLogins:
    """The logins of one stream: the `wsd.protocols.xmpp.sasl.CredentialsChecker` of its exchanges."""

    def __init__(self, logins: Logins, domain: str, address: str) -> None:
        self._logins = logins
        self._domain = domain
        self._address = address

    def admit(self) -> None:
        """Raises SaslFailure if too many logins from this address have failed."""
        if not self._logins.byAddress.admits(self._address):
            raise SaslFailure("temporary-auth-failure", "too many logins have failed; try again later")

    async def keys(self, user: str, mechanism: str) -> ScramKeys:
        """The keys of a user, or a decoy's if there is no such user. Raises SaslFailure and StoreError."""
        self._admitUser(user)
        secret = await self._logins.secret()
        bare = f"{user}@{self._domain}"
        kept = await self._logins.store.get(credentials.USER, bare, "keys")
        return self._logins.quarantine.keys(bare, kept, mechanism) or credentials.decoy(secret, bare, mechanism)

    async def verify(self, user: str, password: str) -> bool:
        """Whether a password is the user's. Raises SaslFailure and StoreError."""
        self._admitUser(user)
        deriving = self._logins.deriving
        if deriving.pending >= _DERIVING:
            raise SaslFailure("temporary-auth-failure", "too many logins at once; try again")
        bare = f"{user}@{self._domain}"
        kept = await self._logins.store.get(credentials.USER, bare, "keys")
        isRead = self._logins.quarantine.keys(bare, kept, credentials.FOR_PLAIN) is not None
        return await deriving.run(credentials.check, password, kept if isRead else None)

    def failed(self, user: str) -> None:
        """Called when a login of this user has failed."""
        self._logins.byAddress.failed(self._address)
        self._logins.byUser.failed(f"{user}@{self._domain}")

    def ended(self, isAccepted: bool) -> None:
        """Called when a login was accepted or refused."""
        self._logins.count(isAccepted)

    def _admitUser(self, user: str) -> None:
        if not self._logins.byUser.admits(f"{user}@{self._domain}"):
            raise SaslFailure("temporary-auth-failure", "too many logins of this user have failed; try again later")
