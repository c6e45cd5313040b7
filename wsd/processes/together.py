"""The pages of a worker about all of them: metrics, readiness and status, for which it asks the parent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred
from twisted.web.resource import IResource, Resource

from wsd.head import Refused
from wsd.metrics import render
from wsd.processes.merging import merge
from wsd.resources import answerBy
from wsd.service import Daemon
from wsd.web.directory import STATUS
from wsd.web.probes import MetricsPage, Readiness, Ready
from wsd.web.status import RouteStatus, Status, StatusPage


class Together:
    """Asks the parent what all workers say, for pages about all of them. `send` sends a message to the parent."""

    def __init__(self, daemon: Daemon, send: Callable[[str, dict[str, Any]], object]) -> None:
        self._daemon = daemon
        self._send = send
        self._questions: dict[int, Deferred[dict[str, Any]]] = {}
        self._gathered: dict[str, Any] = {}

    def answered(self, fields: dict[str, Any]) -> None:
        """Called with an answer of the parent."""
        waiting = self._questions.pop(fields["question"], None)
        if waiting is not None:
            waiting.callback(fields)

    def replacePages(self, pages: dict[str, IResource]) -> None:
        """Put pages about all workers in the place of those about this one."""
        allowed, statusPage = self._daemon.mayReadMetrics, pages[STATUS]
        assert isinstance(statusPage, StatusPage)
        pages["/metrics"] = _Gathered(MetricsPage(self, allowed), self._gather)
        pages["/readyz"] = _Gathered(Ready(self._readiness), self._gather)
        data = StatusPage(statusPage.files, self._readStatus, allowed)
        pages[f"{STATUS}.json"] = _Gathered(data, self._gather)

    async def _gather(self) -> None:
        """Ask, and keep the answer."""
        question = max(self._questions, default=0) + 1
        waiting = self._questions[question] = Deferred[dict[str, Any]]()
        self._send("gather", {"question": question})
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
        own = self._daemon.readiness()
        return Readiness(not reasons, own.plane, own.routes, reasons, warnings)

    def _readStatus(self) -> Status:
        readiness = self._readiness()
        statuses = self._gathered["status"]
        rows = [row for status in statuses for row in status["routes"]]
        routes: dict[str, RouteStatus] = {}
        for row in rows:
            routes[row["path"]] = _added(routes.get(row["path"]), row)
        total = {name: sum(each[name] for each in statuses) for name in ("connections", "websockets", "memory")}
        first = self._daemon.readStatus()
        return Status(
            ready=readiness.ready,
            reasons=readiness.reasons,
            version=first.version,
            plane=readiness.plane,
            reactor=first.reactor,
            uptime=max(each["uptime"] for each in statuses),
            max_connections=first.max_connections,
            memory_max=sum(each["memory_max"] for each in statuses),
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
