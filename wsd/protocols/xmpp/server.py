"""Server: the users, sessions and rooms of some domains, above one store."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.config.values import MIB
from wsd.metrics import RouteCounters
from wsd.policies.pool import PoolShare
from wsd.protocols.xmpp import credentials
from wsd.protocols.xmpp.aside import Aside
from wsd.protocols.xmpp.credentials import Keys
from wsd.protocols.xmpp.framing import Caps, StreamError
from wsd.protocols.xmpp.guard import BY_ADDRESS, BY_USER, Guard
from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.ledger import Ledger
from wsd.protocols.xmpp.offline import Offline
from wsd.protocols.xmpp.options import XmppOptions
from wsd.protocols.xmpp.presence import Presence
from wsd.protocols.xmpp.queries import Queries
from wsd.protocols.xmpp.rooms.room import restore
from wsd.protocols.xmpp.rooms.service import Rooms
from wsd.protocols.xmpp.routing import Router
from wsd.protocols.xmpp.sasl import SaslFailure
from wsd.protocols.xmpp.session import Link, Session
from wsd.protocols.xmpp.stanza import CLIENT, Element
from wsd.protocols.xmpp.store import StoreFault
from wsd.protocols.xmpp.streammanagement import failed, numberOf
from wsd.protocols.xmpp.user import STALE, STREAM, Kept, User, load
from wsd.protocols.xmpp.vault import Vault

_IDLE = 60.0
"""Seconds for which a user without sessions stays in memory at the least."""
_STORED = 2 * MIB
"""Stored stanzas up to this size can always be read again, so that none is lost when `max_stanza` is lowered."""
_MOST_PENDING = 100_000
"""Limit of the writes that wait for a failing store; beyond it no session is opened."""
_DERIVING = 100
"""Passwords that wait to be derived at the most."""


def _storedCaps(options: XmppOptions) -> Caps:
    size = max(8 * options.max_stanza, _STORED)
    return Caps(size, 200, 100_000, 200, size)


class Server:
    """Whatever the sessions of some domains share."""

    log = Logger(namespace="wsd")

    def __init__(
        self, options: XmppOptions, clock: Any, now: Callable[[], float], vault: Vault, deriving: PoolShare
    ) -> None:
        self.options = options
        self.clock = clock
        self.now = now
        self.vault = vault
        self.deriving = deriving
        self.domains = frozenset(options.domains)
        self.users: dict[str, User] = {}
        """Those in memory, by their bare addresses: all who have sessions, and some who were asked for."""
        self.caps = Caps(size=options.max_stanza)
        self.storedCaps = _storedCaps(options)
        """What was let in once, with what was put around it, is read again under wider caps."""
        self.counters = RouteCounters()
        """The counters of the route that started the server."""
        self.aside = Aside(self)
        vault.returned = self._returned
        self.byAddress = Guard(clock, BY_ADDRESS)
        self.byUser = Guard(clock, BY_USER)
        self.forms: list[Element] = []
        """What disco tells of the server beside its features (XEP-0128)."""
        self.resumable: dict[str, Session] = {}
        self.absent = Ledger(options.max_held)
        """Memory held for sessions without a stream, by client address."""
        self.housed = Ledger(options.max_held)
        """Memory of rooms, by the address of their creator."""
        self.presence = Presence(self)
        self.router = Router(self)
        self.offline = Offline(self)
        self.queries = Queries(self)
        self.rooms = Rooms(self) if options.rooms else None
        self.ownDomains = self.domains if self.rooms is None else self.domains | self.rooms.domains
        self._lastEntry = 0
        self._ids = 0
        self._secret: bytes | None = None
        self._touched: dict[str, float] = {}
        self._finding: dict[str, list[Deferred[User | None]]] = {}
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = clock

    def configure(self, options: XmppOptions) -> None:
        """Use these keys from now on; `domains` and `rooms` stay those of the start."""
        if options.max_stanza > self.options.max_stanza:
            self.storedCaps = _storedCaps(options)
        if options.rooms != self.options.rooms:
            self.log.warn("{keys} changed and will take effect after a restart", event="reload.partial", keys="rooms")
        self.caps = Caps(size=options.max_stanza)
        self.absent.most = self.housed.most = options.max_held
        self.options = options

    async def start(self, hasStore: bool) -> None:
        """Start, and restore the rooms of an existing store. Raises StoreFault if it cannot be read."""
        self._sweeping.start(_IDLE, now=False)
        if hasStore:
            await self._restore()

    async def _restore(self) -> None:
        """Nobody is admitted before the rooms are known."""
        rooms, last = await self.vault.read(lambda store: (restore(store), store.last()))
        # New ids are greater, whatever the clock says.
        self._lastEntry = max(self._lastEntry, last)
        if self.rooms is not None:
            self.rooms.restore(rooms)

    def _returned(self) -> None:
        """The store works again."""
        for user in list(self.users.values()):
            for session in list(user.sessions.values()):
                if session.isOwed and not session.waiting:
                    session.isOwed = False
                    self.offline.deliver(session)

    async def stop(self) -> None:
        """End the sessions that wait to be resumed: what they were not sent is kept."""
        if self._sweeping.running:
            self._sweeping.stop()
        for user in list(self.users.values()):
            for session in list(user.sessions.values()):
                self.end(session, forgets=False)
        try:
            await self.vault.stop()
        finally:
            await self.deriving.stop()

    def newId(self, prefix: str) -> str:
        """The id of a stanza of our own."""
        self._ids += 1
        return f"{prefix}{self._ids}"

    def newEntry(self) -> int:
        """The id of an entry of the store: they grow, after a restart too."""
        self._lastEntry = max(self._lastEntry + 1, int(self.now() * 1_000_000))
        return self._lastEntry

    # -- users ----------------------------------------------------------------------------------------------------

    async def find(self, bare: str) -> User | None:
        """The user with a bare address, None if there is none. Raises StoreFault."""
        known = self.users.get(bare)
        if known is not None:
            self._touched[bare] = self.clock.seconds()
            return known
        jid = parseJid(bare)
        if not jid.local or jid.domain not in self.domains:
            return None
        found: Deferred[User | None] = Deferred()
        waiting = self._finding.setdefault(bare, [])
        waiting.append(found)
        if len(waiting) == 1:
            kept = self.vault.read(load, bare, owner=bare)
            kept.addCallback(self._loaded, bare).addBoth(self._found, bare)
        return await found

    def _loaded(self, kept: Kept, bare: str) -> User | None:
        if not kept.exists:
            return None
        readable = self.aside.user(bare, kept, self.now() - STALE)
        self._touched[bare] = self.clock.seconds()
        return self.users.setdefault(bare, User(bare, False, readable))

    def _found(self, user: User | Failure | None, bare: str) -> None:
        for found in self._finding.pop(bare):
            found.callback(user)

    def forgetUser(self, bare: str) -> None:
        """What is in memory of a user without sessions is not true any more."""
        if bare in self.users and not self.users[bare].sessions:
            del self.users[bare]

    def _sweep(self) -> None:
        now = self.clock.seconds()
        for bare, then in list(self._touched.items()):
            if bare not in self.users or self.users[bare].sessions:
                del self._touched[bare]
            elif now - then >= _IDLE:
                del self._touched[bare], self.users[bare]
        if self.rooms is not None:
            self.rooms.sweep()
        if any(not user.isAnonymous for user in self.users.values()):
            known = self.vault.read(lambda store: frozenset(store.owners(credentials.USER)))
            known.addCallback(self._endGone).addErrback(self._unswept)

    def _endGone(self, known: frozenset[str]) -> None:
        """`wsd xmpp deluser` has removed somebody who is here."""
        for user in list(self.users.values()):
            if not user.isAnonymous and user.bare not in known:
                Deferred.fromCoroutine(self.remove(user)).addErrback(self._unswept)

    def _unswept(self, failure: Failure) -> None:
        """The next sweep is in a minute; the vault has logged a failing store already."""
        if not failure.check(StoreFault):
            self.log.failure("users who have left could not be removed", failure, event="xmpp.store")

    async def remove(self, user: User) -> None:
        """An account is given up, with all that is its."""
        for contact in list(user.roster):
            for type in ("unsubscribe", "unsubscribed"):
                stanza = Element(CLIENT, "presence", {"type": type, "to": contact})
                await self.presence.subscription(user, stanza, parseJid(contact))
            # It may have many contacts, and many users may end at once.
            await deferLater(self.clock, 0)
        for session in list(user.sessions.values()):
            link = session.link
            self.end(session)
            if link is not None:
                self.clock.callLater(0, link.supplant)
        self.users.pop(user.bare, None)
        self.vault.forget(user.bare)

    # -- sessions -------------------------------------------------------------------------------------------------

    async def owner(self, bare: str, isAnonymous: bool) -> User:
        """The user who binds a resource. Raises StreamError."""
        if self.vault.pending > _MOST_PENDING:
            raise StreamError("resource-constraint", "too many writes wait for the store")
        user = self.users.get(bare)
        if user is None and isAnonymous:
            return User(bare, True, Kept(False, {}, {}, {}))
        if user is None:
            user = await self.find(bare)
        if user is None:
            raise StreamError("not-authorized", "this account is gone")
        return user

    def bind(self, user: User, resource: str, link: Link) -> Session:
        """A new session of a user (RFC 6120 7); an older one with the same resource ends. Raises StreamError."""
        old = user.sessions.get(resource)
        if old is not None:
            self.oust(old)
        elif len(user.sessions) >= self.options.sessions:
            self._makeRoom(user)
        session = Session(self, user, resource, link)
        user.sessions[resource] = session
        self.users[user.bare] = user
        return session

    def _makeRoom(self, user: User) -> None:
        """End the session that has waited longest to be resumed. Raises StreamError if none is waiting."""
        waiting = [(session.expiry.getTime(), session) for session in user.sessions.values() if session.expiry]
        if not waiting:
            raise StreamError("resource-constraint", f"a user has at most {self.options.sessions} sessions")
        self.end(min(waiting, key=lambda each: each[0])[1])

    def oust(self, session: Session) -> None:
        """Another takes its place."""
        link = session.link
        self.end(session)
        if link is not None:
            link.supplant()

    def sessionOf(self, address: str) -> Session | None:
        """The session that has this full address."""
        bare, _, resource = address.partition("/")
        user = self.users.get(bare)
        return None if user is None else user.sessions.get(resource)

    def lost(self, session: Session) -> None:
        """The stream of a session is gone without its end."""
        if session.hasEnded:
            return
        if session.resumeId is None:
            self.end(session)
            return
        session.detach()
        self.release(session)
        size = session.weight() + (0 if self.rooms is None else self.rooms.weightOf(session))
        if not self.holds(session, size):
            self.end(session)
            return
        session.expiry = self.clock.callLater(self.options.resume, self.end, session)

    def holds(self, session: Session, size: int) -> bool:
        """Hold `size` bytes more for a session without a stream. False if the limit does not allow it."""
        if session.hasEnded:
            return True
        if not self.absent.admits(session.holder, size):
            return False
        self.absent.take(session.holder, size)
        session.held += size
        return True

    def release(self, session: Session) -> None:
        """Give back everything held for a session."""
        self.absent.take(session.holder, -session.held)
        session.held = 0

    def overrun(self, session: Session) -> None:
        """A session reads nothing: end it once the present stanza has been sent to everybody."""
        if not session.isOverrun and not session.hasEnded:
            session.isOverrun = True
            self.clock.callLater(0, self.oust, session)

    def end(self, session: Session, forgets: bool = True) -> None:
        """A session is over: others are told, and what it has not got goes elsewhere."""
        if session.hasEnded:
            return
        session.cease()
        user = session.user
        if user.sessions.get(session.resource) is session:
            del user.sessions[session.resource]
        session.link = None
        if session.resumeId is not None:
            self.resumable.pop(session.resumeId, None)
            if forgets and not user.isAnonymous:
                self.vault.put(STREAM, user.bare, session.resumeId, None)
        self.presence.leave(session)
        if self.rooms is not None:
            self.rooms.left(session)
        self._reroute(session)
        self.release(session)
        if user.isAnonymous and not user.sessions:
            self.users.pop(user.bare, None)
        elif not user.sessions:
            self._touched[user.bare] = self.clock.seconds()

    def _reroute(self, session: Session) -> None:
        user, isAlone = session.user, not session.user.best()
        for entry in [*session.pinged.clear(), *session.outbound.clear()]:
            if entry.spooled and isAlone:
                self.offline.letGo(entry.spooled)
            else:
                if entry.spooled:
                    self.offline.drop(user, entry.spooled)
                self.router.again(user, entry.xml, entry.receipt)
            receipt, entry.receipt = entry.receipt, None
            if receipt is not None:
                receipt.entries = [each for each in receipt.entries if each[1] is not entry]
                receipt.sender.progress()

    # -- stream management ----------------------------------------------------------------------------------------

    def makeResumable(self, session: Session) -> str:
        """The id by which a session may be resumed."""
        session.resumeId = id = secrets.token_urlsafe(18)
        self.resumable[id] = session
        return id

    def keepCount(self, session: Session) -> int:
        """Write down how much a session has handled: the number of the write, 0 where there is no need."""
        if session.resumeId is None or session.inbound is None or session.user.isAnonymous or session.hasEnded:
            return 0
        value = f"{session.inbound.handled} {self.now()}"
        return self.vault.put(STREAM, session.user.bare, session.resumeId, value)

    async def resume(self, bare: str, element: Element) -> Session | Element:
        """The session to continue on another stream, or the answer that refuses it. Raises StreamError."""
        id, handled = element.get("previd"), numberOf(element)
        session = self.resumable.get(id)
        if session is None or session.user.bare != bare:
            return failed("item-not-found", self.aside.handled(bare, id, await self.vault.get(STREAM, bare, id)))
        session.outbound.check(handled)
        if session.link is not None:
            old, session.link = session.link, None
            old.supplant()
        session.acknowledge(handled)
        return session

    def spool(self, user: User, stanza: Element) -> tuple[int, int]:
        """Store what a session has been sent and may not get; 0 and 0 where there is nothing to store."""
        if user.isAnonymous:
            return 0, 0
        id, number = self.offline.keep(user, stanza)
        self.offline.hold(id)
        return id, number

    def unspool(self, user: User, id: int) -> None:
        """It has got it."""
        self.offline.drop(user, id)

    # -- passwords ------------------------------------------------------------------------------------------------

    async def derive(self, password: str) -> str:
        """The keys of a password. Raises ValueError."""
        return await self.deriving.run(credentials.derive, password)

    async def secret(self) -> bytes:
        """The secret from which decoys are made."""
        while self._secret is None:
            kept = await self.vault.read(credentials.secretOf, owner=credentials.SECRET)
            self._secret = self.aside.secret(kept)
        return self._secret


class Logins:
    """Whom the exchanges of one stream ask: `wsd.protocols.xmpp.sasl.Credentials`."""

    def __init__(self, server: Server, domain: str, address: str) -> None:
        self._server = server
        self._domain = domain
        self._address = address

    def admit(self) -> None:
        """Raises SaslFailure: too many have failed from this address."""
        if not self._server.byAddress.admits(self._address):
            raise SaslFailure("temporary-auth-failure", "too many logins have failed; try again later")

    async def keys(self, user: str, mechanism: str) -> Keys:
        """The keys of a user, those of a decoy for one that there is not. Raises SaslFailure."""
        self._admitUser(user)
        secret = await self._server.secret()
        bare = f"{user}@{self._domain}"
        kept = await self._server.vault.get(credentials.USER, bare, "keys")
        return self._server.aside.keys(bare, kept, mechanism) or credentials.decoy(secret, bare, mechanism)

    async def verify(self, user: str, password: str) -> bool:
        """Whether a password is the user's. Raises SaslFailure."""
        self._admitUser(user)
        deriving = self._server.deriving
        if deriving.pending >= _DERIVING:
            raise SaslFailure("temporary-auth-failure", "too many log in at once; try again")
        bare = f"{user}@{self._domain}"
        kept = await self._server.vault.get(credentials.USER, bare, "keys")
        isRead = self._server.aside.keys(bare, kept, credentials.PLAIN) is not None
        return await deriving.run(credentials.check, password, kept if isRead else None)

    def failed(self, user: str) -> None:
        """It was not."""
        self._server.byAddress.failed(self._address)
        self._server.byUser.failed(f"{user}@{self._domain}")

    def _admitUser(self, user: str) -> None:
        if not self._server.byUser.admits(f"{user}@{self._domain}"):
            raise SaslFailure("temporary-auth-failure", "too many logins of this user have failed; try again later")
