"""Limits: connections in total, from one address and of one user, and handshakes per second from one address."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from wsd.config import Policies
from wsd.head import Refused
from wsd.policies.timer import Timer

_BURST = 2
"""Seconds' worth of handshakes that an address may send at once after a pause, as a browser with many tabs does."""

_SWEEP = 10.0
"""Seconds between two searches for full buckets. An address whose bucket is full is forgotten."""


@lru_cache(1024)
def accountOf(address: str) -> str:
    """Returns what counts as one address: an IPv4 address, or a /64 of IPv6, since one host can use all of it."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        return str(IPv6Address(int(ip) >> 64 << 64))
    return address


_USER = "user "
"""The beginning of the accounts of users. No address begins like this."""


def accountOfUser(user: str) -> str:
    """Returns the account under which the connections of a user are counted."""
    return _USER + user


def isUser(account: str) -> bool:
    """Whether an account is that of a user, and not of an address."""
    return account.startswith(_USER)


class Admission:
    """
    Counts connections and handshakes.

    `arrive` and `leave` count a connection in total. `take` and `give` count it under its address, which is known only
    later if it comes through a proxy.
    """

    most: int
    """The limit of connections: `max_connections`, or less if there are not enough descriptors."""

    def __init__(self, policies: Policies, timer: Timer) -> None:
        self._room: int | None = None
        self.configure(policies)
        self._timer = timer
        self._held: dict[str, int] = {}
        self._buckets: dict[str, tuple[float, float]] = {}
        self.connections = 0
        self.due = -1

    def configure(self, policies: Policies) -> None:
        """Apply these policies to new connections."""
        self._policies = policies
        self.most = policies.max_connections if self._room is None else min(policies.max_connections, self._room)

    def setRoom(self, room: int) -> None:
        """Admit at most `room` connections, even if the policies allow more."""
        self._room = room
        self.configure(self._policies)

    def arrive(self) -> bool:
        """Count an accepted connection. Returns False without counting it if the limit is reached."""
        if self.connections >= self.most:
            return False
        self.connections += 1
        return True

    def leave(self) -> None:
        """Called when a connection counted by `arrive` is gone."""
        self.connections -= 1

    def take(self, address: str) -> None:
        """Count a connection of `address`. Raises `Refused` (503) if it has `max_connections_per_address` already."""
        self._hold(accountOf(address), self._policies.max_connections_per_address, "your address")

    def takeUser(self, user: str) -> None:
        """Count a WebSocket of a user. Raises `Refused` (503) if the user has `max_connections_per_user` already."""
        self._hold(accountOfUser(user), self._policies.max_connections_per_user, "this user")

    def _hold(self, account: str, most: int, who: str) -> None:
        held = self.heldBy(account)
        if most and held >= most:
            raise Refused(503, f"{who} already has {held} connections; close one first", [("Retry-After", "5")])
        self._held[account] = self._held.get(account, 0) + 1

    def users(self) -> dict[str, int]:
        """The number of WebSockets of each user."""
        return {account.removeprefix(_USER): held for account, held in self._held.items() if account.startswith(_USER)}

    def heldBy(self, account: str) -> int:
        """The connections of an account."""
        return self._held.get(account, 0)

    def give(self, address: str) -> None:
        """Called when a connection counted by `take` is gone."""
        self._letGo(accountOf(address))

    def giveUser(self, user: str) -> None:
        """Called when a WebSocket counted by `takeUser` is gone."""
        self._letGo(accountOfUser(user))

    def _letGo(self, account: str) -> None:
        held = self._held[account] - 1
        if held:
            self._held[account] = held
        else:
            del self._held[account]

    def handshake(self, address: str) -> None:
        """Count an opening handshake. Raises `Refused` (429) beyond `handshakes_per_second` from one address."""
        rate = self._policies.handshakes_per_second
        if not rate:
            return
        account = accountOf(address)
        if self._tokens(account) < 1:
            raise Refused(
                429,
                f"your address sent more than {rate} handshakes per second; wait a second",
                [("Retry-After", "1")],
            )
        self.spend(account, 1)

    def spend(self, account: str, handshakes: int) -> None:
        """Count handshakes of an account, whatever its limit is."""
        now = self._timer.now
        self._buckets[account] = (max(0.0, self._tokens(account) - handshakes), now)
        self._timer.scheduleBy(self, now + _SWEEP)

    def _tokens(self, account: str) -> float:
        """The handshakes that an account may send now."""
        rate, now = self._policies.handshakes_per_second, self._timer.now
        tokens, at = self._buckets.get(account, (rate * _BURST, now))
        return min(rate * _BURST, tokens + (now - at) * rate)

    def visit(self, now: float) -> None:
        """Called by the timer: forget the addresses whose bucket is full again."""
        rate = self._policies.handshakes_per_second
        full = [
            account for account, (tokens, at) in self._buckets.items() if tokens + (now - at) * rate >= rate * _BURST
        ]
        for account in full:
            del self._buckets[account]
        if self._buckets:
            self._timer.schedule(self, now + _SWEEP)


class Places:
    """
    What one connection is counted as: one of all, and one of its address and of its user once these are known.

    `leave` takes it out of all of them.
    """

    __slots__ = ("_admission", "address", "isAdmitted", "user")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.isAdmitted = admission.arrive()
        """Whether it is counted: the limit of all connections was not reached."""
        self.address: str | None = None
        """The address under which it is counted."""
        self.user: str | None = None
        """The user under whose name it is counted."""

    def take(self, address: str) -> None:
        """Count it under its address, unless it is counted under one. Raises `Refused` (503)."""
        if self.address is None:
            self._admission.take(address)
            self.address = address

    def takeUser(self, user: str) -> None:
        """Count it under the name of its user. Raises `Refused` (503)."""
        self._admission.takeUser(user)
        self.user = user

    def leave(self) -> None:
        """Called when the connection is gone."""
        admission = self._admission
        if self.isAdmitted:
            admission.leave()
        if self.address is not None:
            admission.give(self.address)
        if self.user is not None:
            admission.giveUser(self.user)
        self.isAdmitted, self.address, self.user = False, None, None
