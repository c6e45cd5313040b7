"""Answers HTTP below a route of canvases: a page for each canvas, and its picture as PNG."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import Any

from twisted.web import http
from twisted.web.resource import Resource

from wsd.connection import Refused, Request
from wsd.protocols.canvas.board import Board, Boards
from wsd.protocols.canvas.frame import CanvasFrame
from wsd.protocols.canvas.png import Encoder
from wsd.protocols.canvas.query import PNG, checkName, readQuery
from wsd.resources import PageFiles, answerBy, finish, setFields

_FILES = "_page"
"""The folder of the page's own files. It cannot be a canvas, since no name has a slash."""


class CanvasResource(Resource):
    """Answers at `/canvas/NAME` and `/canvas/NAME.png`."""

    isLeaf = True

    def __init__(self, below: str, boards: Boards, pngs: Encoder, most: int) -> None:
        """A picture has at most `most` pixels."""
        super().__init__()
        self._most = most
        self._boards = boards
        self._pngs = pngs
        folder = files("wsd.protocols.canvas").joinpath("page")
        self._page = PageFiles(folder, {"route": escape(below.rstrip("/"))})

    def render_GET(self, request: Any) -> int | bytes:
        """Answer with a page, one of its files, or a picture."""
        parts = [part.decode("utf-8", "replace") for part in request.postpath]
        if len(parts) == 2 and parts[0] == _FILES and parts[1] in self._page:
            return self._page.render(request, parts[1])
        if len(parts) != 1:
            raise Refused(404, f"nothing answers at {request.head.path[:80]}")
        name = parts[0].removesuffix(PNG)
        board = self._boards.find(checkName(name))
        if name == parts[0]:
            # The page opens a WebSocket with the same query. A browser does not say why that is refused.
            readQuery(Request(request.head, request.peer).queries, self._most)
            return self._page.render(request, "index.html")
        if board is None or board.frame is None:
            raise Refused(404, f"nobody has painted on the canvas {name!r} yet")
        return self._picture(request, board, board.frame)

    def _picture(self, request: Any, board: Board, frame: CanvasFrame) -> int | bytes:
        if _isCached(request, board, frame):
            setFields(request, _validators(board, frame))
            request.setResponseCode(http.NOT_MODIFIED)
            return b""
        return answerBy(request, self._send(request, board, frame))

    async def _send(self, request: Any, board: Board, frame: CanvasFrame) -> None:
        png = await self._pngs.png(board, frame)
        finish(request, 200, {**_validators(board, png.frame), "Content-Type": "image/png"}, png.content)


def _tag(board: Board, frame: CanvasFrame) -> str:
    return f'"{board.id}-{frame.number}"'


def _validators(board: Board, frame: CanvasFrame) -> dict[str, str]:
    """Returns the header fields that identify a frame to caches (RFC 9110 8.8)."""
    return {
        "ETag": _tag(board, frame),
        "Last-Modified": http.datetimeToString(int(frame.time)).decode(),
        "Cache-Control": "no-cache",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def _isCached(request: Any, board: Board, frame: CanvasFrame) -> bool:
    """Whether the client has this frame, by If-None-Match or else If-Modified-Since (RFC 9110 13.2.2)."""
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
