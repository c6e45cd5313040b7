"""
One worker: a daemon that gets its listening sockets from the parent, and answers for all workers together.

`Worker` speaks with the parent. The first worker is the owner: it serves every route, and the others pass connections
of shared and pinned routes on to it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.config import Config, Policies, Route
from wsd.config.state import Locks
from wsd.listen.listener import Listener
from wsd.policies.timer import Timer
from wsd.processes.channel import ChannelMessage, ProcessChannel
from wsd.processes.handover import CONNECTION, Passing, Receiving, withHanded
from wsd.processes.limits import REPORT, SharedAdmission
from wsd.processes.merging import snapshotOf
from wsd.processes.rates import SharedRates
from wsd.processes.sockets import receiveListeners
from wsd.processes.takingover import TakingOver
from wsd.processes.together import Together
from wsd.processes.workerupgrade import WorkerUpgrade
from wsd.service import Daemon, lockFiles, placementOf
from wsd.service.daemon import DaemonState
from wsd.service.multiprocess import Membership
from wsd.service.reloading import PreparedReload
from wsd.service.upgrading import refuseUpgrade
from wsd.web.door import Doors

ALIVE = 1.0
"""Seconds between two signs of life, each with a snapshot of the metrics."""

OWNER = 0
"""The number of the worker that serves shared and pinned routes."""

_NO_ROOM = "this worker has no room for more descriptors; raise LimitNOFILE"


class GivenPredecessor(NamedTuple):
    """What a worker gets of the one whose place it takes: a channel to it, and the files that it has locked."""

    channel: socket.socket
    locked: Mapping[str, int]


class Worker:
    """
    This process as one of several workers.

    `channel` is set by the caller, with `received`, `lost` and `dropped` as its callbacks. `reread` returns the
    configuration as it is now.
    """

    log = Logger(namespace="wsd")

    def __init__(
        self,
        reactor: Any,
        number: int,
        workers: int,
        config: Config,
        reread: Callable[[], Config],
        listeners: Any,
        predecessor: GivenPredecessor | None = None,
    ) -> None:
        self.channel: ProcessChannel
        self._prepared: PreparedReload
        self._reactor = reactor
        self._number = number
        self._workers = workers
        self._isOwner = number == OWNER
        self._isStopping = False
        self._isReportDue = False
        self._peers: list[ProcessChannel] = []
        self._upgrade: WorkerUpgrade | None = None
        membership = Membership(
            number, listeners, self._makeAdmission, self._makeRates, self._serves, withHanded, self._served
        )
        locks = Locks()
        locks.adopt({} if predecessor is None else predecessor.locked)
        locks.take(lockFiles(config, os.environ, self._serves))
        self.daemon = Daemon(config, reactor, reread, os.environ, locks, membership)
        self._takingOver = None if predecessor is None else TakingOver(reactor, predecessor.channel)
        self.daemon.predecessor = self._takingOver
        self.daemon.upgrades = _askParent
        site = self.daemon.site
        self._passing = Passing(lambda transport: site.tlsOf(transport), lambda: self.daemon.listening.ring)
        self._receiving = Receiving(Doors(site), lambda: self.daemon.listening.ring)
        site.passing = None if self._isOwner else self._passing
        self._together = Together(self.daemon, lambda kind, fields: self.channel.send(kind, fields))
        self._together.replacePages(site.pages)
        alive = LoopingCall(self._giveSign)
        alive.clock = reactor
        # From now on, as its routes may take long to start.
        alive.start(ALIVE, now=False).addErrback(lambda failure: self.log.failure("a periodic task failed", failure))

    def _serves(self, route: Route) -> bool:
        return self._isOwner or not placementOf(route).isOwned

    def _makeAdmission(self, policies: Policies, timer: Timer) -> SharedAdmission:
        self._admission = SharedAdmission(policies, timer, self._workers, self._reportSoon)
        return self._admission

    def _makeRates(self, policies: Policies, timer: Timer) -> SharedRates:
        self._rates = SharedRates(policies, timer, self._reportSoon)
        return self._rates

    def _served(self) -> None:
        self.channel.send("serving", {})
        self._tellAll()

    # -- the parent -----------------------------------------------------------------------------------------------

    def received(self, message: ChannelMessage) -> None:
        """Called with a message of the parent."""
        getattr(self, f"_on{message.kind.capitalize()}")(message)

    def lost(self, reason: Failure) -> None:
        """The parent has died: end in order, so that another one may start."""
        if self._isStopping:
            self.daemon.stopNow()
            return
        if self._takingOver is not None and not self._takingOver.isCommitted:
            # The old worker has the connections that came from it.
            self._takingOver.refused()
        self.log.error(
            "the parent process is gone ({reason}), and this worker ends",
            event="worker.orphaned",
            reason=reason.getErrorMessage(),
        )
        self.stop()

    def dropped(self, message: ChannelMessage) -> None:
        """Called with a message whose descriptors were lost, as this process has no room for more."""
        self.log.error("{reason}", event="worker.full", reason=_NO_ROOM)
        if message.kind == "prepare":
            self.channel.send("prepared", {"refused": _NO_ROOM})
        elif message.kind == "upgrade":
            self._answer(message, {"refused": _NO_ROOM})

    def stop(self) -> None:
        """Close all connections in order, and end; only the first call counts."""
        if not self._isStopping:
            self._isStopping = True
            self._reactor.stop()

    def _onStop(self, message: ChannelMessage) -> None:
        self.stop()

    def _onNow(self, message: ChannelMessage) -> None:
        self.daemon.stopNow()

    def _onRotate(self, message: ChannelMessage) -> None:
        logged: Any = self.daemon.parent
        logged.rotate()

    def _onOthers(self, message: ChannelMessage) -> None:
        self._admission.learn(message.fields)
        self._rates.learn(message.fields.get("rates", {}))

    def _onAsk(self, message: ChannelMessage) -> None:
        self._tellAll(isAnswer=True)

    def _onGathered(self, message: ChannelMessage) -> None:
        self._together.answered(message.fields)

    def _onPeer(self, message: ChannelMessage) -> None:
        """A channel between the owner and another worker."""
        peer = socket.socket(fileno=message.descriptors[0])
        if not self._isOwner:
            self._passing.owner = ProcessChannel(self._reactor, peer, lambda message: None, self._ownerLost)
            return
        made = ProcessChannel(
            self._reactor, peer, self._fromWorker, lambda reason: self._peers.remove(made), self._connectionDropped
        )
        self._peers.append(made)

    def _fromWorker(self, message: ChannelMessage) -> None:
        if message.kind == CONNECTION:
            self._receiving.received(message)

    def _connectionDropped(self, message: ChannelMessage) -> None:
        """The kernel has closed a connection that another worker has passed."""
        self.log.error("a connection was dropped: {reason}", event="worker.full", reason=_NO_ROOM)

    def _ownerLost(self, reason: Failure) -> None:
        """Until there is another channel, `Passing.check` refuses connections. The owner may run, and have lost it."""
        self._reactor.callLater(ALIVE, self._askForOwner)

    def _askForOwner(self) -> None:
        if not self._passing.hasOwner:
            self.channel.send("peerless", {})
            self._reactor.callLater(ALIVE, self._askForOwner)

    # -- a reload -------------------------------------------------------------------------------------------------

    def _onPrepare(self, message: ChannelMessage) -> None:
        """Do all of a reload that can fail, with the listeners that the parent has bound."""
        self.channel.send("prepared", {"refused": self._prepare(message)})

    def _onFollow(self, message: ChannelMessage) -> None:
        """Reload as all others do, after a start during their reload."""
        if self._prepare(message) is None:
            self._prepared.commit()

    def _prepare(self, message: ChannelMessage) -> str | None:
        """Prepare a reload. Returns why it is refused."""
        listening = self.daemon.listening
        listening.offered = receiveListeners(message)
        self._prepared = self.daemon.prepareReload()
        if self._prepared.refused is not None:
            for listener in listening.offered:
                listener.close()
        return self._prepared.refused

    def _onCommit(self, message: ChannelMessage) -> None:
        self._prepared.commit()
        routes = self.daemon.routes
        routes.starting.addCallback(
            lambda _: self.channel.send("reloaded", {"warnings": [*routes.warnings(), *routes.faults()]})
        )

    def _onAbort(self, message: ChannelMessage) -> None:
        self._prepared.abort()

    # -- an upgrade -----------------------------------------------------------------------------------------------

    def _onLocks(self, message: ChannelMessage) -> None:
        files = {} if self.daemon.locks is None else self.daemon.locks.files
        self._answer(message, {"paths": list(files)}, list(files.values()))

    def _onUpgrade(self, message: ChannelMessage) -> None:
        """The descriptor is that of a channel to the worker that takes the place of this one."""
        connected, state = socket.socket(fileno=message.descriptors[0]), self.daemon.state
        if state is not DaemonState.serving:
            # Its own control socket may have drained it.
            connected.close()
            self._answer(message, {"refused": f"worker {self._number}: {state.value}"})
            return
        self._upgrade = WorkerUpgrade(self.daemon, self._reactor, connected)
        self._answer(message, {"refused": None})

    def _onStep(self, message: ChannelMessage) -> None:
        assert self._upgrade is not None
        self._upgrade.step(message.fields["name"]).addCallback(lambda told: self._answer(message, told))

    def _onTakeback(self, message: ChannelMessage) -> None:
        upgrade, self._upgrade = self._upgrade, None
        done = succeed(None) if upgrade is None else Deferred.fromCoroutine(upgrade.takeBack())
        done.addCallback(lambda _: self._answer(message, {}))

    def _onLeave(self, message: ChannelMessage) -> None:
        assert self._upgrade is not None
        if not self._isStopping:
            self._isStopping = True
            self._answer(message, self._upgrade.leave()._asdict())

    def _answer(self, question: ChannelMessage, fields: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        self.channel.send("answer", {**fields, "question": question.fields["question"]}, b"", descriptors)

    # -- reports --------------------------------------------------------------------------------------------------

    def _reportSoon(self) -> None:
        if not self._isReportDue:
            self._isReportDue = True
            self._reactor.callLater(REPORT, self._report)

    def _report(self) -> None:
        self._isReportDue = False
        self.channel.send("report", {**self._admission.report(), "rates": self._rates.report()})

    def _giveSign(self) -> None:
        """Give the parent a sign of life, with the figures of now once this worker serves."""
        self.channel.send("alive", {})
        if self.daemon.state is not DaemonState.starting:
            try:
                self._tellAll()
            except Exception:
                # Protocols tell whether they are ready. One that fails at it does not mean that this process hangs.
                self.log.failure("a worker cannot tell its state", event="worker.mute")

    def _tellAll(self, isAnswer: bool = False) -> None:
        """Tell the parent the metrics and the state of this worker."""
        fields = {
            "metrics": snapshotOf(self.daemon.metrics.collect()),
            "readiness": self.daemon.readiness(),
            "status": asdict(self.daemon.readStatus()),
            "isAnswer": isAnswer,
        }
        self.channel.send("told", fields)


def _askParent() -> Deferred[str]:
    """What a worker answers if it is to be upgraded alone."""
    return fail(
        refuseUpgrade("this is one of several workers, which are upgraded together; name the socket of their parent")
    )


def startWorker(reactor: Any, message: ChannelMessage, config: Config, reread: Callable[[], Config]) -> Worker:
    """The worker of a parent's message "start". Raises ConfigError and `CannotListen` as the daemon does."""
    listeners: list[Listener] = receiveListeners(message)
    fields = message.fields
    rest = message.descriptors[len(listeners) :]
    predecessor = None
    if rest:
        predecessor = GivenPredecessor(
            socket.socket(fileno=rest[0]), dict(zip(fields["locked"], rest[1:], strict=True))
        )
    return Worker(reactor, fields["worker"], fields["workers"], config, reread, listeners, predecessor)
