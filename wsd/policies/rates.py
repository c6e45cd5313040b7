"""Rates: messages and bytes per second from one connection, one address and one user, as token buckets."""

from __future__ import annotations

from collections.abc import Sequence

from wsd.config import Policies
from wsd.policies.address import Peer
from wsd.policies.admission import accountOf, accountOfUser
from wsd.policies.timer import Timer

_SWEEP = 10.0
"""Seconds between two searches for full buckets, which are forgotten."""


class TokenBucket:
    """
    Lets messages and bytes through at two rates per second, 0 for no limit. A full bucket holds one second's worth.

    A message may overdraw the bucket. The next one must then wait until it has filled up again.
    """

    __slots__ = ("_at", "_bytes", "_messages", "_timer", "holders", "rates")

    def __init__(self, messages: int, size: int, timer: Timer) -> None:
        self.rates = (messages, size)
        self.holders = 0
        """The number of open connections that it is shared by."""
        self._timer = timer
        self._messages, self._bytes = float(messages), float(size)
        self._at = timer.precise()

    def spend(self, messages: int, size: int) -> float:
        """Take this many messages and bytes. Returns the seconds to wait before the next message, 0 if none."""
        now = self._timer.precise()
        elapsed, self._at = now - self._at, now
        rate, byteRate = self.rates
        wait = 0.0
        if rate:
            self._messages = min(float(rate), self._messages + elapsed * rate) - messages
            wait = -self._messages / rate
        if byteRate:
            self._bytes = min(float(byteRate), self._bytes + elapsed * byteRate) - size
            wait = max(wait, -self._bytes / byteRate)
        return max(wait, 0.0)

    @property
    def isFull(self) -> bool:
        """Whether it is as full as a new one."""
        elapsed = self._timer.precise() - self._at
        rate, byteRate = self.rates
        return self._messages + elapsed * rate >= rate and self._bytes + elapsed * byteRate >= byteRate


class MessageMeter:
    """The buckets that the messages of one connection are taken from."""

    __slots__ = ("_buckets",)

    def __init__(self, buckets: Sequence[TokenBucket]) -> None:
        self._buckets = buckets
        for bucket in buckets:
            bucket.holders += 1

    def spend(self, messages: int, size: int) -> float:
        """Take these from each bucket. Returns the seconds to wait before the next message, 0 if none."""
        return max(bucket.spend(messages, size) for bucket in self._buckets)

    def end(self) -> None:
        """Called when the connection has ended."""
        for bucket in self._buckets:
            bucket.holders -= 1


def _ofConnection(policies: Policies) -> tuple[int, int]:
    return policies.messages_per_second, policies.bytes_per_second


def ratesOfAddress(policies: Policies) -> tuple[int, int]:
    """The messages and bytes per second of one address, 0 for no limit."""
    return policies.messages_per_second_per_address, policies.bytes_per_second_per_address


def ratesOfUser(policies: Policies) -> tuple[int, int]:
    """Those of one user."""
    return policies.messages_per_second_per_user, policies.bytes_per_second_per_user


def hasRates(policies: Policies) -> bool:
    """Returns whether the messages of some clients are limited."""
    return any((*_ofConnection(policies), *ratesOfAddress(policies), *ratesOfUser(policies)))


class Rates:
    """The buckets of all addresses and users."""

    def __init__(self, timer: Timer) -> None:
        self._timer = timer
        self._buckets: dict[str, TokenBucket] = {}
        self.due = -1

    def configure(self, policies: Policies) -> None:
        """Called with the daemon's policies after a reload. Each connection has those of its route: nothing to do."""

    def meter(self, policies: Policies, peer: Peer, user: str | None) -> MessageMeter | None:
        """Returns what counts a client's messages under the policies of a route; None if they are not limited."""
        own, address, named = _ofConnection(policies), ratesOfAddress(policies), ratesOfUser(policies)
        buckets = [TokenBucket(*own, self._timer)] if any(own) else []
        if any(address) and not peer.direct:
            buckets.append(self._shared(accountOf(peer.address), address))
        if any(named) and user is not None:
            buckets.append(self._shared(accountOfUser(user), named))
        return MessageMeter(buckets) if buckets else None

    def _shared(self, account: str, rates: tuple[int, int]) -> TokenBucket:
        """The bucket of an account. After a reload with other rates it is a new one."""
        bucket = self._buckets.get(account)
        if bucket is None or bucket.rates != rates:
            bucket = self._buckets[account] = self._newBucket(account, rates)
            self._timer.scheduleBy(self, self._timer.now + _SWEEP)
        return bucket

    def _newBucket(self, account: str, rates: tuple[int, int]) -> TokenBucket:
        return TokenBucket(*rates, self._timer)

    def visit(self, now: float) -> None:
        """Called by the timer: forget the buckets that nobody holds and that are full, as new ones are."""
        self._buckets = {
            account: bucket for account, bucket in self._buckets.items() if bucket.holders or not bucket.isFull
        }
        if self._buckets:
            self._timer.schedule(self, now + _SWEEP)
