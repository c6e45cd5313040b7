"""
Limits over all workers: connections in total and by address, and handshakes per second.

Each worker counts its own, and reports changes to the parent, which passes the sums on to the others. A worker thus
knows what the others had `REPORT` seconds ago: that is how far a limit may be exceeded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from wsd.config import Policies
from wsd.policies.admission import Admission, accountOf, accountOfUser
from wsd.policies.timer import Timer
from wsd.processes.child import Child

REPORT = 0.1
"""Seconds between two reports of a worker, if anything has changed."""


class SharedAdmission(Admission):
    """The admission of one worker. `changed` is called at the first change after each report."""

    def __init__(self, policies: Policies, timer: Timer, workers: int, changed: Callable[[], object]) -> None:
        self._workers = workers
        super().__init__(policies, timer)
        self._tell = changed
        self._hasChanged = False
        self._elsewhere = 0
        self._heldElsewhere: dict[str, int] = {}
        self._changedAccounts: set[str] = set()
        self._spent: Counter[str] = Counter()

    def configure(self, policies: Policies) -> None:
        """Apply these policies to new connections. Descriptors limit each worker, `max_connections` all of them."""
        self._policies = policies
        room = policies.max_connections if self._room is None else self._room * self._workers
        self.most = min(policies.max_connections, room)

    def arrive(self) -> bool:
        """Count an accepted connection. Returns False without counting it if the limit is reached."""
        isFull = self.connections + self._elsewhere >= self.most
        if isFull or (self._room is not None and self.connections >= self._room):
            return False
        self.connections += 1
        self._change()
        return True

    def leave(self) -> None:
        """Called when a connection counted by `arrive` is gone."""
        super().leave()
        self._change()

    def heldBy(self, account: str) -> int:
        """The connections of an account in all workers."""
        return super().heldBy(account) + self._heldElsewhere.get(account, 0)

    def take(self, address: str) -> None:
        """Count a connection of `address`. Raises `Refused` (503) beyond the limit."""
        super().take(address)
        self._change(accountOf(address))

    def give(self, address: str) -> None:
        """Called when a connection counted by `take` is gone."""
        super().give(address)
        self._change(accountOf(address))

    def takeUser(self, user: str) -> None:
        """Count a WebSocket of a user. Raises `Refused` (503) beyond the limit."""
        super().takeUser(user)
        self._change(accountOfUser(user))

    def giveUser(self, user: str) -> None:
        """Called when a WebSocket counted by `takeUser` is gone."""
        super().giveUser(user)
        self._change(accountOfUser(user))

    def handshake(self, address: str) -> None:
        """Count an opening handshake. Raises `Refused` (429) beyond the rate."""
        super().handshake(address)
        if self._policies.handshakes_per_second:
            self._spent[accountOf(address)] += 1
            self._change()

    def _change(self, account: str | None = None) -> None:
        if account is not None:
            self._changedAccounts.add(account)
        if not self._hasChanged:
            self._hasChanged = True
            self._tell()

    def report(self) -> dict[str, Any]:
        """Returns what has changed since the last report, for `WorkerCounts.reported`."""
        held = {account: self._held.get(account, 0) for account in self._changedAccounts}
        report = {"connections": self.connections, "held": held, "spent": dict(self._spent)}
        self._hasChanged = False
        self._changedAccounts.clear()
        self._spent.clear()
        return report

    def learn(self, others: Mapping[str, Any]) -> None:
        """Take in what the other workers have, as `WorkerCounts` returns it."""
        self._elsewhere = others["connections"]
        for account, held in others["held"].items():
            if held:
                self._heldElsewhere[account] = held
            else:
                self._heldElsewhere.pop(account, None)
        for account, spent in others["spent"].items():
            self.spend(account, spent)


class WorkerCounts:
    """What the workers have reported, kept by their parent."""

    def __init__(self) -> None:
        self._connections: dict[int, int] = {}
        self._held: dict[int, dict[str, int]] = {}

    def reported(self, worker: int, report: Mapping[str, Any]) -> dict[str, int]:
        """Note a report of a worker. Returns the handshakes that it spent, which the others must learn."""
        self._connections[worker] = report["connections"]
        held = self._held.setdefault(worker, {})
        for account, count in report["held"].items():
            if count:
                held[account] = count
            else:
                held.pop(account, None)
        spent: dict[str, int] = report["spent"]
        return spent

    def gone(self, worker: int) -> list[str]:
        """Forget a worker that has ended. Returns the accounts of which it held connections."""
        self._connections.pop(worker, None)
        return list(self._held.pop(worker, {}))

    def others(
        self, worker: int, accounts: Iterable[str] | None = None, spent: Mapping[str, int] | None = None
    ) -> dict[str, Any]:
        """Returns what all others than this worker have; of these accounts, or of all of them."""
        held = [each for number, each in self._held.items() if number != worker]
        wanted = {account for each in held for account in each} if accounts is None else accounts
        return {
            "connections": sum(count for number, count in self._connections.items() if number != worker),
            "held": {account: sum(each.get(account, 0) for each in held) for account in wanted},
            "spent": dict(spent or {}),
        }


class SharedCounts:
    """Passes what each worker reports on to all others."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = children
        self._counts = WorkerCounts()

    def started(self, child: Child) -> None:
        """Tell a new worker what all others have."""
        child.send("others", self._counts.others(child.number))

    def reported(self, child: Child, report: Mapping[str, Any]) -> None:
        """Take in a report of a worker."""
        spent = self._counts.reported(child.number, report)
        self._tellOthers(child, report["held"], spent, report["rates"])

    def gone(self, child: Child) -> None:
        """Forget what a worker had, since it has ended."""
        self._tellOthers(child, self._counts.gone(child.number))

    def _tellOthers(
        self,
        child: Child,
        accounts: Iterable[str],
        spent: Mapping[str, int] | None = None,
        rates: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell the others what they share with a worker: what it holds, and what it has let through lately."""
        for other in self._children:
            if other is not child:
                other.send("others", {**self._counts.others(other.number, accounts, spent), "rates": rates or {}})
