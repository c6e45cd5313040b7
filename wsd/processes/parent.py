"""
The parent of the workers: binds the listening sockets, starts and watches the workers, and passes signals on.

It serves nothing itself. It tells systemd about all workers, adds their metrics together, and keeps the counts that
limit all of them.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, LogLevel, globalLogPublisher

from wsd.config import Config
from wsd.config.prepared import PreparedChange
from wsd.config.sockets import controlPath, workerPath
from wsd.control.interface import ReloadOutcome
from wsd.control.socket import ControlSocket
from wsd.listen.bind import bind
from wsd.listen.descriptors import raiseDescriptorLimit
from wsd.listen.endpoints import CannotListen
from wsd.listen.handed import HandedSockets
from wsd.listen.systemd import Systemd, recall
from wsd.metrics import ReloadCounters, reloadFamilies
from wsd.processes.channel import ChannelMessage
from wsd.processes.child import Child, WorkerProcess
from wsd.processes.limits import WorkerCounts
from wsd.processes.merging import Snapshot, merge, snapshotOf, workerFamilies
from wsd.processes.reloading import WorkersReload
from wsd.processes.sockets import SharedListener, listenersFor, numbered, rebindShared, share
from wsd.processes.worker import ALIVE, OWNER
from wsd.service.reloading import Reloading
from wsd.service.report import logListeners, pagesOf, warnOfBuiltIn

_logger = Logger(namespace="wsd")

_HUNG = 30.0
"""Seconds without a sign of life after which a worker is killed, unless systemd's watchdog is stricter."""

