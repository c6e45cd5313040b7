"""
The memory of all clients together: a ledger of what is held for them, by kind, and its limit `memory_max`.

Many connections can exhaust a machine though each is within its own limits. Whoever holds memory for clients has an
account here, and puts its bytes into it when they change. A message that is received whole and answered at once costs
nothing, since no account is open meanwhile. Above 80 % of the limit new WebSockets wait; above the limit connections
are ended, in the order of `wsd.policies.shedding`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from wsd.config import Policies
from wsd.metrics import MemoryLevels
from wsd.policies.shedding import Progress, Shed, worstFirst

_TIGHT = 0.8
"""The share of the limit above which new WebSockets wait."""

_OPENED_PER_TURN = 64
"""Waiting WebSockets that are opened in one turn of the reactor when there is room again."""

_QUIET = 60.0
"""Seconds between two log lines that say that new WebSockets wait."""


_CHECKED = 16 * 1024 * 1024
"""Bytes that are taken between two looks at the heap."""


class MemoryUse(IntEnum):
    """What memory is used for. The names are the labels of the metrics."""

    reading = 0
    """Received bytes that are not read yet, because reading is held or a frame's head is incomplete."""
    assembling = 1
    """An incomplete message."""
    inflating = 2
    """An incomplete compressed message: what is inflated, and the bytes that an upgrade would pass on."""
    handling = 3
    """Messages that a hook is still handling."""
    deflating = 4
    """A message being deflated in steps, and everything queued behind it."""
    sending = 5
    """Unsent bytes queued in the transport."""
    queues = 6
    """Messages in the queues of pywebsocket handlers."""
    soap = 7
    """Incomplete envelopes of SOAP, by the elements that they have become."""
    outboxes = 8
    """Messages of topics that wait for slow subscribers."""
    histories = 9
    """Histories and last values of topics in memory."""
    documents = 10
    """Open yjs documents."""
    canvases = 11
    """The pictures of canvases."""
    blobs = 12
    """Bytes of uploads that are not written yet."""
    sessions = 13
    """XMPP: stanzas that clients have not acknowledged, and states of sessions that wait to be resumed."""
    rooms = 14
    """XMPP: rooms with their histories."""
    contexts = 15
    """The contexts that deflate and inflate messages, and their windows."""
    bodies = 16
    """Bodies of HTTP requests, until they are answered."""


class Holder(Protocol):
    """Whoever holds the memory of an account: a connection, or a part of a protocol that holds it for many."""

    def relieve(self, size: int) -> None:
        """Free memory, of `size` bytes in use: end the connection, or drop what can be dropped."""


class ConnectionHolder(Holder, Protocol):
    """A connection, whose memory is also limited by its own share and by that of its address."""

    @property
    def countedAddress(self) -> str | None:
        """What counts as its address; None for a client on this machine."""

    @property
    def progress(self) -> Progress:
        """How fast it takes what is unsent."""


_NO_PARTS = (0,) * len(MemoryUse)


class Account:
    """The memory of one holder. That of a connection exists only while it uses any."""

    __slots__ = ("_budget", "_kind", "_parts", "holder", "size")

    address: str | None = None
    isConnection = False

    def __init__(self, budget: Budget, holder: Holder, kind: Shed = Shed.large) -> None:
        self._budget = budget
        self._kind = kind
        self._parts = list(_NO_PARTS)
        self.holder = holder
        self.size = 0

    def put(self, use: MemoryUse, size: int) -> None:
        """Set the bytes of one use."""
        more = size - self._parts[use]
        if more:
            self._parts[use] = size
            self.size += more
            self._budget.changed(self, use, more)

    @property
    def parts(self) -> Iterable[tuple[MemoryUse, int]]:
        """The bytes of each use that has any."""
        return [(MemoryUse(number), size) for number, size in enumerate(self._parts) if size]

    @property
    def progress(self) -> Progress:
        """Memory that is held for many takes its turn by its size, or before all slow connections."""
        return Progress(self._kind)


class ConnectionAccount(Account):
    """The memory of one connection."""

    __slots__ = ("address",)

    isConnection = True
    holder: ConnectionHolder

    def __init__(self, budget: Budget, holder: ConnectionHolder) -> None:
        super().__init__(budget, holder)
        self.address = holder.countedAddress

    @property
    def progress(self) -> Progress:
        """How fast the client takes what is unsent."""
        return self.holder.progress


