"""The sessions of a server: how they begin (RFC 6120 7), how they lose their streams, and how they end."""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure

from wsd.protocols.xmpp.accounts import Accounts
from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.boundstream import BoundStream
from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.ledger import Ledger
from wsd.protocols.xmpp.messages import Messages
from wsd.protocols.xmpp.offline import Offline
from wsd.protocols.xmpp.presence import Presence
from wsd.protocols.xmpp.records import StoredUser
from wsd.protocols.xmpp.resumption import Resumption
from wsd.protocols.xmpp.rooms.service import Rooms
from wsd.protocols.xmpp.session import Session, SessionState, User
from wsd.protocols.xmpp.settings import Settings
from wsd.protocols.xmpp.streammanagement import Entry

_MOST_PENDING = 100_000
"""Limit of the writes that wait for a failing store; beyond it no session is opened."""


class Sessions:
    """Binds sessions, and ends them."""

    def __init__(
        self,
        settings: Settings,
        store: AsyncStore,
        accounts: Accounts,
        messages: Messages,
        offline: Offline,
        presence: Presence,
        resumption: Resumption,
        rooms: Rooms | None,
        memory: Ledger,
        clock: Any,
    ) -> None:
        self._settings = settings
        self._store = store
        self._accounts = accounts
        self._messages = messages
        self._offline = offline
        self._presence = presence
        self._resumption = resumption
        self._rooms = rooms
        self._memory = memory
        self._clock = clock

    # -- the beginning --------------------------------------------------------------------------------------------

    async def owner(self, bare: str, isAnonymous: bool) -> User:
        """Returns the user who binds a resource. Raises StreamError and StoreError."""
        if self._store.pending > _MOST_PENDING:
            raise StreamError("resource-constraint", "too many writes wait for the store")
        user = self._accounts.users.get(bare)
        if user is None and isAnonymous:
            return User(bare, True, StoredUser(False, {}, {}, {}))
        if user is None:
            user = await self._accounts.find(bare)
        if user is None:
            raise StreamError("not-authorized", "this account no longer exists")
        return user

    def bind(self, user: User, resource: str, stream: BoundStream) -> Session:
        """Bind a resource; an older session with the same one ends (RFC 6120 7.7.2.2). Raises StreamError."""
        old = user.sessions.get(resource)
        options = self._settings.options
        if old is not None:
            self.terminate(old)
        elif len(user.sessions) >= options.sessions:
            self._makeRoom(user)
        session = Session(user, resource, stream, options, self._memory, self._offline, self)
        user.sessions[resource] = session
        self._accounts.users[user.bare] = user
        return session

    def _makeRoom(self, user: User) -> None:
        """End the session that has waited longest to be resumed. Raises StreamError if none is waiting."""
        waiting = [(session.expiry.getTime(), session) for session in user.sessions.values() if session.expiry]
        if not waiting:
            raise StreamError("resource-constraint", f"a user has at most {self._settings.options.sessions} sessions")
        self.end(min(waiting, key=lambda each: each[0])[1])

    # -- the stream is lost ---------------------------------------------------------------------------------------

    def lost(self, session: Session) -> None:
        """Called when a session has lost its stream. It ends, unless it may be resumed and there is memory for it."""
        if session.state is SessionState.ENDED:
            return
        if session.resumeId is None:
            self.end(session)
            return
        session.detach()
        session.release()
        size = session.weight() + (0 if self._rooms is None else self._rooms.weightOf(session))
        if not session.hold(size):
            self.end(session)
            return
        session.expiry = self._clock.callLater(self._settings.options.resume, self.end, session)

    # -- the end --------------------------------------------------------------------------------------------------

    def overrun(self, session: Session) -> None:
        """End a session that does not read, once the present stanza has been sent to everybody."""
        if session.state not in (SessionState.OVERRUN, SessionState.ENDED):
            session.state = SessionState.OVERRUN
            self._clock.callLater(0, self.terminate, session)

    def terminate(self, session: Session) -> None:
        """End a session and its stream."""
        stream = session.stream
        self.end(session)
        if stream is not None:
            stream.supplant()

    def end(self, session: Session, keepsCount: bool = False) -> None:
        """
        End a session: others are told, and the stanzas that it has not acknowledged are delivered elsewhere.

        With `keepsCount`, its client may still ask after a restart how many stanzas were handled.
        """
        if session.state is SessionState.ENDED:
            return
        session.end()
        user = session.user
        if user.sessions.get(session.resource) is session:
            del user.sessions[session.resource]
        session.stream = None
        self._resumption.forget(session, keepsCount)
        try:
            self._presence.leave(session)
            if self._rooms is not None:
                self._rooms.left(session)
        finally:
            self._redeliver(session)
            session.release()
            if user.isAnonymous and not user.sessions:
                self._accounts.users.pop(user.bare, None)
            elif not user.sessions:
                self._accounts.touch(user)

    def _redeliver(self, session: Session) -> None:
        """Send what was not acknowledged to the user's other sessions, or store it (XEP-0198 5)."""
        isAlone = not session.user.best()
        for entry in [*session.pinged.clear(), *session.outbound.clear()]:
            try:
                self._redeliverEntry(session.user, entry, isAlone)
            except Exception:
                session.log.failure("a stanza could not be sent again", Failure(), event="xmpp.error")
            finally:
                entry.settle()

    def _redeliverEntry(self, user: User, entry: Entry, isAlone: bool) -> None:
        if entry.spooled and isAlone:
            self._offline.returned(entry.spooled)
            return
        if entry.spooled:
            self._offline.drop(user, entry.spooled)
        self._messages.redeliver(user, entry.xml, entry.receipt)

    def endAll(self) -> None:
        """The server stops: store what was not acknowledged, and keep the counts."""
        for session in self._accounts.sessions():
            self.end(session, keepsCount=True)
