"""Answers HTTP below a route of canvases: a page for each canvas, and its picture as PNG."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import Any

from twisted.web import http
from twisted.web.resource import Resource

from wsd.connection import Refused, Request
from wsd.protocols.canvas.board import Board, Boards
from wsd.protocols.canvas.frame import CanvasFrame
from wsd.protocols.canvas.options import CanvasOptions
from wsd.protocols.canvas.png import Encoder, canEncode
from wsd.protocols.canvas.query import PNG, checkName, readQuery
from wsd.resources import PageFiles, answerBy, finish, setFields

_FILES = "_page"
"""The folder of the page's own files. It cannot be a canvas, since no name has a slash."""


class CanvasResource(Resource):
    """Answers at `/canvas`, `/canvas/NAME` and `/canvas/NAME.png`."""

    isLeaf = True

    def __init__(self, below: str, boards: Boards, pngs: Encoder, options: CanvasOptions) -> None:
        super().__init__()
        self._below = below
        self._options = options
        self._boards = boards
        self._pngs = pngs
        folder = files("wsd.protocols.canvas").joinpath("page")
        texts = {
            "route": escape(below.rstrip("/")),
            "png": json.dumps(canEncode()),
            "list": json.dumps(options.list),
            "most": str(options.max_pixels),
        }
        self._page = PageFiles(folder, texts)

    def render_GET(self, request: Any) -> int | bytes:
        """Answer with a page, one of its files, a picture, or the list of canvases."""
        parts = [part.decode("utf-8", "replace") for part in request.postpath]
        if parts in ([], [""]):
            return self._index(request)
        if len(parts) == 2 and parts[0] == _FILES and parts[1] in self._page:
            return self._page.render(request, parts[1])
        if len(parts) != 1:
            raise Refused(404, f"there is nothing at {request.head.path[:80]}")
        name = parts[0].removesuffix(PNG)
        board = self._boards.find(checkName(name))
        if name == parts[0]:
            # The page opens a WebSocket with the same query. A browser does not say why that is refused.
            readQuery(Request(request.head, request.peer).queries, self._options.max_pixels)
            return self._page.render(request, "index.html")
        if board is None or board.frame is None:
            raise Refused(404, f"nobody has painted on the canvas {name!r} yet")
        return self._picture(request, board, board.frame)

    def _index(self, request: Any) -> bytes:
        """The list of canvases: a page for a browser, JSON for a program. Raises `Refused` (403)."""
        request.setHeader(b"Vary", b"Accept")
        if "text/html" in (request.head.headers.get("Accept") or ""):
            return self._page.render(request, "list.html")
        if not self._options.list:
            raise Refused(403, "this server does not list its canvases; its configuration has list = false")
        setFields(request, {"Content-Type": "application/json", "Cache-Control": "no-cache"})
        found = [self._entry(name, board) for name, board in self._boards]
        return json.dumps({"canvases": found}, separators=(",", ":")).encode()

    def _entry(self, name: str, board: Board) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": name, "url": self._below + name, "watching": len(board.participants)}
        if (frame := board.frame) is not None:
            entry |= {"frame": frame.number, "time": int(frame.time * 1000)}
            entry |= {"width": frame.size.width, "height": frame.size.height}
            if canEncode():
                entry["png"] = f"{self._below}{name}{PNG}"
        return entry

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
