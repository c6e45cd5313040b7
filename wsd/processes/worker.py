"""
One worker: a daemon that gets its listening sockets from the parent, and answers for all workers together.

`Worker` speaks with the parent. The first worker is the owner: it serves every route, and the others pass connections
of shared and pinned routes on to it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource

from wsd.config import Config, Policies, Route
from wsd.config.state import Locks
from wsd.head import Refused
from wsd.listen.listener import Listener
from wsd.metrics import render
from wsd.policies.timer import Timer
from wsd.processes.channel import ChannelMessage, ProcessChannel
from wsd.processes.handover import CONNECTION, Passing, Receiving, withHanded
from wsd.processes.limits import REPORT, SharedAdmission
from wsd.processes.merging import merge, snapshotOf
from wsd.processes.sockets import receiveListeners
from wsd.resources import answerBy
from wsd.service import Daemon, lockFiles, placementOf
from wsd.service.daemon import Membership
from wsd.service.reloading import PreparedReload
from wsd.web.directory import STATUS
from wsd.web.door import Doors
from wsd.web.probes import MetricsPage, Readiness, Ready
from wsd.web.status import RouteStatus, Status, StatusPage

ALIVE = 1.0
"""Seconds between two signs of life, each with a snapshot of the metrics."""

OWNER = 0
"""The number of the worker that serves shared and pinned routes."""


class Worker:
    """
    This process as one of several workers.

    `channel` is set by the caller, with `received` and `lost` as its callbacks. `configure` returns the configuration
    and how to read it again.
    """

    log = Logger(namespace="wsd")

    def __init__(
        self, reactor: Any, number: int, workers: int, config: Config, reread: Callable[[], Config], listeners: Any
    ) -> None:
        self.channel: ProcessChannel
        self._prepared: PreparedReload
        self._reactor = reactor
        self._number = number
        self._workers = workers
        self._isOwner = number == OWNER
        self._isStopping = False
        self._questions: dict[int, Deferred[dict[str, Any]]] = {}
        self._gathered: dict[str, Any] = {}
        self._peers: list[ProcessChannel] = []
        membership = Membership(listeners, self._makeAdmission, self._serves, self._wrapTlsOf, self._served)
        locks = Locks()
        locks.take(lockFiles(config, os.environ, self._serves))
        self.daemon = Daemon(config, reactor, reread, os.environ, locks, membership)
        site = self.daemon.site
        self._passing = Passing(lambda transport: site.tlsOf(transport), lambda: self.daemon.listening.ring)
        self._receiving = Receiving(Doors(site), lambda: self.daemon.listening.ring)
        site.passing = None if self._isOwner else self._passing
        self._replacePages(site.pages)
        self._alive = LoopingCall(self._tellAll)
        self._alive.clock = reactor

    def _serves(self, route: Route) -> bool:
        return self._isOwner or not placementOf(route).isOwned

    def _wrapTlsOf(self, tlsOf: Any) -> Any:
        return withHanded(tlsOf)

    def _makeAdmission(self, policies: Policies, timer: Timer) -> SharedAdmission:
        self._admission = SharedAdmission(policies, timer, self._workers, self._reportSoon)
        return self._admission

    def _served(self) -> None:
        self.channel.send("serving", {})
        self._alive.start(ALIVE)

    # -- the parent -----------------------------------------------------------------------------------------------

    def received(self, message: ChannelMessage) -> None:
        """Called with a message of the parent."""
        getattr(self, f"_on{message.kind.capitalize()}")(message)

    def lost(self, reason: Failure) -> None:
        """The parent has died: end in order, so that another one may start."""
        if self._isStopping:
            self.daemon.stopNow()
            return
        self.log.error(
            "the parent process is gone ({reason}), and this worker ends",
            event="worker.orphaned",
            reason=reason.getErrorMessage(),
        )
        self.stop()

    def stop(self) -> None:
        """Close all connections in order, and end; only the first call counts."""
        if not self._isStopping:
            self._isStopping = True
            self._reactor.stop()

    def _onStop(self, message: ChannelMessage) -> None:
        self.stop()

    def _onNow(self, message: ChannelMessage) -> None:
        self.daemon.stopNow()

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

    def _onRotate(self, message: ChannelMessage) -> None:
        logged: Any = self.daemon.parent
        logged.rotate()

    def _onOthers(self, message: ChannelMessage) -> None:
        self._admission.learn(message.fields)

    def _onAsk(self, message: ChannelMessage) -> None:
        self._tellAll()

    def _onGathered(self, message: ChannelMessage) -> None:
        waiting = self._questions.pop(message.fields["question"], None)
        if waiting is not None:
            waiting.callback(message.fields)

    def _onPeer(self, message: ChannelMessage) -> None:
        """A channel between the owner and another worker."""
        peer = socket.socket(fileno=message.descriptors[0])
        if self._isOwner:
            made = ProcessChannel(self._reactor, peer, self._fromWorker, lambda reason: self._peers.remove(made))
            self._peers.append(made)
        else:
            self._passing.owner = ProcessChannel(self._reactor, peer, lambda message: None, self._ownerLost)

    def _fromWorker(self, message: ChannelMessage) -> None:
        if message.kind == CONNECTION:
            self._receiving.received(message)

    def _ownerLost(self, reason: Failure) -> None:
        """Nothing to do: `Passing.check` sees that the channel has ended."""

    # -- reports --------------------------------------------------------------------------------------------------

    def _reportSoon(self) -> None:
        self._reactor.callLater(REPORT, self._report)

    def _report(self) -> None:
        self.channel.send("report", self._admission.report())

    def _tellAll(self) -> None:
        """Tell the parent the metrics and the state of this worker, which is a sign of life, too."""
        fields = {
            "metrics": snapshotOf(self.daemon.metrics.collect()),
            "readiness": self.daemon.readiness(),
            "status": asdict(self.daemon.readStatus()),
        }
        self.channel.send("told", fields)

    # -- what all workers say together ----------------------------------------------------------------------------

    def _replacePages(self, pages: dict[str, IResource]) -> None:
        allowed, statusPage = self.daemon.mayReadMetrics, pages[STATUS]
        assert isinstance(statusPage, StatusPage)
        pages["/metrics"] = _Gathered(MetricsPage(self, allowed), self._gather)
        pages["/readyz"] = _Gathered(Ready(self._readiness), self._gather)
        data = StatusPage(statusPage.files, self._readStatus, allowed)
        pages[f"{STATUS}.json"] = _Gathered(data, self._gather)

    async def _gather(self) -> None:
        """Ask the parent what all workers say."""
        question = max(self._questions, default=0) + 1
        waiting = self._questions[question] = Deferred[dict[str, Any]]()
        self.channel.send("gather", {"question": question})
        self._gathered = await waiting

    def render(self, accept: str) -> tuple[str, bytes]:
        """The metrics of all workers, as `Metrics.render` returns those of one."""
        registry = CollectorRegistry()
        registry.register(_Merged(merge([self._gathered["metrics"]])))
        return render(registry, accept)

    def _readiness(self) -> Readiness:
        reasons = [str(reason) for reason in self._gathered["missing"]]
        warnings: list[str] = []
        for number, told in self._gathered["readiness"]:
            each = Readiness(*told)
            reasons += [f"worker {number}: {reason}" for reason in each.reasons]
            warnings += [f"worker {number}: {warning}" for warning in each.warnings]
        own = self.daemon.readiness()
        return Readiness(not reasons, own.plane, own.routes, reasons, warnings)

    def _readStatus(self) -> Status:
        readiness = self._readiness()
        statuses = self._gathered["status"]
        rows = [row for status in statuses for row in status["routes"]]
        routes: dict[str, RouteStatus] = {}
        for row in rows:
            routes[row["path"]] = _added(routes.get(row["path"]), row)
        total = {name: sum(each[name] for each in statuses) for name in ("connections", "websockets", "memory")}
        first = self.daemon.readStatus()
        return Status(
            ready=readiness.ready,
            reasons=readiness.reasons,
            version=first.version,
            plane=readiness.plane,
            reactor=first.reactor,
            uptime=max(each["uptime"] for each in statuses),
            max_connections=first.max_connections,
            max_memory=sum(each["max_memory"] for each in statuses),
            routes=list(routes.values()),
            **total,
        )


def _added(before: RouteStatus | None, row: Mapping[str, Any]) -> RouteStatus:
    """The figures of a route in several workers."""
    counts = ("connections", "opened", "messages", "size")
    return RouteStatus(**{**row, **{name: row[name] + getattr(before, name, 0) for name in counts}})


class _Merged(Collector):
    """Metrics that are there already."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


class _Gathered(Resource):
    """A page that is rendered after all workers have been asked."""

    isLeaf = True

    def __init__(self, page: Resource, gather: Callable[[], Any]) -> None:
        super().__init__()
        self._page = page
        self._gather = gather

    def render(self, request: Any) -> int:
        """Answer as the page does. Raises what it raises."""
        return answerBy(request, self._answer(request))

    async def _answer(self, request: Any) -> None:
        await self._gather()
        if request.isLost:
            return
        body = self._page.render(request)
        if not isinstance(body, bytes):
            raise Refused(500, "the page did not answer")
        request.setHeader(b"Content-Length", b"%d" % len(body))
        if request.head.method != "HEAD":
            request.write(body)
        request.finish()


def startWorker(reactor: Any, message: ChannelMessage, config: Config, reread: Callable[[], Config]) -> Worker:
    """The worker of a parent's message "start". Raises ConfigError and `CannotListen` as the daemon does."""
    listeners: list[Listener] = receiveListeners(message)
    fields = message.fields
    return Worker(reactor, fields["worker"], fields["workers"], config, reread, listeners)
