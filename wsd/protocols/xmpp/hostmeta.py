"""host-meta (XEP-0156, RFC 6415): how a client that knows only the domain finds the WebSocket."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from typing import Any

from twisted.web.resource import Resource

REL = "urn:xmpp:alt-connections:websocket"


class HostMeta(Resource):
    """One of the two documents. `urlOf` returns the URL of the WebSocket for a request."""

    isLeaf = True

    def __init__(self, urlOf: Callable[[Any], str], isJson: bool) -> None:
        super().__init__()
        self._urlOf = urlOf
        self._isJson = isJson

    def render_GET(self, request: Any) -> bytes:
        """The document with its one link. Pages of any origin may read it (XEP-0156 2.1)."""
        request.setHeader(b"Access-Control-Allow-Origin", b"*")
        url = self._urlOf(request)
        if self._isJson:
            request.setHeader(b"Content-Type", b"application/json; charset=utf-8")
            return json.dumps({"links": [{"rel": REL, "href": url}]}).encode()
        request.setHeader(b"Content-Type", b"application/xrd+xml; charset=utf-8")
        return (
            "<?xml version='1.0' encoding='utf-8'?>\n"
            "<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n"
            f'  <Link rel="{REL}" href="{escape(url)}"/>\n'
            "</XRD>\n"
        ).encode()