_PATIENCE = 0.5
"""Seconds for the workers to answer a question. What a busy one has told before counts then."""


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
    ) -> None:
        self.hasFailed = False
        """Whether the daemon ends because it could not start."""
        self.control: ControlSocket | None = None
        self.clock = reactor
        self._reactor = reactor
        self._command = command
        self._arguments = arguments
        self._spare: WorkerProcess | None = None
        recall(environ)
        self._listeners = bindShared(config, environ)
        self._systemd = Systemd(environ, reactor)
        self._children = [
            Child(reactor, number, self._takeProcess, self._started, self._received, self._ended)
            for number in range(config.workers)
        ]
        self._ledger = WorkerCounts()
        self._signals: dict[int, Any] = {}
        self._loops: list[LoopingCall] = []
        self._hasServed = False
        self._stopped: Deferred[None] | None = None
        self._asked: list[tuple[Child, int]] = []
        self._awaited: set[Child] = set()
        self.reloading = Reloading(config, reread)
        """What takes part in a reload, besides the workers."""
        self.reloading.add(self._prepareListeners)
        self._reloads = ReloadCounters()
        self.reloading.ended = self._reloads.count
        self._reload: WorkersReload | None = None
        self._next: Deferred[ReloadOutcome] | None = None
        """The outcome of the reload after the one that is under way."""
        self._offered = self._listeners
        """The listeners after the reload that is being prepared."""
        self._removed: list[SharedListener] = []
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

    @property
    def pages(self) -> list[str]:
        """The URLs of the home page for a browser on this machine."""
        return pagesOf(self.reloading.config, [each.listener for each in self._listeners])

    @property
    def controlNames(self) -> list[str]:
        """The names of the workers' control sockets, which are beside the parent's."""
        stem = controlPath(self.reloading.config.control, os.environ)
        return [workerPath(stem, child.number).name for child in self._children]

    # -- starting -------------------------------------------------------------------------------------------------

    def startService(self) -> None:
        """Start the workers."""
        super().startService()
        # Without a handler, they would end the daemon.
        for number, handler in ((signal.SIGHUP, self._hup), (signal.SIGUSR2, self._usr2)):
            self._signals[number] = signal.signal(number, handler)
        raiseDescriptorLimit()
        self._reactor.callWhenRunning(self._startAll)

    def _startAll(self) -> None:
        for child in self._children:
            child.start()
        self._repeat(ALIVE, self._watch)

    def _takeProcess(self) -> WorkerProcess:
        """The spare process if there is one, else a new one."""
        spare, self._spare = self._spare, None
        if spare is not None and spare.isRunning:
            return spare
        return WorkerProcess(self._reactor, self._command, self._arguments)

    def _keepSpare(self) -> None:
        """Keep a process ready, so that a worker that dies is back within a fraction of a second."""
        if self._spare is None and self._stopped is None and all(each.isServing for each in self._children):
            self._spare = WorkerProcess(self._reactor, self._command, self._arguments)

    def _started(self, child: Child) -> None:
        """Give a new process what it needs, and connect it with the owner."""
        listeners, descriptors = listenersFor(self._listeners, child.number)
        fields = {"worker": child.number, "workers": len(self._children), "listeners": listeners}
        child.send("start", fields, descriptors)
        child.send("others", self._ledger.others(child.number))
        owner = self._children[OWNER]
        for other in self._children if child is owner else (child,):
            if other is not owner and other.isRunning and owner.isRunning:
                self._connect(owner, other)

    @staticmethod
    def _connect(owner: Child, other: Child) -> None:
        """Give the two a channel to each other."""
        one, two = socket.socketpair()
        with one, two:
            owner.send("peer", {}, [one.fileno()])
            other.send("peer", {}, [two.fileno()])

    def _repeat(self, seconds: float, call: Callable[[], Any]) -> None:
        loop = LoopingCall(call)
        loop.clock = self._reactor
        loop.start(seconds).addErrback(lambda failure: self.log.failure("a periodic task failed", failure))
        self._loops.append(loop)

    def _serve(self) -> None:
        """All workers serve for the first time."""
        self._hasServed = True
        logListeners([each.listener for each in self._listeners])
        warnOfBuiltIn(self.reloading.config, self.reloading.config.routes, [each.listener for each in self._listeners])
        if self.control is not None:
            self.control.configure(self.reloading.config.control)
        self._systemd.notify("READY=1", self._status)
        if self._systemd.watchdog is not None:
            self._repeat(self._systemd.watchdog / 2, lambda: self._systemd.notify("WATCHDOG=1"))

    @property
    def _status(self) -> str:
        """The text for `systemctl status`."""
        urls = " ".join(each.listener.url for each in self._listeners)
        return f"{len(self._children)} workers, listening {urls}"

    # -- the workers ----------------------------------------------------------------------------------------------

    def _received(self, child: Child, message: ChannelMessage) -> None:
        kind, fields = message.kind, message.fields
        if kind == "serving" and not self._hasServed and all(each.isServing for each in self._children):
            self._serve()
        elif kind == "report":
            spent = self._ledger.reported(child.number, fields)
            self._tellOthers(child, fields["held"], spent)
        elif kind == "gather":
            self._gather(child, fields["question"])
        elif kind == "told":
            self._awaited.discard(child)
            self._answerIfAll()
        elif kind == "prepared" and self._reload is not None:
            self._reload.answered(child, fields["refused"])
        elif kind == "reloaded" and self._reload is not None:
            self._reload.uses(child, fields["warnings"])
        elif kind == "log":
            _log(child.number, fields)

    def _tellOthers(self, child: Child, accounts: Any, spent: dict[str, int] | None = None) -> None:
        for other in self._children:
            if other is not child:
                other.send("others", self._ledger.others(other.number, accounts, spent))

    def _ended(self, child: Child) -> None:
        """Called when the process of a worker has ended."""
        self._tellOthers(child, self._ledger.gone(child.number))
        self._awaited.discard(child)
        self._answerIfAll()
        if self._reload is not None:
            self._reload.ended(child)
        if self._stopped is not None:
            if not any(each.isRunning for each in self._children):
                self._stopped.callback(None)
        elif not self._hasServed:
            self._cannotStart(child)

    def _cannotStart(self, child: Child) -> None:
        """A worker has ended before all served: it has logged why. End like a daemon that cannot start."""
        self.log.critical(
            "wsd: worker {worker} could not start; the lines above say why",
            event="daemon.unusable",
            worker=child.number,
        )
        self.hasFailed = True
        for each in self._children:
            each.isStopping = True
        # Twisted's commands have an exit status other than 0 only if a signal ends them.
        os.kill(os.getpid(), signal.SIGTERM)

    def _watch(self) -> None:
        """Keep a spare process, and kill the workers that hang: ABRT first, which writes the stacks to the log."""
        self._keepSpare()
        strict = _HUNG if self._systemd.watchdog is None else self._systemd.watchdog
        now = self._reactor.seconds()
        for child in self._children:
            hung = strict if child.isServing else _HUNG
            if child.isRunning and now - child.seen > hung:
                isLast = now - child.seen > hung + 2 * ALIVE
                self.log.error("worker {worker} hangs and is killed", event="worker.hung", worker=child.number)
                child.kill(signal.SIGKILL if isLast else signal.SIGABRT)

    def logRotated(self) -> None:
        """Called when the log file has been reopened: the workers write to it, too."""
        for child in self._children:
            child.send("rotate", {})

    # -- what all workers say together ----------------------------------------------------------------------------

    def _gather(self, child: Child, question: int) -> None:
        """Ask all workers, and answer when each has told, or after a while."""
        self._asked.append((child, question))
        if len(self._asked) == 1:
            self._awaited = {each for each in self._children if each.isServing}
            for each in self._awaited:
                each.send("ask", {})
            self._reactor.callLater(_PATIENCE, self._answer)

    def _answerIfAll(self) -> None:
        if self._asked and not self._awaited:
            self._answer()

    def _answer(self) -> None:
        asked, self._asked = self._asked, []
        if not asked:
            return
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

    # -- reloading ------------------------------------------------------------------------------------------------

    def _hup(self, *_: Any) -> None:
        self._reactor.callFromThread(self.reload)

    def reload(self) -> Deferred[ReloadOutcome]:
        """
        Let all workers reload, after a reload that is under way. If one of them cannot, none does.

        Returns the outcome.
        """
        if not self.running:
            return succeed(ReloadOutcome("the daemon is stopping"))
        if self._reload is not None:
            # The file may have been changed after the workers have read it.
            self._next = self._next or Deferred()
            return self._next
        self._systemd.notify("RELOADING=1")
        prepared = self.reloading.prepare()
        if prepared.refused is not None:
            self._systemd.notify("READY=1", f"not reloaded: {prepared.refused}")
            return succeed(ReloadOutcome(prepared.refused))
        self._reload = reload = WorkersReload(self._children, prepared, self._offerListeners)
        done = reload.done.addCallback(self._reloaded)
        reload.begin()
        return done

    def _offerListeners(self, child: Child, kind: str) -> None:
        listeners, descriptors = listenersFor(self._offered, child.number)
        child.send(kind, {"listeners": listeners}, descriptors)

    def _reloaded(self, outcome: ReloadOutcome) -> ReloadOutcome:
        self._reload = None
        if outcome.refused is not None:
            self._reloads.count(False)
        removed, self._removed = self._removed, []
        for each in removed:
            each.close()
        status = self._status if outcome.refused is None else f"not reloaded: {outcome.refused}"
        self._systemd.notify("READY=1", status)
        waiting, self._next = self._next, None
        if waiting is not None:
            self._reactor.callLater(0, lambda: self.reload().chainDeferred(waiting))
        return outcome

    def _prepareListeners(self, config: Config) -> PreparedChange:
        """Bind the listeners that a configuration adds. Raises `CannotListen`."""
        rebound = rebindShared(config, self._listeners)
        self._offered = rebound.listeners

        def commit() -> None:
            self._listeners, self._removed = rebound.listeners, rebound.removed
            for each, before in rebound.kept:
                if each.listener.path is not None and each.listener.mode != before.listener.mode:
                    with suppress(OSError):
                        os.chmod(each.listener.path, each.listener.mode)
            logListeners([each.listener for each in rebound.added])
            if self.control is not None:
                self.control.configure(config.control)

        def abort() -> None:
            for each in rebound.added:
                each.close()

        return PreparedChange(commit, abort)

    # -- upgrading ------------------------------------------------------------------------------------------------

    def _usr2(self, *_: Any) -> None:
        self._reactor.callFromThread(self._refuseUpgrade)

    def _refuseUpgrade(self) -> None:
        """The sockets and the counts of several workers cannot be handed over to a new version."""
        self.log.error(
            "not upgraded, this process serves on: {sentence}",
            event="upgrade.refused",
            sentence="a daemon with several workers cannot be upgraded; restart it instead",
        )

    # -- stopping -------------------------------------------------------------------------------------------------

    def stopService(self) -> Deferred[Any]:
        """Let all workers stop. Fires when all their processes have ended. A second TERM or INT means at once."""
        super().stopService()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._signals.setdefault(number, signal.signal(number, self._secondSignal))
        self._systemd.notify("STOPPING=1", "closing the connections")
        for listener in self._listeners:
            listener.close()
        if self.control is not None:
            self.control.close()
        self._stopped = Deferred()
        if self._spare is not None:
            self._spare.channel.close()
        for child in self._children:
            child.stop()
        if not any(child.isRunning for child in self._children):
            self._stopped = succeed(None)
        return self._stopped.addCallback(self._end)

    def _secondSignal(self, *_: Any) -> None:
        self._reactor.callFromThread(self._stopNow)

    def _stopNow(self) -> None:
        for child in self._children:
            child.send("now", {})

    def _end(self, result: Any) -> Any:
        for loop in self._loops:
            if loop.running:
                loop.stop()
        for number, handler in self._signals.items():
            signal.signal(number, handler)
        return result


def bindShared(config: Config, environ: MutableMapping[str, str]) -> list[SharedListener]:
    """Bind the listeners of a configuration for its workers. Raises `CannotListen`."""
    handed = HandedSockets.of(environ)
    listeners, notices = bind(config, environ, handed)
    # At the addresses of these, nothing listens any more.
    handed.closeRest()
    shared: list[SharedListener] = []
    try:
        shared.extend(share(numbered(listener), config.workers) for listener in listeners)
    except CannotListen:
        for one in shared:
            one.close()
        for each in listeners:
            each.close()
        raise
    for notice in notices:
        _logger.warn("{notice}", event="listener.skipped", notice=notice)
    return shared


def _log(worker: int, fields: dict[str, Any]) -> None:
    """Log an event of a worker, with each line of its traceback."""
    level, seconds = LogLevel.levelWithName(fields.pop("level")), fields.pop("time")
    for text in fields.pop("text").splitlines():
        event = {**fields, "worker": worker, "text": text, "log_format": "{text}"}
        globalLogPublisher({**event, "log_level": level, "log_time": seconds, "log_namespace": "wsd"})
