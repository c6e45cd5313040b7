"""
The names and attributes of spans, by OpenTelemetry's semantic conventions (HTTP, database and general, 1.38).

Queries, header fields, user names and payloads never become attributes: they may be secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from wsd.head import Head
from wsd.policies.address import Peer

Attributes = Mapping[str, str | int | bool]
"""Attributes of a span."""

CONNECTION = "wsd.connection.id"
"""The id of the connection or request in wsd's log and answers."""

WORKER = "wsd.worker"
"""The number of the worker, of the resource."""

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"))
"""Known methods. All others are `_OTHER`, so that clients cannot invent names of spans."""

_PATH = 200
"""The number of characters of a path that are told."""

_PORTS = {"http": 80, "https": 443}


def serverName(head: Head, route: str | None) -> str:
    """The name of the span of a request: its method, and the route if there is one."""
    method = head.method if head.method in _METHODS else "HTTP"
    return method if route is None else f"{method} {route}"


def serverAttributes(head: Head, peer: Peer, route: str | None) -> dict[str, str | int | bool]:
    """What is known of a request when its head has arrived."""
    isKnown = head.method in _METHODS
    scheme = "https" if peer.secure else "http"
    host, port = _hostAndPort(head.host, scheme)
    found: dict[str, str | int | bool] = {
        "http.request.method": head.method if isKnown else "_OTHER",
        "url.path": head.path[:_PATH],
        "url.scheme": scheme,
        "network.protocol.name": "websocket" if head.isUpgrade else "http",
        "server.address": host,
        "server.port": port,
        "client.address": peer.address,
    }
    if not isKnown:
        found["http.request.method_original"] = head.method
    if not head.isUpgrade:
        found["network.protocol.version"] = f"{head.version[0]}.{head.version[1]}"
    if route is not None:
        found["http.route"] = route
    if peer.via is not None:
        found["network.peer.address"] = peer.via
    return found


def clientName(method: str, url: str) -> str:
    """The name of the span of a request that wsd sends; the path is one of the configuration."""
    return f"{method} {urlsplit(url).path or '/'}"


def clientAttributes(method: str, url: str) -> dict[str, str | int | bool]:
    """What is known of a request that wsd sends to a URL. Its query and its credentials are left out."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    path = parts.path or "/"
    return {
        "http.request.method": method,
        "server.address": host,
        "server.port": port,
        "url.full": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}",
        "url.template": path,
    }


def _hostAndPort(text: str, scheme: str) -> tuple[str, int]:
    """The host and the port of a Host header, which the door has checked."""
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]") or not port.isdecimal():
        return text.removesuffix(":").strip("[]"), _PORTS[scheme]
    return host.strip("[]"), int(port)
