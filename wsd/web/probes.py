"""The probes: /healthz (the process answers), /readyz (it serves), /metrics (for Prometheus)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from twisted.web.resource import Resource

from wsd.head import Refused


def _json(request: Any, content: dict[str, Any]) -> bytes:
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Cache-Control", b"no-store")
    return json.dumps(content).encode() + b"\n"


class Health(Resource):
    """/healthz: the process answers."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        """Answer that all is well."""
        return _json(request, {"status": "ok"})


class Ready(Resource):
    """/readyz: 200 when the daemon serves, else 503 with the reasons."""

    isLeaf = True

    def __init__(self, read: Callable[[], tuple[bool, str, list[str], list[str]]]) -> None:
        super().__init__()
        self._read = read

    def render_GET(self, request: Any) -> bytes:
        """Answer with `ready`, the `plane` of frames, the `routes`, and the `reasons` why it is not ready."""
        ready, plane, routes, reasons = self._read()
        if not ready:
            request.setResponseCode(503)
        return _json(request, {"ready": ready, "plane": plane, "routes": routes, "reasons": reasons})


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
