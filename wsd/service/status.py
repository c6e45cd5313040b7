"""What the daemon tells its status page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsd import __version__
from wsd.policies.admission import Admission
from wsd.policies.budget import Budget
from wsd.web.probes import Readiness
from wsd.web.route import SiteRoute
from wsd.web.status import RouteStatus, Status


def statusOf(
    readiness: Readiness,
    uptime: float,
    reactor: Any,
    routes: Mapping[str, SiteRoute],
    admission: Admission,
    budget: Budget,
) -> Status:
    """The status from the daemon's parts; `readiness` is what /readyz shows."""
    rows = [_routeStatus(key, route) for key, route in routes.items() if route.factories]
    return Status(
        ready=readiness.ready,
        reasons=readiness.reasons,
        version=__version__,
        plane=readiness.plane,
        reactor=type(reactor).__name__,
        uptime=uptime,
        connections=admission.connections,
        max_connections=admission.most,
        websockets=sum(row.connections for row in rows),
        memory=budget.used,
        memory_max=budget.most,
        routes=rows,
    )


def _routeStatus(key: str, route: SiteRoute) -> RouteStatus:
    factories = route.distinct()
    # The factories of one route share its counters.
    counters = factories[0].counters
    traffic = counters.traffic
    return RouteStatus(
        path=key,
        protocols=route.protocols,
        connections=sum(len(factory.connections) for factory in factories),
        opened=counters.opened,
        messages=traffic.messagesIn + traffic.messagesOut,
        size=traffic.bytesIn + traffic.bytesOut,
    )