class Budget:
    """All accounts, and their common limit. `parts` is the number of processes that divide it."""

    log = Logger(namespace="wsd")

    def __init__(self, policies: Policies, clock: IReactorTime, parts: int = 1) -> None:
        self._parts = parts
        self._waiting: deque[Deferred[None]] = deque()
        self._accounts: set[Account] = set()
        self._clock = clock
        self._isChecking = False
        self._isOpening = False
        self._toldAt: float | None = None
        self._byAddress: dict[str, int] = {}
        self._greedy: set[Account] = set()
        """Connections above their own share, until they are ended."""
        self.used = 0
        """Bytes in use."""
        self.byUse = list(_NO_PARTS)
        """The same by `MemoryUse`; their sum is `used`."""
        self.total = 0
        """Bytes taken since the start."""
        self.checkHeap: Callable[[int, int], None] | None = None
        """Called with the bytes in use and the limit after each `_CHECKED` bytes taken: `HeapBound.check`."""
        self._checkedAt = 0
        self.shed: Counter[Shed] = Counter()
        """Connections that were ended to free memory, by reason."""
        self.configure(policies)

    def configure(self, policies: Policies) -> None:
        """Take the limits from these policies."""
        self.most = policies.memory_max // self._parts
        """The limit in bytes."""
        self._tight = int(self.most * _TIGHT)
        self._perConnection = int(self.most * policies.memory_per_connection)
        self._perAddress = int(self.most * policies.memory_per_address)
        self._openSoon()

    def open(self, holder: ConnectionHolder) -> Account:
        """Returns a new account for a connection that begins to use memory."""
        return self._added(ConnectionAccount(self, holder))

    def openShared(self, holder: Holder, kind: Shed = Shed.large) -> Account:
        """Returns a new account for memory that is held for many connections, for slow ones or for any."""
        return self._added(Account(self, holder, kind))

    def _added(self, account: Account) -> Account:
        self._accounts.add(account)
        return account

    def changed(self, account: Account, use: MemoryUse, more: int) -> None:
        """Called when a use of an account has changed by `more` bytes. A closed account is ignored."""
        if account not in self._accounts:
            return
        self.used += more
        self.byUse[use] += more
        isTooMuch = self.used > self.most
        if account.isConnection:
            if account.size > self._perConnection:
                self._greedy.add(account)
                isTooMuch = True
            if account.address is not None:
                held = self._byAddress[account.address] = self._byAddress.get(account.address, 0) + more
                isTooMuch = isTooMuch or held > self._perAddress
        if more > 0:
            self.total += more
            if isTooMuch:
                self._checkSoon()
            if self.total - self._checkedAt >= _CHECKED and self.checkHeap is not None:
                self._checkedAt = self.total
                self.checkHeap(self.used, self.most)
        elif self._waiting:
            self._openSoon()

    def close(self, account: Account) -> None:
        """Remove an account and its bytes."""
        if account not in self._accounts:
            return
        self._accounts.remove(account)
        self._greedy.discard(account)
        self.used -= account.size
        for use, size in account.parts:
            self.byUse[use] -= size
        address = account.address
        if address is not None and address in self._byAddress:
            self._byAddress[address] -= account.size
            if not self._byAddress[address]:
                del self._byAddress[address]
        if self._waiting:
            self._openSoon()

    def levels(self) -> MemoryLevels:
        """For the metrics: what is held, by kind."""
        kinds = {use.name: self.byUse[use] for use in MemoryUse}
        shed = {reason.value: self.shed[reason] for reason in Shed}
        return MemoryLevels(self.used, self.most, kinds, self.waiting, shed)

    @property
    def isTight(self) -> bool:
        """Whether more than 80 % of the limit is in use."""
        return self.used > self._tight

    # -- above 80 %: new WebSockets wait --------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """The number of WebSockets that wait to be opened."""
        return len(self._waiting)

    def room(self) -> Deferred[None] | None:
        """Returns None if a WebSocket may be opened now, else a Deferred that fires when it may."""
        if not self.isTight and not self._waiting:
            return None
        waiting: Deferred[None] = Deferred(self._forget)
        self._waiting.append(waiting)
        now = self._clock.seconds()
        if self._toldAt is None or now - self._toldAt >= _QUIET:
            self._toldAt = now
            self.log.warn(
                "new WebSockets wait: clients hold {used} bytes, more than 80 % of memory_max ({most})",
                event="memory.tight",
                used=self.used,
                most=self.most,
            )
        return waiting

    def _forget(self, waiting: Deferred[None]) -> None:
        """Called when a client leaves, or has waited for too long."""
        self._waiting.remove(waiting)

    def _openSoon(self) -> None:
        if self._waiting and not self._isOpening and not self.isTight:
            self._isOpening = True
            self._clock.callLater(0, self._openSome)

    def _openSome(self) -> None:
        self._isOpening = False
        for _ in range(_OPENED_PER_TURN):
            if not self._waiting or self.isTight:
                return
            self._waiting.popleft().callback(None)
        self._openSoon()

    # -- above the limits: connections are ended ------------------------------------------------------------------

    def _checkSoon(self) -> None:
        if not self._isChecking:
            # Not now, since a connection is being read or written.
            self._isChecking = True
            self._clock.callLater(0, self._check)

    def _check(self) -> None:
        """End connections until everything is within its limit."""
        self._isChecking = False
        used, ended = self.used, Counter[Shed]()
        for account in list(self._greedy):
            self._greedy.discard(account)
            if account.size > self._perConnection:
                self._end(account, Shed.connection, ended)
        for address in [address for address, held in self._byAddress.items() if held > self._perAddress]:
            own = [account for account in self._accounts if account.address == address]
            for account, _ in worstFirst(own):
                if self._byAddress.get(address, 0) <= self._perAddress:
                    break
                self._end(account, Shed.address, ended)
        if self.used > self.most:
            for account, reason in worstFirst(self._accounts):
                self._end(account, reason, ended)
                if self.used <= self.most:
                    break
        if not ended:
            return
        self.shed.update(ended)
        self.log.warn(
            "clients held {used} bytes of memory_max ({most}): ended {count} that held too much ({reasons})",
            event="memory.relieved",
            used=used,
            most=self.most,
            count=ended.total(),
            reasons=", ".join(f"{count} {reason.value}" for reason, count in ended.items()),
        )
        if self.used > self.most:
            self._checkSoon()

    def _end(self, account: Account, reason: Shed, ended: Counter[Shed]) -> None:
        before = self.used
        account.holder.relieve(account.size)
        if self.used < before:
            ended[reason] += 1
