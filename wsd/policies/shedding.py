"""The order in which connections are ended when memory is short: stalled ones, then slow ones, then the largest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from heapq import nlargest
from typing import NamedTuple, Protocol, TypeVar


class Shed(Enum):
    """Why a connection was ended to free memory; the value is its label in the metrics."""

    stalled = "stalled"
    """It has accepted none of its unsent bytes for `STALLED` seconds."""
    slow = "slow"
    """It is full, and accepts its unsent bytes slowly."""
    large = "large"
    """It holds the most of the others."""
    connection = "connection"
    """It holds more than one connection may."""
    address = "address"
    """It holds the most for an address that holds more than one address may."""


STALLED = 1.0
"""Seconds without progress after which a connection counts as stalled here. `stall_timeout` is longer."""

_WORTH = 64 * 1024
"""Bytes below which a connection is not ended because it is stalled or slow: that would free nothing."""

_AT_ONCE = 512
"""Accounts that are looked at in one turn of the reactor. Asking the kernel about each takes some microseconds."""


class Progress(NamedTuple):
    """How fast a connection takes what is unsent."""

    kind: Shed
    """`stalled`, `slow`, or `large` if it keeps up."""
    rate: float = 0.0
    """Bytes in a second that a slow one accepts."""


class Sheddable(Protocol):
    """An account, as far as the order depends on it."""

    size: int

    @property
    def progress(self) -> Progress:
        """How fast its holder takes what is unsent."""


_A = TypeVar("_A", bound=Sheddable)

_ORDER = (Shed.stalled, Shed.slow, Shed.large)


def worstFirst(accounts: Iterable[_A]) -> Iterator[tuple[_A, Shed]]:
    """The largest accounts in the order in which they are ended, each with the reason."""
    found = []
    for account in nlargest(_AT_ONCE, accounts, key=lambda account: account.size):
        progress = account.progress if account.size >= _WORTH else Progress(Shed.large)
        found.append((_ORDER.index(progress.kind), progress.rate, -account.size, account))
    found.sort(key=lambda each: each[:3])
    for order, _, _, account in found:
        yield account, _ORDER[order]
