"""One WebSocket of a route of canvases: a painter, a viewer, or both."""

from __future__ import annotations

from typing import Any

from wsd.connection import Accept, CloseCode, Connection, Request
from wsd.head import decodedPath
from wsd.metrics import Cause
from wsd.protocols.canvas.board import Board, Boards
from wsd.protocols.canvas.frame import CanvasFrame
from wsd.protocols.canvas.messages import CanvasError, line, readLine
from wsd.protocols.canvas.options import CanvasOptions
from wsd.protocols.canvas.picture import Region, Size
from wsd.protocols.canvas.query import CanvasQuery, nameOf, readQuery

_KERNEL_BUFFER = 262144
"""Unsent bytes that the kernel may hold for a slow reader: half a frame. By default it holds eight old frames."""

_MOST_RECEIPTS = 16
"""With so many unsent receipts, a painter is not read."""


class CanvasConnection(Connection):
    """A participant of a canvas."""

    boards: Boards
    """Set by the factory."""
    below: str
    """The path up to the name of a canvas. Set by the factory."""
    _query: CanvasQuery
    _board: Board
    _size: Size
    """The size of the frames that the client sends."""
    _known: Size
    """The size that the client expects of the next frame."""
    _region: Region | None = None
    """The region for the client's next binary message; None if that message is a frame."""
    _isBehind = False
    """Whether the newest frame is not sent yet."""
    _watching = 0
    """The last number of connections that the client was told; 0 for none."""
    _receipts = 0
    """The number of unsent receipts."""

    async def opening(self, request: Request) -> Accept:
        """Accept every client with a valid name and query."""
        options: CanvasOptions = self.options
        name = self._nameIn(request)
        self._query = readQuery(request.queries, options.max_pixels)
        self._size = self._known = self._query.size
        accept = Accept(self.factory.choose(request.subprotocols))
        self._board = self.boards.take(name)
        return accept

    def _nameIn(self, request: Request) -> str:
        return nameOf(decodedPath(request.head.path).removeprefix(decodedPath(self.below)))

    @property
    def isBusy(self) -> bool:
        """Whether a message is being handled. Unsent frames do not count, since there is always a next one."""
        return bool(self.held)

    def opened(self) -> None:
        """Called when the connection is open: join the canvas."""
        self.keepFresh(_KERNEL_BUFFER)
        self._board.join(self)

    def closed(self, code: int, reason: str) -> None:
        """Called when the connection is gone: leave the canvas."""
        self._board.leave(self)

    # -- moving to a new process ----------------------------------------------------------------------------------

    @property
    def canMove(self) -> bool:
        """Whether it is not held for its receipts."""
        return self._receipts < _MOST_RECEIPTS

    def saveState(self) -> dict[str, Any]:
        """What the client has said about the messages that follow, and what it was sent."""
        return {
            "size": self._size,
            "known": self._known,
            "region": self._region,
            "isBehind": self._isBehind,
            "watching": self._watching,
            "receipts": self._receipts,
        }

    def restoreState(self, state: Any, version: int) -> None:
        """Join the canvas again, without being shown its frame."""
        self._query = readQuery(self.request.queries, self.options.max_pixels)
        self._size, self._known = Size(*state["size"]), Size(*state["known"])
        if state["region"] is not None:
            x, y, size = state["region"]
            self._region = Region(x, y, Size(*size))
        self._isBehind, self._watching, self._receipts = state["isBehind"], state["watching"], state["receipts"]
        self._board = self.boards.take(self._nameIn(self.request))
        self._board.participants.add(self)

    # -- painting -------------------------------------------------------------------------------------------------

    def received(self, payload: bytes, isBinary: bool) -> None:
        """Called with a message: a frame, the pixels of a region, or a line about the messages that follow."""
        try:
            if self._query.isViewer:
                raise CanvasError("viewer", "a viewer cannot paint; connect without role=viewer")
            if isBinary:
                self._paint(payload)
            else:
                self._readLine(payload.decode())
        except CanvasError as error:
            self.send(error.text)
            if error.closeCode is not None:
                self.close(error.closeCode, error.sentence)

    def _readLine(self, text: str) -> None:
        self._region = None
        announced = readLine(text, self.options.max_pixels)
        if isinstance(announced, Region):
            self._region = announced
        else:
            self._size = self._known = announced

    def _paint(self, payload: bytes) -> None:
        board = self._board
        region, self._region = self._region, None
        expected = self._size if region is None else region.size
        if len(payload) != expected.bytes:
            raise CanvasError(
                "bad_length", f"expected {expected.bytes} bytes ({expected}, four per pixel), got {len(payload)}"
            )
        size = self._size
        frame = board.paint(size, payload) if region is None else board.paintRegion(region, payload, size)
        self._sendReceipt(line(frame=frame.number, bytes=len(payload), viewers=len(board.participants) - 1))
        board.show(frame, self, self._query.echo)

    def _sendReceipt(self, text: str) -> None:
        self.send(text)
        if self.isFull:
            self._receipts += 1
            if self._receipts == _MOST_RECEIPTS:
                self.hold()

    # -- watching -------------------------------------------------------------------------------------------------

    def show(self, frame: CanvasFrame) -> None:
        """Called with each new frame. Send it, unless something is still unsent; then note that it is due."""
        if self.isFull:
            self.factory.counters.skipped += self._isBehind
            self._isBehind = True
            return
        self._isBehind = False
        if self._query.meta or frame.size != self._known:
            self._known = frame.size
            self.send(frame.line)
        self.send(frame.pixels)

    def showWatching(self, number: int) -> None:
        """Called with the number of connections. Tell a client that asks for it, once everything before it is sent."""
        if self._query.watching and number != self._watching and not self.isFull:
            self._watching = number
            self.send(line(watching=number))

    def lose(self) -> None:
        """Called when the canvas is dropped because memory is short: close."""
        sentence = "the server has no memory left for this canvas; try again later"
        self.close(CloseCode.TRY_AGAIN_LATER, sentence, Cause.memory)

    def drained(self) -> None:
        """Called when everything is sent. Send the number of connections and the newest frame, if they are due."""
        if self._receipts >= _MOST_RECEIPTS:
            self.release()
        self._receipts = 0
        self.showWatching(len(self._board.participants))
        if self._isBehind and self._board.frame is not None:
            self.show(self._board.frame)
