"""The probes: /healthz (the process answers), /readyz (it serves), /metrics (for Prometheus)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from twisted.web.resource import Resource

from wsd.head import Refused


def _json(request: Any, content: dict[str, Any]) -> bytes:
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Cache-Control", b"no-store")
    return json.dumps(content).encode() + b"\n"


class Readiness(NamedTuple):
    """What /readyz shows."""

    ready: bool
    plane: str
    """The plane of frames."""
    routes: list[str]
    reasons: list[str]
    """Why the daemon is not ready."""
    warnings: list[str]
    """What does not work as configured, although the daemon serves."""


class Health(Resource):
    """/healthz: the process answers."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        """Answer that all is well."""
        return _json(request, {"status": "ok"})


class Ready(Resource):
    """/readyz: 200 when the daemon serves, else 503 with the reasons."""

    isLeaf = True

    def __init__(self, read: Callable[[], Readiness]) -> None:
        super().__init__()
        self._read = read

    def render_GET(self, request: Any) -> bytes:
        """Answer with the fields of `Readiness`."""
        readiness = self._read()
        if not readiness.ready:
            request.setResponseCode(503)
        return _json(request, readiness._asdict())


class Renders(Protocol):
    """Metrics of one process, or of several."""

    def render(self, accept: str) -> tuple[str, bytes]:
        """Returns the content type and the text of all metrics, for an Accept header."""


class MetricsPage(Resource):
    """/metrics: the metrics, for clients that may read them."""

    isLeaf = True

    def __init__(self, metrics: Renders, allowed: Callable[[Any], bool]) -> None:
        super().__init__()
        self._metrics = metrics
        self._allowed = allowed

    def render_GET(self, request: Any) -> bytes:
        """Answer in the format that Accept asks for. Raises `Refused` (403)."""
        if not self._allowed(request):
            raise Refused(
                403, "only this machine and the networks in `metrics_allow` may read the metrics; add yours there"
            )
        contentType, text = self._metrics.render(request.head.headers.get("Accept", "") or "")
        request.setHeader(b"Content-Type", contentType.encode())
        request.setHeader(b"Cache-Control", b"no-store")
        return text
