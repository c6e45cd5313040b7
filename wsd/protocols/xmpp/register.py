"""In-band registration (XEP-0077): how accounts are made, changed and removed."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.protocols.xmpp import credentials
from wsd.protocols.xmpp.accounts import Accounts
from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.errors import StanzaError
from wsd.protocols.xmpp.jid import parseJid, prepareLocal
from wsd.protocols.xmpp.logins import Logins
from wsd.protocols.xmpp.presence import Presence
from wsd.protocols.xmpp.session import Session, User
from wsd.protocols.xmpp.sessions import Sessions
from wsd.protocols.xmpp.settings import Settings
from wsd.protocols.xmpp.stanza import CLIENT, Element, result
from wsd.protocols.xmpp.store import StoreError

REGISTER = "jabber:iq:register"
FEATURE = "http://jabber.org/features/iq-register"


def fields() -> Element:
    """The fields that a client has to fill in to register (XEP-0077 3.1.1)."""
    inputs = (Element(REGISTER, name) for name in ("username", "password"))
    instructions = Element(REGISTER, "instructions", {}, "Choose a name and a password.")
    return Element(REGISTER, "query", {}, instructions, *inputs)


class Registration:
    """The accounts of a server from their beginning to their end."""

    log = Logger(namespace="wsd")

    def __init__(
        self,
        settings: Settings,
        store: AsyncStore,
        accounts: Accounts,
        logins: Logins,
        presence: Presence,
        sessions: Sessions,
        clock: Any,
    ) -> None:
        self._settings = settings
        self._store = store
        self._accounts = accounts
        self._logins = logins
        self._presence = presence
        self._sessions = sessions
        self._clock = clock

    # -- before a login -------------------------------------------------------------------------------------------

    async def register(self, address: str, domain: str, query: Element) -> None:
        """Make an account for a client that has not logged in. Raises StanzaError and StoreError."""
        if not self._logins.byAddress.admits(address):
            raise StanzaError("resource-constraint", "too many registrations from this address; try again later")
        # Each registration counts as a failed login: nobody needs many, and keys are expensive to derive.
        self._logins.byAddress.failed(address)
        name, password = query.textOf(REGISTER, "username"), query.textOf(REGISTER, "password")
        if not name or not password:
            raise StanzaError("not-acceptable", "an account has a name and a password")
        try:
            local = prepareLocal(name)
        except ValueError as error:
            raise StanzaError("not-acceptable", str(error)) from None
        bare = f"{local}@{domain}"
        if not await self._store.read(credentials.add, bare, await self._keys(password), owner=bare):
            raise StanzaError("conflict", "this name is taken")
        self._accounts.forget(bare)

    async def _keys(self, password: str) -> str:
        try:
            return await self._logins.derive(password)
        except ValueError as error:
            raise StanzaError("not-acceptable", str(error)) from None

    # -- after a login --------------------------------------------------------------------------------------------

    async def form(self, session: Session, iq: Element, query: Element) -> Element:
        """Tell a client that it is registered (XEP-0077 3.1.1)."""
        _refuseAnonymous(session)
        name = session.user.bare.partition("@")[0]
        parts = (
            Element(REGISTER, "registered"),
            Element(REGISTER, "username", {}, name),
            Element(REGISTER, "password"),
        )
        return result(iq, Element(REGISTER, "query", {}, *parts))

    async def change(self, session: Session, iq: Element, query: Element) -> Element:
        """Change the password (XEP-0077 3.3), or remove the account (3.2)."""
        _refuseAnonymous(session)
        bare = session.user.bare
        if query.child(REGISTER, "remove") is not None:
            if not self._settings.options.register:
                raise StanzaError("not-allowed", "only the administrator of this server creates and removes accounts")
            await self._store.read(lambda store: store.forget(bare), owner=bare)
            # The sessions end with the account, so the result has to be sent first.
            session.send(result(iq))
            await self.remove(session.user)
            return result(iq)
        name, password = query.textOf(REGISTER, "username"), query.textOf(REGISTER, "password")
        if not password or name not in ("", bare.partition("@")[0]):
            raise StanzaError("bad-request", "a change of the password has the user's own name and the new password")
        await self._store.read(credentials.change, bare, await self._keys(password), owner=bare)
        return result(iq)

    # -- the end --------------------------------------------------------------------------------------------------

    async def remove(self, user: User) -> None:
        """Remove an account, its subscriptions, its sessions and everything stored for it."""
        for contact in list(user.roster):
            for stanzaType in ("unsubscribe", "unsubscribed"):
                stanza = Element(CLIENT, "presence", {"type": stanzaType, "to": contact})
                await self._presence.subscription(user, stanza, parseJid(contact))
            # Yield to the reactor: there may be many contacts, and many users may be removed at once.
            await deferLater(self._clock, 0)
        for session in list(user.sessions.values()):
            stream = session.stream
            self._sessions.end(session)
            if stream is not None:
                self._clock.callLater(0, stream.supplant)
        self._accounts.users.pop(user.bare, None)
        self._store.forget(user.bare)

    def sweep(self) -> None:
        """Remove the users from memory that `wsd xmpp deluser` has removed from the store."""
        if any(not user.isAnonymous for user in self._accounts.users.values()):
            known = self._store.read(lambda store: frozenset(store.owners(credentials.USER)))
            known.addCallback(self._removeOthers).addErrback(self._unswept)

    def _removeOthers(self, known: frozenset[str]) -> None:
        for user in list(self._accounts.users.values()):
            if not user.isAnonymous and user.bare not in known:
                Deferred.fromCoroutine(self.remove(user)).addErrback(self._unswept)

    def _unswept(self, failure: Failure) -> None:
        """Log what went wrong. The store has logged its own faults already, and the next sweep is in a minute."""
        if not failure.check(StoreError):
            self.log.failure("users who have left could not be removed", failure, event="xmpp.store")


def _refuseAnonymous(session: Session) -> None:
    if session.user.isAnonymous:
        raise StanzaError("not-allowed", "an anonymous user has no account")
