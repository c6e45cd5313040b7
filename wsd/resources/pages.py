"""Pages of the daemon and of protocols: a few files, read once and served from memory, with a strict CSP."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from importlib.resources.abc import Traversable
from typing import Any

from twisted.web import http

from wsd.resources.answers import setFields

INDEX = "index.html"

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of a page: it loads the daemon's own files, and connects to WebSockets."""

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "ico": "image/vnd.microsoft.icon",
    "json": "application/json",
    "txt": "text/plain; charset=utf-8",
    "py": "text/plain; charset=utf-8",
}
"""The media types of a page's files, by the suffixes of their names; other files are not served."""


class PageFiles:
    """
    The files of one page by name, `index.html` among them.

    In its HTML files, each name of `texts` in braces, such as `{route}`, is replaced by its text, which must be HTML.
    """

    def __init__(
        self,
        folder: Traversable,
        texts: Mapping[str, str] | None = None,
        policy: str = PAGE_POLICY,
        more: tuple[Traversable, ...] = (),
    ) -> None:
        """`more` has files of other folders."""
        self._policy = policy
        found = (file for file in (*folder.iterdir(), *more) if _suffix(file.name) in _TYPES)
        self._contents = {file.name: file.read_bytes() for file in found}
        for file in [name for name in self._contents if _suffix(name) == "html"]:
            page = self._contents[file].decode()
            for name, text in (texts or {}).items():
                page = page.replace(f"{{{name}}}", text)
            self._contents[file] = page.encode()
        self._tags = {name: _tag(content) for name, content in self._contents.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._contents

    def render(self, request: Any, name: str) -> bytes:
        """Returns the content of a file. It is empty, with the status 304, if the browser has it (RFC 9110 13.1.2)."""
        fields = {
            "Content-Type": _TYPES[_suffix(name)],
            "Content-Security-Policy": self._policy,
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        }
        setFields(request, fields)
        return b"" if request.setETag(self._tags[name]) is http.CACHED else self._contents[name]


def _suffix(name: str) -> str:
    return name.rpartition(".")[2]


def _tag(content: bytes) -> bytes:
    return b'"' + sha256(content).hexdigest()[:32].encode() + b'"'
