"""Accounts: the users in memory, and the lookup of all others in the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.quarantine import Quarantine
from wsd.protocols.xmpp.records import STALE, StoredUser, loadUser
from wsd.protocols.xmpp.session import Session, User
from wsd.protocols.xmpp.settings import Settings
from wsd.protocols.xmpp.stanza import Element

IDLE = 60.0
"""Seconds for which a user without sessions stays in memory after a lookup."""


class Accounts:
    """The users of a server by their bare addresses."""

    def __init__(
        self, settings: Settings, store: AsyncStore, quarantine: Quarantine, clock: Any, now: Callable[[], float]
    ) -> None:
        self.users: dict[str, User] = {}
        """The users in memory: all with sessions, and those that were looked up lately."""
        self._settings = settings
        self._store = store
        self._quarantine = quarantine
        self._clock = clock
        self._now = now
        self._touched: dict[str, float] = {}
        """When each user without sessions was last looked up."""
        self._finding: dict[str, list[Deferred[User | None]]] = {}
        """The lookups that wait for the same read of a user."""

    async def find(self, bare: str) -> User | None:
        """Returns the user with a bare address, None if there is none. Raises StoreError."""
        known = self.users.get(bare)
        if known is not None:
            self.touch(known)
            return known
        jid = parseJid(bare)
        if not jid.local or jid.domain not in self._settings.domains:
            return None
        found: Deferred[User | None] = Deferred()
        waiting = self._finding.setdefault(bare, [])
        waiting.append(found)
        if len(waiting) == 1:
            rows = self._store.read(loadUser, bare, owner=bare)
            rows.addCallback(self._loaded, bare).addBoth(self._found, bare)
        return await found

    def _loaded(self, rows: StoredUser, bare: str) -> User | None:
        if not rows.exists:
            return None
        readable = self._quarantine.user(bare, rows, self._now() - STALE)
        user = self.users.setdefault(bare, User(bare, False, readable))
        self.touch(user)
        return user

    def _found(self, user: User | Failure | None, bare: str) -> None:
        """Fire all lookups of a user, with the user or with the failure."""
        for found in self._finding.pop(bare):
            found.callback(user)

    def touch(self, user: User) -> None:
        """Keep a user without sessions in memory for a while."""
        self._touched[user.bare] = self._clock.seconds()

    def forget(self, bare: str) -> None:
        """Drop a user without sessions from memory, because the store has changed."""
        if bare in self.users and not self.users[bare].sessions:
            del self.users[bare]

    def sweep(self) -> None:
        """Drop the users without sessions that were not looked up lately."""
        now = self._clock.seconds()
        for bare, then in list(self._touched.items()):
            if bare not in self.users or self.users[bare].sessions:
                del self._touched[bare]
            elif now - then >= IDLE:
                del self._touched[bare], self.users[bare]

    def sessions(self) -> list[Session]:
        """All sessions of all users."""
        return [session for user in self.users.values() for session in user.sessions.values()]

    def sessionOf(self, address: str) -> Session | None:
        """Returns the session with a full address, None if there is none."""
        bare, _, resource = address.partition("/")
        user = self.users.get(bare)
        return None if user is None else user.sessions.get(resource)

    def deliver(self, stanza: Element) -> None:
        """Send a stanza to the session with its full address, if there is one."""
        session = self.sessionOf(stanza.get("to"))
        if session is not None:
            session.send(stanza)
