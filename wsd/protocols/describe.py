"""describe: sends the client its own request as the server saw it, as JSON, over HTTP and over a WebSocket."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

from twisted.web.resource import IResource, Resource

from wsd.connection import Connection, Factory, Placement
from wsd.head import Head
from wsd.policies.address import Peer, TlsInfo


def description(
    requestId: str, head: Head, peer: Peer, tls: TlsInfo | None, subprotocol: str | None = None, extensions: str = ""
) -> str:
    """Returns a JSON object: `id`, `line`, `headers` (pairs, in order), `peer`, `tls`, `subprotocol`, `extensions`."""
    return json.dumps(
        {
            "id": requestId,
            "line": head.line,
            "headers": [list(pair) for pair in head.headers],
            "peer": _peer(peer),
            "tls": _tls(tls),
            "subprotocol": subprotocol,
            "extensions": extensions,
        },
        ensure_ascii=False,
        indent=2,
    )


def _peer(peer: Peer) -> dict[str, Any]:
    return {
        "address": peer.address,
        "port": peer.port,
        "secure": peer.secure,
        "direct": peer.direct,
        "via": peer.via,
    }


def _tls(tls: TlsInfo | None) -> dict[str, Any] | None:
    if tls is None:
        return None
    return {"version": tls.version, "cipher": tls.cipher, "sni": tls.sni, "alpn": tls.alpn, "client": tls.client}


class Describe(Connection):
    """Sends the description when it is open, and again after each message."""

    def opened(self) -> None:
        """Called when the connection is open."""
        self.send(self._description())

    def answer(self, payload: bytes, isBinary: bool) -> str:
        """Called with each message. Returns the description."""
        return self._description()

    def _description(self) -> str:
        return description(self.id, self.request.head, self.peer, self.tls, self.subprotocol, self.extension)

    def full(self) -> None:
        """Called when the send buffer is full: stop reading."""
        self.hold()

    def drained(self) -> None:
        """Called when the send buffer has room again: resume reading."""
        self.release()


class DescribePage(Resource):
    """Answers GET with the description."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        """Answer with the request as JSON."""
        request.setHeader(b"Content-Type", b"application/json; charset=utf-8")
        request.setHeader(b"Cache-Control", b"no-store")
        return description(request.id, request.head, request.peer, request.tls).encode() + b"\n"


class DescribeFactory(Factory):
    """A route of describe."""

    connection = Describe
    placement = Placement.free
    stateVersion = 1
    about = MappingProxyType(
        {
            "en": "Shows your request as the server received it, over HTTP and over a WebSocket.",
            "zh": "显示服务器收到的请求，支持 HTTP 和 WebSocket。",
        }
    )

    def resource(self) -> IResource:
        """Answers HTTP at the route."""
        return DescribePage()
