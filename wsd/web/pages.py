"""The console and its files: read once, served from memory, under a policy that lets nothing else into the page."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import Any

from twisted.web import http
from twisted.web.resource import Resource

from wsd.head import Refused
from wsd.web.site import Site

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; img-src 'self' blob: data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_TYPES = {
    "html": b"text/html; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
    "png": b"image/png",
}


class Page(Resource):
    """One file, from memory."""

    isLeaf = True

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__()
        self._content = content
        self._type = _TYPES[name.rpartition(".")[2]]
        self._tag = b'"' + sha256(content).hexdigest()[:32].encode() + b'"'

    def render_GET(self, request: Any) -> bytes:
        """The file, unless the browser has it (RFC 9110 13.1.2)."""
        request.setHeader(b"Content-Type", self._type)
        request.setHeader(b"Content-Security-Policy", CONTENT_SECURITY_POLICY.encode())
        request.setHeader(b"Referrer-Policy", b"no-referrer")
        request.setHeader(b"Cache-Control", b"no-cache")
        if request.setETag(self._tag) is http.CACHED:
            return b""
        return self._content


class Folder(Resource):
    """The daemon's own files under one prefix."""

    isLeaf = True

    def __init__(self, pages: dict[str, Page]) -> None:
        super().__init__()
        self._pages = pages

    def render_GET(self, request: Any) -> bytes:
        """The file of that name. Raises `Refused` (404)."""
        page = self._pages.get("/".join(part.decode("latin-1") for part in request.postpath))
        if page is None:
            raise Refused(404, f"nothing answers at {request.head.path[:80]}")
        return page.render_GET(request)


def addConsole(site: Site) -> None:
    """Put the console at `/`, and its files under `/_wsd/`."""
    pages = {
        entry.name: Page(entry.name, entry.read_bytes())
        for entry in files("wsd.web").joinpath("static").iterdir()
        if entry.name.rpartition(".")[2] in _TYPES
    }
    site.pages["/"] = pages.pop("index.html")
    site.folders["/_wsd/"] = Folder(pages)
