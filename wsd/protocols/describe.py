"""describe: the request as the server saw it, as JSON: over HTTP, and as the messages of a WebSocket."""

from __future__ import annotations

import json
from typing import Any

from twisted.web.resource import IResource, Resource

from wsd.connection import Connection, Factory
from wsd.head import Head
from wsd.policies.address import Peer, TlsInfo


def description(
    id: str, head: Head, peer: Peer, tls: TlsInfo | None, subprotocol: str | None = None, extensions: str = ""
) -> str:
    """One JSON object: `id`, `line`, `headers` (pairs, in order), `peer`, `tls`, `subprotocol`, `extensions`."""
    return json.dumps(
        {
            "id": id,
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
    """Says at once, and again at each message, how the opening request looked."""

    def opened(self) -> None:
        """Say it."""
        self._describe()

    def received(self, payload: bytes, isBinary: bool) -> None:
        """Say it again."""
        self._describe()

    def _describe(self) -> None:
        self.send(description(self.id, self.request.head, self.peer, self.tls, self.subprotocol, self.extension))

    def full(self) -> None:
        """Who does not read is not asked."""
        self.hold()

    def drained(self) -> None:
        """Go on."""
        self.release()


class DescribePage(Resource):
    """The same over HTTP."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        """The request as JSON."""
        request.setHeader(b"Content-Type", b"application/json; charset=utf-8")
        request.setHeader(b"Cache-Control", b"no-store")
        return description(request.id, request.head, request.peer, request.tls).encode() + b"\n"


class DescribeFactory(Factory):
    """Describe at a route."""

    connection = Describe

    def resource(self) -> IResource:
        """The page."""
        return DescribePage()
