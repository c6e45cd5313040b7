"""What answers HTTP below a route of canvases: a page for each name, and its picture as PNG (RFC 9110 13)."""

from __future__ import annotations

import html
from collections.abc import Coroutine
from hashlib import sha256
from importlib.resources import files
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from wsd.connection import Refused, Request
from wsd.protocols.canvas.asked import PNG, checkName, readQuery
from wsd.protocols.canvas.board import Board, Frame
from wsd.protocols.canvas.boards import Boards
from wsd.protocols.canvas.png import Encoder

_FILES = "_page"
"""The page's own files lie below this; no name of a canvas has a slash."""

_TYPES = {"index.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Canvases(Resource):
    """`/canvas/NAME` and `/canvas/NAME.png`."""

    isLeaf = True

    def __init__(self, below: str, boards: Boards, pngs: Encoder, most: int) -> None:
        """`most` is the pixels that a picture may have."""
        super().__init__()
        self._most = most
        self._boards = boards
        self._pngs = pngs
        folder = files("wsd.protocols.canvas").joinpath("page")
        self._page = {name: folder.joinpath(name).read_text("utf-8") for name in _TYPES}
        self._page["index.html"] = self._page["index.html"].replace("{route}", html.escape(below.rstrip("/")))

    def render_GET(self, request: Any) -> int | bytes:
        """A page, one of its files, or a picture."""
        parts = [part.decode("utf-8", "replace") for part in request.postpath]
        if len(parts) == 2 and parts[0] == _FILES and parts[1] in _TYPES:
            return self._file(request, parts[1])
        if len(parts) != 1:
            raise Refused(404, f"nothing answers at {request.head.path[:80]}")
        name = parts[0].removesuffix(PNG)
        board = self._boards.find(checkName(name))
        if name == parts[0]:
            # The browser's WebSocket will ask the same, and would not tell why it is refused.
            readQuery(Request(request.head, request.peer).queries, self._most)
            return self._file(request, "index.html")
        if board is None or board.frame is None:
            raise Refused(404, f"nobody has painted on the canvas {name!r} yet")
        return self._picture(request, board, board.frame)

    def _file(self, request: Any, name: str) -> bytes:
        """Unless the browser has it."""
        content = self._page[name].encode()
        fields = {
            "Content-Type": f"{_TYPES[name]}; charset=utf-8",
            "Content-Security-Policy": _POLICY,
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        }
        _setFields(request, fields)
        if request.setETag(f'"{sha256(content).hexdigest()[:32]}"'.encode()) is http.CACHED:
            return b""
        return content

    def _picture(self, request: Any, board: Board, frame: Frame) -> int | bytes:
        if _isCached(request, board, frame):
            _setFields(request, _labels(board, frame))
            request.setResponseCode(http.NOT_MODIFIED)
            return b""
        return _answer(request, self._send(request, board, frame))

    async def _send(self, request: Any, board: Board, frame: Frame) -> None:
        png = await self._pngs.png(board, frame)
        if request.isGone:
            return
        _setFields(request, {**_labels(board, png.frame), "Content-Type": "image/png"})
        request.setHeader(b"Content-Length", b"%d" % len(png.content))
        if request.head.method != "HEAD":
            request.write(png.content)
        request.finish()


def _setFields(request: Any, fields: dict[str, str]) -> None:
    for name, value in fields.items():
        request.setHeader(name.encode(), value.encode())


def _tag(board: Board, frame: Frame) -> str:
    return f'"{board.id}-{frame.number}"'


def _labels(board: Board, frame: Frame) -> dict[str, str]:
    return {
        "ETag": _tag(board, frame),
        "Last-Modified": http.datetimeToString(int(frame.time)).decode(),
        "Cache-Control": "no-cache",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def _isCached(request: Any, board: Board, frame: Frame) -> bool:
    """Whether the client has this frame: by its tag if it names one, else by its time (RFC 9110 13.2.2)."""
    headers = request.head.headers
    tags = headers.get("If-None-Match")
    if tags is not None:
        named = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
        return "*" in named or _tag(board, frame) in named
    try:
        since = http.stringToDatetime(headers.get("If-Modified-Since", "never").encode("latin-1"))
    except (ValueError, LookupError):
        return False
    return bool(int(frame.time) < since or (int(frame.time) == since and frame.isFirstOfSecond))


def _answer(request: Any, coroutine: Coroutine[Any, Any, None]) -> int:
    """Render by a coroutine; a `Refused` of it is the answer. Who left gets none."""
    request.isGone = False
    request.notifyFinish().addErrback(lambda _: setattr(request, "isGone", True))

    def failed(failure: Failure) -> None:
        if request.isGone:
            return
        if isinstance(failure.value, Refused):
            request.refuse(failure.value)
        else:
            request.processingFailed(failure)

    Deferred.fromCoroutine(coroutine).addErrback(failed)
    return NOT_DONE_YET
