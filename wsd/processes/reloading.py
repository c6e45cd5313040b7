"""
A reload of several workers in two phases: each of them prepares, one after the other, and then all use it.

If a worker cannot prepare, the others forget it, and the old configuration stays in use everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from wsd.control.interface import ReloadOutcome
from wsd.processes.child import Child
from wsd.service.reloading import PreparedReload


class WorkersReload:
    """
    One reload. `prepared` is that of the parent, and `offer` sends a worker a message with the new listeners.

    `done` fires with the outcome.
    """

    def __init__(
        self, children: Sequence[Child], prepared: PreparedReload, offer: Callable[[Child, str], object]
    ) -> None:
        self.done: Deferred[ReloadOutcome] = Deferred()
        self._children = children
        self._prepared = prepared
        self._offer = offer
        self._left = [child for child in children if child.isServing]
        """The workers that have not prepared yet."""
        self._ready: list[Child] = []
        self._using: list[Child] = []
        """The workers that have not said yet that they use the new configuration."""
        self._outcome = ReloadOutcome()

    def begin(self) -> None:
        """Let the workers prepare."""
        self._askNext()

    def _askNext(self) -> None:
        if self._left:
            self._offer(self._left[0], "prepare")
        else:
            self._commit()

    def answered(self, child: Child, refused: str | None) -> None:
        """A worker has prepared, or says why it cannot."""
        if child not in self._left:
            return
        if refused is not None:
            for each in self._ready:
                each.send("abort", {})
            self._left.clear()
            self._prepared.abort()
            self.done.callback(ReloadOutcome(refused))
            return
        self._left.remove(child)
        self._ready.append(child)
        self._askNext()

    def _commit(self) -> None:
        self._outcome = self._prepared.commit()
        self._using = list(self._ready)
        for child in self._children:
            if child in self._ready:
                child.send("commit", {})
            elif child.isRunning:
                # It has started meanwhile, with the listeners of before.
                self._offer(child, "follow")
        self._finish()

    def uses(self, child: Child, warnings: Sequence[Any]) -> None:
        """A worker uses the new configuration, and its routes have started or failed."""
        if child in self._using:
            self._using.remove(child)
            told = (*self._outcome.warnings, *(f"worker {child.number}: {each}" for each in warnings))
            self._outcome = replace(self._outcome, warnings=told)
            self._finish()

    def ended(self, child: Child) -> None:
        """The process of a worker has ended; a new one reads the configuration anyway."""
        if child in self._ready:
            self._ready.remove(child)
        if child in self._left:
            isAsked = self._left[0] is child
            self._left.remove(child)
            if isAsked:
                self._askNext()
        elif child in self._using:
            self._using.remove(child)
            self._finish()

    def _finish(self) -> None:
        if not self._using and not self.done.called:
            self.done.callback(self._outcome)
