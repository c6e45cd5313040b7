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
    Lets messages and bytes through at two rates per second, 0 for any rate. A bucket holds one second's worth.

    A message takes what it needs although there is too little. Then the next one must wait until that is made up for.
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
        """Take so much. Returns the seconds to wait before the next message, 0 if none."""
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
        """Whether nothing was taken lately."""
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
        """Take so much from each. Returns the seconds to wait before the next message, 0 if none."""
        return max(bucket.spend(messages, size) for bucket in self._buckets)

    def end(self) -> None:
        """Called when the connection has ended."""
        for bucket in self._buckets:
            bucket.holders -= 1


class Rates:
    """The buckets of all addresses and users."""

    def __init__(self, policies: Policies, timer: Timer) -> None:
        self.configure(policies)
        self._timer = timer
        self._buckets: dict[str, TokenBucket] = {}
        self.due = -1

    def configure(self, policies: Policies) -> None:
        """Apply these policies to new connections."""
        self._policies = policies

    def meter(self, policies: Policies, peer: Peer, user: str | None) -> MessageMeter | None:
        """Returns what a connection's messages are counted by; None if nothing limits them."""
        own = (policies.messages_per_second, policies.bytes_per_second)
        buckets = [TokenBucket(*own, self._timer)] if any(own) else []
        address = self._ratesOfAddress
        if any(address) and not peer.direct:
            buckets.append(self._shared(accountOf(peer.address), address))
        named = self._ratesOfUser
        if any(named) and user is not None:
            buckets.append(self._shared(accountOfUser(user), named))
        return MessageMeter(buckets) if buckets else None

    @property
    def _ratesOfAddress(self) -> tuple[int, int]:
        return (self._policies.messages_per_second_per_address, self._policies.bytes_per_second_per_address)

    @property
    def _ratesOfUser(self) -> tuple[int, int]:
        return (self._policies.messages_per_second_per_user, self._policies.bytes_per_second_per_user)

    def _shared(self, account: str, rates: tuple[int, int]) -> TokenBucket:
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
