"""The page of a route: sends files from a browser, and shows where they are."""

from __future__ import annotations

import html
from hashlib import sha256
from importlib.resources import files
from typing import Any

from twisted.web import http

_TYPES = {"index.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Page:
    """Its files, from memory; `{route}` in them is the route's path."""

    def __init__(self, route: str) -> None:
        folder = files("wsd.protocols.blob").joinpath("page")
        self._files = {name: folder.joinpath(name).read_text("utf-8") for name in _TYPES}
        self._files["index.html"] = self._files["index.html"].replace("{route}", html.escape(route.rstrip("/")))

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def render(self, request: Any, name: str) -> bytes:
        """One of them, unless the browser has it."""
        content = self._files[name].encode()
        fields = {
            "Content-Type": f"{_TYPES[name]}; charset=utf-8",
            "Content-Security-Policy": _POLICY,
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
            "Vary": "Accept",
        }
        for field, value in fields.items():
            request.setHeader(field.encode(), value.encode())
        if request.setETag(f'"{sha256(content).hexdigest()[:32]}"'.encode()) is http.CACHED:
            return b""
        return content
