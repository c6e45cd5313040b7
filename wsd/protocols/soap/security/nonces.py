"""Nonces: remembers which were used, so that nobody can send a message with a password digest again."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from wsd.protocols.soap.faults import Fault

KEPT = 600.0
"""Seconds for which a nonce is remembered: a digest is accepted from five minutes before its time to five after it."""
MOST = 100_000
"""Nonces that are remembered. Each takes about 170 bytes."""


class UsedNonces:
    """The nonces of one route. Only those of right digests are remembered, so only users can fill it."""

    def __init__(self, now: Callable[[], float], most: int = MOST) -> None:
        self._now = now
        self._most = most
        self._used: dict[bytes, float] = {}
        """By the user and the nonce: when it was used, the oldest first."""

    def __len__(self) -> int:
        return len(self._used)

    def use(self, user: str, nonce: bytes) -> bool:
        """
        Remembers a nonce of a user. Returns whether it is new.

        Raises `Fault` (Receiver) if there is no room: to forget one earlier would let somebody use it again.
        """
        now = self._now()
        self._forget(now)
        key = blake2b(nonce, digest_size=16, key=blake2b(user.encode()).digest()).digest()
        if key in self._used:
            return False
        if len(self._used) >= self._most:
            raise Fault("too many password digests were used in the last minutes; try again later", "Receiver")
        self._used[key] = now
        return True

    def _forget(self, now: float) -> None:
        while self._used:
            oldest = next(iter(self._used))
            if self._used[oldest] > now - KEPT:
                return
            del self._used[oldest]
