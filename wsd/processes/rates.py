"""
Rates over all workers: the messages and bytes a second of one address, and of one user.

Each worker has buckets of its own, from which it takes what arrives there at once, and what arrived at the others when
it hears of it: `REPORT` seconds later. So the rate holds for all workers together. Only the burst does not: before they
hear of each other, each may let through the one second's worth that a full bucket holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from wsd.config import Policies
from wsd.policies.admission import isUser
from wsd.policies.rates import Rates, TokenBucket, ratesOfAddress, ratesOfUser
from wsd.policies.timer import Timer


class ReportedBucket(TokenBucket):
    """A bucket of which the other workers learn what was taken from it."""

    __slots__ = ("_report",)

    def __init__(self, rates: tuple[int, int], timer: Timer, report: Callable[[int, int], object]) -> None:
        super().__init__(*rates, timer)
        self._report = report

    def spend(self, messages: int, size: int) -> float:
        """Take so much, and report it. Returns the seconds to wait before the next message, 0 if none."""
        self._report(messages, size)
        return super().spend(messages, size)

    def learn(self, messages: int, size: int) -> None:
        """Take what was spent in another worker."""
        super().spend(messages, size)


class SharedRates(Rates):
    """The buckets of one worker. `changed` is called at the first change after each report."""

    def __init__(self, policies: Policies, timer: Timer, changed: Callable[[], object]) -> None:
        super().__init__(timer)
        self._policies = policies
        self._tell = changed
        self._spent: dict[str, list[int]] = {}
        """The messages and bytes of each account since the last report."""

    def configure(self, policies: Policies) -> None:
        """Called with the daemon's policies after a reload: they count for accounts without a connection here."""
        self._policies = policies

    def _newBucket(self, account: str, rates: tuple[int, int]) -> ReportedBucket:
        return ReportedBucket(rates, self._timer, lambda messages, size: self._note(account, messages, size))

    def _note(self, account: str, messages: int, size: int) -> None:
        if not self._spent:
            self._tell()
        spent = self._spent.setdefault(account, [0, 0])
        spent[0] += messages
        spent[1] += size

    def report(self) -> dict[str, list[int]]:
        """Returns what was spent since the last report, for `learn` of the others."""
        spent, self._spent = self._spent, {}
        return spent

    def learn(self, spent: Mapping[str, Sequence[int]]) -> None:
        """Take what another worker has let through. An account need not have a connection here: it may get one."""
        for account, (messages, size) in spent.items():
            rates = (ratesOfUser if isUser(account) else ratesOfAddress)(self._policies)
            if any(rates):
                bucket = self._shared(account, rates)
                assert isinstance(bucket, ReportedBucket)
                bucket.learn(messages, size)
