"""The status page: readiness, version, uptime, connections and routes, for the visitors who may read the metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from twisted.web.resource import Resource

from wsd.head import Refused
from wsd.resources import PageFiles
from wsd.web.directory import STATUS
from wsd.web.site import Site

_PAGE = "status.html"


@dataclass(frozen=True, slots=True)
class RouteStatus:
    """One route: its key in the configuration, its protocols, and what it has served since the start."""

    path: str
    protocols: list[str]
    connections: int
    opened: int
    messages: int
    size: int
    """Bytes of these messages, received and sent."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the page shows. It has nothing that /readyz and /metrics have not, and no name of a file."""

    ready: bool
    reasons: list[str]
    version: str
    plane: str
    reactor: str
    uptime: float
    """Seconds since the start."""
    connections: int
    max_connections: int
    websockets: int
    memory: int
    """Bytes of messages that are incomplete, being handled or unsent."""
    memory_max: int
    routes: list[RouteStatus]


class StatusPage(Resource):
    """The page, and its data at the same path with `.json`."""

    isLeaf = True

    def __init__(self, files: PageFiles, read: Callable[[], Status], allowed: Callable[[Any], bool]) -> None:
        super().__init__()
        self.files = files
        self._read = read
        self._allowed = allowed

    def render_GET(self, request: Any) -> bytes:
        """Answer with the page or its data. Raises `Refused` (403)."""
        if not self._allowed(request):
            raise Refused(
                403, "only this machine and the networks in `metrics_allow` may see the status; add yours there"
            )
        if not request.head.path.endswith(".json"):
            return self.files.render(request, _PAGE)
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"Cross-Origin-Resource-Policy", b"same-origin")
        return json.dumps(asdict(self._read())).encode() + b"\n"


def addStatus(site: Site, files: PageFiles, read: Callable[[], Status], allowed: Callable[[Any], bool]) -> None:
    """Put the status page at its path."""
    site.pages[STATUS] = site.pages[f"{STATUS}.json"] = StatusPage(files, read, allowed)
