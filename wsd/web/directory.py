"""The directory: what this daemon serves to a visitor, for the header of all pages and the list on the home page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.web.resource import Resource

from wsd.head import Refused
from wsd.policies.origin import checkOrigin
from wsd.policies.subject import checkClient
from wsd.web.route import SiteRoute
from wsd.web.site import Site

STATUS = "/_wsd/status"
"""The path of the status page."""

_NAMES = {"canvas": "canvas", "blob": "files", "soap": "soap", "topics": "topics", "uses": "uses"}
"""Protocols with a page that the header names, in its order."""

_USES = "/uses/"
"""The folder of the pages of uses. Their routes are not for the list on the home page."""


class Directory(Resource):
    """/_wsd/routes.json: the pages and routes that the visitor may open. Only pages of this daemon can read it."""

    isLeaf = True

    def __init__(self, site: Site, maySeeStatus: Callable[[Any], bool]) -> None:
        super().__init__()
        self._site = site
        self._maySeeStatus = maySeeStatus

    def render_GET(self, request: Any) -> bytes:
        """Answer with `pages` for the header and `routes` for the home page. Without the console, no routes."""
        routes = [route for route in self._site.routes if _mayOpen(request, route)]
        listed = [each for each in routes if self._site.hasConsole and not f"{each.route.path}/".startswith(_USES)]
        content = {
            "pages": self._pages(request, routes),
            "routes": [entry for route in listed for entry in _entries(route)],
        }
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"Cross-Origin-Resource-Policy", b"same-origin")
        return json.dumps(content, ensure_ascii=False).encode() + b"\n"

    def _pages(self, request: Any, routes: list[SiteRoute]) -> list[dict[str, str]]:
        pages = {"console": "/"} if self._site.hasConsole else {}
        for protocol, name in _NAMES.items():
            paths = (route.page() for route in routes if route.route.single == protocol)
            path = next((path for path in paths if path is not None), None)
            if path is not None:
                pages[name] = path
        if self._maySeeStatus(request):
            pages["status"] = STATUS
        return [{"name": name, "path": path} for name, path in pages.items()]


def _mayOpen(request: Any, route: SiteRoute) -> bool:
    """Whether a page of this daemon in the visitor's browser may open the route."""
    origin = f"{'https' if request.peer.secure else 'http'}://{request.head.host}"
    try:
        checkClient(request.tls, route.route.clients)
        checkOrigin(origin, route.origins, request.head.host, request.site.hosts)
    except Refused:
        return False
    return True


def _entries(route: SiteRoute) -> list[dict[str, object]]:
    """
    A route as the home page shows it: an entry for each of its paths. A `path` that ends with / stands for all below.

    `subprotocols` are those to offer; a route of echo that is configured with some does not need any.
    """
    single = route.factories.get(None)
    paths = route.paths()
    return [
        {
            "path": path,
            "protocols": route.protocols,
            "subprotocols": _offers(route),
            "about": dict(single.about) if single is not None and single.about else None,
            "page": route.page(),
        }
        for path in ([f"{route.route.path.rstrip('/')}/"] if paths is None else paths)
    ]


def _offers(route: SiteRoute) -> list[str]:
    if route.route.single is None:
        return [name for name in route.factories if name]
    return [name for factory in route.distinct() for name in factory.spoken if name in factory.subprotocols]
