"""Server: builds the parts that serve the users of some domains from one store; starts, sweeps and stops them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from wsd.metrics import RouteCounters
from wsd.policies.budget import Budget, MemoryUse
from wsd.policies.meter import Meter
from wsd.policies.pool import PoolShare
from wsd.protocols.xmpp.accounts import IDLE, Accounts
from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.blocking import BlockLists
from wsd.protocols.xmpp.framing import XmlLimits
from wsd.protocols.xmpp.ledger import Ledger
from wsd.protocols.xmpp.logins import Logins
from wsd.protocols.xmpp.messages import Messages
from wsd.protocols.xmpp.offline import Offline
from wsd.protocols.xmpp.options import XmppOptions
from wsd.protocols.xmpp.presence import Presence
from wsd.protocols.xmpp.quarantine import Quarantine
from wsd.protocols.xmpp.queries import Queries
from wsd.protocols.xmpp.records import EntryIds
from wsd.protocols.xmpp.register import Registration
from wsd.protocols.xmpp.resumption import Resumption
from wsd.protocols.xmpp.rooms.records import loadRooms
from wsd.protocols.xmpp.rooms.service import Rooms
from wsd.protocols.xmpp.roster import RosterQueries, Rosters
from wsd.protocols.xmpp.routing import Router
from wsd.protocols.xmpp.sessions import Sessions
from wsd.protocols.xmpp.settings import Settings


class Server:
    """The parts of a server. Each part gets only the parts that it uses; streams take theirs from here."""

    log = Logger(namespace="wsd")

    def __init__(
        self,
        options: XmppOptions,
        clock: Any,
        now: Callable[[], float],
        store: AsyncStore,
        deriving: PoolShare,
        budget: Budget | None = None,
    ) -> None:
        self.clock = clock
        self.store = store
        self.deriving = deriving
        self.settings = settings = Settings(options)
        self.counters = RouteCounters()
        """The counters of the route that started the server."""
        self.sessionMemory = Ledger(options.max_held, None if budget is None else Meter(budget, MemoryUse.sessions))
        """Memory held for sessions without a stream, by client address."""
        self.roomMemory = Ledger(options.max_held, None if budget is None else Meter(budget, MemoryUse.rooms))
        """Memory of rooms, by the address of their creator."""
        self._entryIds = EntryIds(now)
        self.quarantine = quarantine = Quarantine(self)
        self.accounts = accounts = Accounts(settings, store, quarantine, clock, now)
        self.logins = Logins(store, quarantine, deriving, clock)
        self.logins.count = lambda isAccepted: self.counters.countLogin(isAccepted)
        offline = Offline(settings, store, quarantine, accounts, self._entryIds, now)
        messages = Messages(settings, accounts, offline)
        self.rooms: Rooms | None = None
        if options.rooms:
            self.rooms = Rooms(settings, store, quarantine, accounts, messages, self.roomMemory, self._entryIds, now)
        rosters = Rosters(store)
        presence = Presence(settings, store, quarantine, accounts, rosters, offline, self.rooms)
        self.resumption = Resumption(settings, store, quarantine, clock, now)
        self.sessions = Sessions(
            settings,
            store,
            accounts,
            messages,
            offline,
            presence,
            self.resumption,
            self.rooms,
            self.sessionMemory,
            clock,
        )
        self.registration = Registration(settings, store, accounts, self.logins, presence, self.sessions, clock)
        self.queries = Queries(
            store,
            self.rooms,
            RosterQueries(settings, rosters, presence),
            BlockLists(settings, store, presence),
            self.registration,
            now,
        )
        self.router = Router(settings, store, accounts, messages, presence, self.queries, self.rooms)
        store.recovered = self._storeRecovered
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = clock

    @property
    def storedLimits(self) -> XmlLimits:
        """Limits of a stored stanza."""
        return self.settings.storedLimits

    def configure(self, options: XmppOptions) -> None:
        """Use these options from now on; `domains` and `rooms` stay those of the start."""
        if options.rooms != self.settings.options.rooms:
            self.log.warn("{keys} changed and take effect after a restart", event="reload.partial", keys="rooms")
        self.sessionMemory.most = self.roomMemory.most = options.max_held
        self.settings.update(options)

    async def start(self, hasStore: bool) -> None:
        """Start, and restore the rooms of an existing store. Raises StoreError if it cannot be read."""
        self._sweeping.start(IDLE, now=False)
        if hasStore:
            # Nobody is admitted before the rooms are known.
            rooms, last = await self.store.read(lambda store: (loadRooms(store), store.last()))
            self._entryIds.passed(last)
            if self.rooms is not None:
                self.rooms.restore(rooms)

    async def stop(self) -> None:
        """End all sessions: what their clients have not acknowledged is stored."""
        if self._sweeping.running:
            self._sweeping.stop()
        self.sessions.endAll()
        try:
            await self.store.stop()
        finally:
            await self.deriving.stop()

    def _storeRecovered(self) -> None:
        """Called when the store works again: send the messages that could not be read."""
        for session in self.accounts.sessions():
            session.deliverStored()

    def _sweep(self) -> None:
        """Drop what is no longer needed. An error ends this sweep, but not the later ones."""
        try:
            self.accounts.sweep()
            if self.rooms is not None:
                self.rooms.sweep()
            self.registration.sweep()
        except Exception:
            self.log.failure("the cleanup of the XMPP server failed", event="xmpp.error")
