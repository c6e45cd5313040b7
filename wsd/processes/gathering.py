"""What all workers say together: each is asked for its metrics, readiness and status, and the parent joins them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from twisted.internet.interfaces import IDelayedCall

from wsd.metrics import ReloadCounters, reloadFamilies
from wsd.processes.child import Child
from wsd.processes.merging import Snapshot, merge, snapshotOf, workerFamilies

_PATIENCE = 0.5
"""Seconds for the workers to answer a question. What a busy one has told before counts then."""


class Gathering:
    """Answers the questions of workers about all of them; `reloads` are those of the parent."""

    def __init__(self, reactor: Any, children: Sequence[Child], reloads: ReloadCounters) -> None:
        self._reactor = reactor
        self._children = children
        self._reloads = reloads
        self._asked: list[tuple[Child, int]] = []
        self._awaited: set[Child] = set()
        self._late: IDelayedCall | None = None
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

    def ask(self, child: Child, question: int) -> None:
        """Ask all workers, and answer this one when each has told, or after a while."""
        self._asked.append((child, question))
        if len(self._asked) == 1:
            self._awaited = {each for each in self._children if each.isServing}
            for each in self._awaited:
                each.send("ask", {})
            self._late = self._reactor.callLater(_PATIENCE, self._answer)

    def discard(self, child: Child) -> None:
        """A worker has answered, or has ended."""
        self._awaited.discard(child)
        if self._asked and not self._awaited:
            self._answer()

    def _answer(self) -> None:
        asked, self._asked = self._asked, []
        late, self._late = self._late, None
        if late is not None and late.active():
            late.cancel()
        told = [(child.number, child.told) for child in self._children if child.told is not None]
        fields = {
            "metrics": snapshotOf(merge(self._snapshots())),
            "readiness": [(number, each["readiness"]) for number, each in told],
            "status": [each["status"] for _, each in told],
            "missing": [f"worker {child.number} does not run" for child in self._children if not child.isServing],
        }
        for child, question in asked:
            child.send("gathered", {**fields, "question": question})

    def _snapshots(self) -> list[Snapshot]:
        """The metrics of all processes: those that have died, those that run, and this one."""
        serving, restarts = (sum(getattr(each, name) for each in self._children) for name in ("isServing", "restarts"))
        own = [*self._registry.collect(), *workerFamilies(serving, restarts), *reloadFamilies(self._reloads)]
        told = [child.told["metrics"] for child in self._children if child.told is not None]
        return [*told, *(kept for child in self._children for kept in child.kept), snapshotOf(own)]
