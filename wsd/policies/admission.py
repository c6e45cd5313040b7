"""Who may come in: connections in all and from one address, and opening handshakes a second from one address."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from wsd.config import Policies
from wsd.head import Refused
from wsd.policies.timer import Timer

_BURST = 2
"""A quiet address may open this many seconds' worth of handshakes at once: a browser with many tabs comes back."""

_SWEEP = 10.0
"""Seconds between two looks for addresses whose bucket is full again and need not be remembered."""


@lru_cache(1024)
def accountOf(address: str) -> str:
    """What is counted as one address: an IPv4 address, a /64 of IPv6 (one host is given the whole of it)."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        return str(IPv6Address(int(ip) >> 64 << 64))
    return address


class Admission:
    """
    Counts connections and handshakes.

    `arrive` and `leave` go together for a connection; `take` and `give` for the place it holds under its address, which
    is known late when a proxy stands between.
    """

    most: int
    """Connections at one time: `max_connections`, or fewer if there is no room for so many."""

    def __init__(self, policies: Policies, timer: Timer) -> None:
        self._room: int | None = None
        self.configure(policies)
        self._timer = timer
        self._held: dict[str, int] = {}
        self._buckets: dict[str, tuple[float, float]] = {}
        self.connections = 0
        self.due = -1

    def configure(self, policies: Policies) -> None:
        """Admit under these from now on; who is in stays."""
        self._policies = policies
        self.most = policies.max_connections if self._room is None else min(policies.max_connections, self._room)

    def setRoom(self, room: int) -> None:
        """Admit no more than there is room for, whatever the policies say."""
        self._room = room
        self.configure(self._policies)

    def arrive(self) -> bool:
        """Count an accepted connection. False, and not counted, when the limit is reached."""
        if self.connections >= self.most:
            return False
        self.connections += 1
        return True

    def leave(self) -> None:
        """A connection that arrived is gone."""
        self.connections -= 1

    def take(self, address: str) -> None:
        """Hold one of `address`'s places. Raises `Refused` (503) when it has `max_connections_per_address` already."""
        account = accountOf(address)
        held = self._held.get(account, 0)
        if held >= self._policies.max_connections_per_address:
            raise Refused(
                503, f"there are {held} connections from your address already; close one first", [("Retry-After", "5")]
            )
        self._held[account] = held + 1

    def give(self, address: str) -> None:
        """Give back a place that `take` held."""
        account = accountOf(address)
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
        now = self._timer.now
        tokens, at = self._buckets.get(account, (rate * _BURST, now))
        tokens = min(rate * _BURST, tokens + (now - at) * rate)
        if tokens < 1:
            raise Refused(
                429,
                f"more than {rate} handshakes a second came from your address; wait a second",
                [("Retry-After", "1")],
            )
        self._buckets[account] = (tokens - 1, now)
        self._timer.sooner(self, now + _SWEEP)

    def visit(self, now: float) -> None:
        """Forget the addresses that have been quiet long enough to have all their handshakes again."""
        rate = self._policies.handshakes_per_second
        full = [
            account for account, (tokens, at) in self._buckets.items() if tokens + (now - at) * rate >= rate * _BURST
        ]
        for account in full:
            del self._buckets[account]
        if self._buckets:
            self._timer.schedule(self, now + _SWEEP)
