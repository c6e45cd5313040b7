"""
The parent of the workers: binds the listening sockets, starts and watches the workers, and passes signals on.

It serves nothing itself. It tells systemd about all workers, and keeps the counts that limit all of them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import closing
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger

from wsd.config import Config
from wsd.config.prepared import PreparedChange
from wsd.control.interface import ReloadOutcome
from wsd.control.socket import ControlSocket
from wsd.listen.descriptors import raiseDescriptorLimit
from wsd.listen.handed import HandedSockets
from wsd.listen.systemd import Systemd, recall
from wsd.processes.channel import ChannelMessage
from wsd.processes.child import Child, connect
from wsd.processes.gathering import Gathering
from wsd.processes.given import ParentPredecessor
from wsd.processes.limits import SharedCounts
from wsd.processes.listening import SharedListening
from wsd.processes.reloading import WorkersReloading
from wsd.processes.sockets import listenersFor
from wsd.processes.supply import ProcessSupply
from wsd.processes.worker import ALIVE, OWNER
from wsd.service.multiprocess import Successor
from wsd.service.periodic import PeriodicTasks
from wsd.service.report import logListeners, pagesOf, warnOfBuiltIn
from wsd.service.signals import Signals
from wsd.service.upgrading import UpgradeRefused, refuseUpgrade


class Parent(Service):
    """
    The daemon as a parent with several workers. Raises `CannotListen` if a listener cannot be bound.

    `command` is the command line of a worker, and `arguments` are the options that it gets. `reread` returns the
    configuration as it is now.
    """

    name = "wsd"
    log = Logger(namespace="wsd")

    def __init__(
        self,
        config: Config,
        reactor: Any,
        reread: Callable[[], Config],
        environ: MutableMapping[str, str],
        command: Sequence[str],
        arguments: dict[str, Any],
        handed: HandedSockets | None = None,
    ) -> None:
        """`handed` has listening sockets from another process; by default those that systemd passes."""
        self.hasFailed = False
        """Whether the daemon ends because it could not start."""
        self.control: ControlSocket | None = None
        self.predecessor: ParentPredecessor | None = None
        """The parent that hands over to this one while it starts."""
        self.upgrades: Callable[[], Deferred[str]] | None = None
        """Upgrades the daemon. Set by whoever makes the parent."""
        self.successor: Successor | None = None
        """The process to which this one hands over, while it does."""
        self.hasHandedOver = False
        """Whether another process serves: what is left here ends with 1012."""
        self.clock = reactor
        self._reactor = reactor
        self._supply = ProcessSupply(reactor, command, arguments)
        if handed is None:
            recall(environ)
            handed = HandedSockets.of(environ)
        self.listening = SharedListening(config, environ, handed)
        self.systemd = Systemd(environ, reactor)
        self.children = [
            Child(reactor, number, self._supply.take, self._started, self._received, self._ended)
            for number in range(config.workers)
        ]
        self._counts = SharedCounts(self.children)
        self._signals = Signals(reactor)
        self._tasks = PeriodicTasks(reactor)
        self._hasServed = False
        self._stopped: Deferred[None] | None = None
        self.reloading = WorkersReloading(config, reread, self.children, self.systemd, self.listening.offer)
        """What takes part in a reload, besides the workers."""
        self.reloading.ended, self.reloading.again = self._reloaded, self.reload
        self.reloading.add(self.listening.prepareReload, self._prepareControl)
        self._gathering = Gathering(reactor, self.children, self.reloading.counters)

    @property
    def pages(self) -> list[str]:
        """The URLs of the home page for a browser on this machine."""
        return pagesOf(self.reloading.config, self.listening.listeners)

    # -- starting -------------------------------------------------------------------------------------------------

    def startService(self) -> None:
        """Start the workers."""
        super().startService()
        # Without a handler, they would end the daemon.
        self._signals.handle(signal.SIGHUP, self.reload)
        self._signals.handle(signal.SIGUSR2, self._upgradeBySignal)
        raiseDescriptorLimit()
        self._reactor.callWhenRunning(self._startAll)

    def _startAll(self) -> None:
        for child in self.children:
            child.start()
        if self.predecessor is not None:
            self.predecessor.takeOver(self)
        self._tasks.add(ALIVE, self._watch)

    def _started(self, child: Child) -> None:
        """Give a new process what it needs, and connect it with the owner."""
        listeners, descriptors = listenersFor(self.listening.shared, child.number)
        fields = {"worker": child.number, "workers": len(self.children), "listeners": listeners}
        given = None if self.predecessor is None else self.predecessor.forWorker(child.number)
        if given is None:
            child.send("start", fields, descriptors)
        else:
            with closing(given):
                child.send("start", {**fields, "locked": list(given.locked)}, [*descriptors, *given.descriptors])
        self._counts.started(child)
        for each in self.children if child.number == OWNER else (child,):
            self._connect(each)

    def _connect(self, child: Child) -> None:
        """Connect a worker with the owner, if both run."""
        owner = self.children[OWNER]
        if child is not owner and child.isRunning and owner.isRunning:
            connect(owner, child)

    def _serve(self) -> None:
        """All workers serve for the first time."""
        self._hasServed = True
        config, listeners = self.reloading.config, self.listening.listeners
        logListeners(listeners)
        warnOfBuiltIn(config, config.routes, listeners)
        if self.predecessor is None:
            self.becomeMain()
        else:
            self.predecessor.serving()

    def becomeMain(self) -> None:
        """Called when this is the main process of its unit: tell systemd that all are ready, and give signs of life."""
        if self.control is not None:
            self.control.configure(self.reloading.config.control)
        self.systemd.notify("READY=1", self._status)
        self.listening.keep(self.systemd)
        if self.systemd.watchdog is not None:
            self._tasks.add(self.systemd.watchdog / 2, lambda: self.systemd.notify("WATCHDOG=1"))

    @property
    def _status(self) -> str:
        """The text for `systemctl status`."""
        urls = " ".join(each.url for each in self.listening.listeners)
        return f"{len(self.children)} workers, listening {urls}"

    # -- the workers ----------------------------------------------------------------------------------------------

    def _received(self, child: Child, message: ChannelMessage) -> None:
        kind, fields = message.kind, message.fields
        if kind == "serving" and not self._hasServed and all(each.isServing for each in self.children):
            self._serve()
        elif kind == "report":
            self._counts.reported(child, fields)
        elif kind == "gather":
            self._gathering.ask(child, fields["question"])
        elif kind == "told" and fields["isAnswer"]:
            self._gathering.discard(child)
        elif kind == "peerless":
            self._connect(child)
        elif kind in ("prepared", "reloaded"):
            self.reloading.received(child, message)

    def _ended(self, child: Child) -> None:
        """Called when the process of a worker has ended."""
        self._counts.gone(child)
        self._gathering.discard(child)
        self.reloading.gone(child)
        if self._stopped is not None:
            if not any(each.isRunning for each in self.children):
                self._stopped.callback(None)
        elif not self._hasServed and (self.predecessor is None or not self.predecessor.isCommitted):
            self._cannotStart(child)

    def _cannotStart(self, child: Child) -> None:
        """A worker has ended before all served: it has logged why. End like a daemon that cannot start."""
        if self.hasFailed:
            return
        self.log.critical(
            "wsd: worker {worker} could not start; the lines above say why",
            event="daemon.unusable",
            worker=child.number,
        )
        self.hasFailed = True
        if self.predecessor is not None:
            self.predecessor.refused(f"worker {child.number} could not start; its reason is in the log")
        for each in self.children:
            each.isStopping = True
        # Twisted's commands have an exit status other than 0 only if a signal ends them.
        os.kill(os.getpid(), signal.SIGTERM)

    def _watch(self) -> None:
        """Keep a spare process, and kill the workers that hang."""
        if self.predecessor is not None and not self.predecessor.isCommitted:
            # The old workers decide how long these may take.
            return
        if self._stopped is None and all(each.isServing for each in self.children):
            self._supply.keepSpare()
        for child in self.children:
            child.killIfHung(self.systemd.watchdog)

    def logRotated(self) -> None:
        """Called when the log file has been reopened: the workers write to it, too."""
        for child in self.children:
            child.send("rotate", {})

    # -- reloading and upgrading ----------------------------------------------------------------------------------

    def reload(self) -> Deferred[ReloadOutcome]:
        """
        Let all workers reload, after a reload that is under way. If one of them cannot, none does.

        During an upgrade nothing is reloaded: the new processes read the configuration anyway. Returns the outcome.
        """
        if not self.running:
            return self.reloading.refuse("the daemon is stopping")
        if self.successor is not None:
            return self.reloading.refuse("an upgrade is under way, and the new process reads the configuration itself")
        return self.reloading.start()

    def _prepareControl(self, config: Config) -> PreparedChange:
        return PreparedChange(lambda: None if self.control is None else self.control.configure(config.control))

    def _reloaded(self) -> str:
        """The workers have reloaded, or none has. Returns the text for `systemctl status`."""
        self.listening.closeRemoved()
        if self._hasServed:
            self.listening.keep(self.systemd)
        return self._status

    def _upgradeBySignal(self) -> None:
        # The outcome is in the log.
        self.upgrade().addErrback(lambda failure: failure.trap(UpgradeRefused))

    def upgrade(self) -> Deferred[str]:
        """
        Start the version on the disk, and let each worker hand everything over to its successor. Then this daemon ends.

        Fires with a sentence about what was done. Fails with `UpgradeRefused` if this daemon serves on.
        """
        assert self.upgrades is not None
        if not self.running:
            return fail(refuseUpgrade("the daemon is stopping", isStopping=True))
        if not self._hasServed:
            return fail(refuseUpgrade("the daemon is starting"))
        if self.reloading.isUnderWay:
            return fail(refuseUpgrade("a reload is under way; try again"))
        missing = [str(child.number) for child in self.children if not child.isServing]
        if missing:
            return fail(refuseUpgrade(f"worker {', '.join(missing)} does not run; try again"))
        return self.upgrades()

    def handOver(self) -> None:
        """Called when the new processes serve: end this one when all workers have ended."""
        self.hasHandedOver = True
        if self.running:
            self._reactor.stop()

    # -- stopping -------------------------------------------------------------------------------------------------

    def stopService(self) -> Deferred[Any]:
        """Let all workers stop. Fires when all their processes have ended. A second TERM or INT means at once."""
        super().stopService()
        if self.predecessor is not None:
            self.predecessor.stopping()
        aborted: Deferred[None] = succeed(None)
        if self.successor is not None and not self.hasHandedOver:
            aborted = self.successor.abort()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._signals.handle(number, self.stopNow)
        if not self.hasHandedOver:
            self.systemd.notify("STOPPING=1", "closing the connections")
        self.listening.close(ownsPaths=not self.hasHandedOver)
        if self.control is not None:
            self.control.close()
        self._stopped = Deferred()
        self._supply.close()
        for child in self.children:
            child.stop()
        if not any(child.isRunning for child in self.children):
            self._stopped = succeed(None)
        return self._stopped.addCallback(self._end).addCallback(lambda _: aborted)

    def stopNow(self) -> None:
        """Drop all connections of a daemon that is stopping."""
        for child in self.children:
            child.send("now", {})
        if self.successor is not None:
            self.successor.hurry()

    def _end(self, result: Any) -> Any:
        if self.control is not None:
            self.control.finish()
        self._tasks.stop()
        self._signals.restore()
        return result
