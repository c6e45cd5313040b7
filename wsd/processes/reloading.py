"""
Reloads of several workers in two phases: each of them prepares, one after the other, and then all use it.

If a worker cannot prepare, the others forget it, and the old configuration stays in use everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, succeed

from wsd.config import Config
from wsd.config.prepared import Prepare
from wsd.control.interface import ReloadOutcome
from wsd.listen.systemd import Systemd
from wsd.metrics import ReloadCounters
from wsd.processes.channel import ChannelMessage
from wsd.processes.child import Child
from wsd.service.reloading import PreparedReload, Reloading, refusal


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


class WorkersReloading:
    """
    The reloads of a daemon with several workers, one at a time.

    `offer` sends a worker a message with the listeners of the reload that is being prepared.
    """

    def __init__(
        self,
        config: Config,
        reread: Callable[[], Config],
        children: Sequence[Child],
        systemd: Systemd,
        offer: Callable[[Child, str], object],
    ) -> None:
        self.counters = ReloadCounters()
        self.ended: Callable[[], str] = str
        """Called after each reload of the workers. Returns the text for `systemctl status`."""
        self.again: Callable[[], Deferred[ReloadOutcome]] = self.start
        """Begins a reload that had to wait for another."""
        self._children = children
        self._systemd = systemd
        self._offer = offer
        self._parts = Reloading(config, reread)
        """What takes part, besides the workers."""
        self._parts.ended = self.counters.count
        self._current: WorkersReload | None = None
        self._waiting: list[Deferred[ReloadOutcome]] = []
        """Those who wait for the outcome of the reload after the one that is under way."""

    @property
    def config(self) -> Config:
        """The configuration in use."""
        return self._parts.config

    def add(self, *parts: Prepare) -> None:
        """Let these take part in each reload, before the workers."""
        self._parts.add(*parts)

    @property
    def isUnderWay(self) -> bool:
        """Whether a reload has not ended."""
        return self._current is not None

    def start(self) -> Deferred[ReloadOutcome]:
        """Reload, after a reload that is under way. Returns the outcome."""
        if self.isUnderWay:
            # The file may have been changed after the workers have read it.
            self._waiting.append(Deferred())
            return self._waiting[-1]
        self._systemd.notify("RELOADING=1")
        prepared = self._parts.prepare()
        if prepared.refused is not None:
            return succeed(self._refused(prepared))
        self._current = current = WorkersReload(self._children, prepared, self._offer)
        done = current.done.addCallback(self._reloaded)
        current.begin()
        return done

    def refuse(self, sentence: str) -> Deferred[ReloadOutcome]:
        """Do not reload, and log why. Returns that outcome."""
        self._systemd.notify("RELOADING=1")
        return succeed(self._refused(refusal(sentence)))

    def _refused(self, prepared: PreparedReload) -> ReloadOutcome:
        self._systemd.notify("READY=1", f"not reloaded: {prepared.refused}")
        return ReloadOutcome(prepared.refused)

    def received(self, child: Child, message: ChannelMessage) -> None:
        """Called with an answer of a worker: "prepared" or "reloaded"."""
        if self._current is None:
            return
        if message.kind == "prepared":
            self._current.answered(child, message.fields["refused"])
        else:
            self._current.uses(child, message.fields["warnings"])

    def gone(self, child: Child) -> None:
        """The process of a worker has ended."""
        if self._current is not None:
            self._current.ended(child)

    def _reloaded(self, outcome: ReloadOutcome) -> ReloadOutcome:
        self._current = None
        if outcome.refused is not None:
            self.counters.count(False)
        status = self.ended()
        self._systemd.notify("READY=1", status if outcome.refused is None else f"not reloaded: {outcome.refused}")
        waiting, self._waiting = self._waiting, []
        if waiting:
            self.again().addCallback(_tell, waiting)
        return outcome


def _tell(outcome: ReloadOutcome, waiting: Sequence[Deferred[ReloadOutcome]]) -> None:
    for each in waiting:
        each.callback(outcome)
