"""One WebSocket of a route of canvases: it paints, it watches, or both."""

from __future__ import annotations

from wsd.connection import Accept, Connection, Request
from wsd.head import decodedPath
from wsd.protocols.canvas.board import Board, Boards
from wsd.protocols.canvas.frame import CanvasFrame
from wsd.protocols.canvas.messages import CanvasError, line, readLine
from wsd.protocols.canvas.options import CanvasOptions
from wsd.protocols.canvas.picture import Region, Size
from wsd.protocols.canvas.query import CanvasQuery, nameOf, readQuery

_KERNEL_BUFFER = 262144
"""Bytes that the kernel may keep for a slow reader: half a frame, where its default would hold eight that grow old."""

_MOST_RECEIPTS = 16
"""Receipts that may wait to be sent, perhaps behind a frame; then the painter is not read."""


class CanvasConnection(Connection):
    """A participant of a canvas."""

    boards: Boards
    """Set by the factory."""
    below: str
    """The path before the name of a canvas. Set by the factory."""
    _query: CanvasQuery
    _board: Board
    _size: Size
    """The size of the frames that the client sends."""
    _known: Size
    """The size of the last frame that the client was sent, as far as it can know."""
    _region: Region | None = None
    """The region that the client's next binary message is for; None if that is a frame."""
    _isBehind = False
    """Whether the newest frame was not sent yet."""
    _receipts = 0
    """Receipts that wait to be sent."""

    async def opening(self, request: Request) -> Accept:
        """Refuse a name or a query that is not valid."""
        options: CanvasOptions = self.options
        name = nameOf(decodedPath(request.head.path).removeprefix(decodedPath(self.below)))
        self._query = readQuery(request.queries, options.max_pixels)
        self._size = self._known = self._query.size
        accept = Accept(self.factory.choose(request.subprotocols))
        self._board = self.boards.take(name)
        return accept

    @property
    def isBusy(self) -> bool:
        """Whether a message is being handled. Frames that wait to be sent do not count: there is always a next one."""
        return bool(self.held)

    def opened(self) -> None:
        """Join the canvas, and get its newest frame."""
        self.keepFresh(_KERNEL_BUFFER)
        self._board.join(self)

    def closed(self, code: int, reason: str) -> None:
        """Leave the canvas."""
        self._board.leave(self)

    # -- painting -------------------------------------------------------------------------------------------------

    def received(self, payload: bytes, isBinary: bool) -> None:
        """Called with a frame, the pixels of a region, or a line that says what the next message is."""
        try:
            if self._query.isViewer:
                raise CanvasError("viewer", "a viewer only watches; open the canvas without role=viewer to paint")
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
                "bad_length", f"expected {expected.bytes} bytes ({expected}, four a pixel), got {len(payload)}"
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
        """Called with each new frame. Send it, or note that there is one while something waits to be sent."""
        if self.isFull:
            self.factory.counters.skipped += self._isBehind
            self._isBehind = True
            return
        self._isBehind = False
        if self._query.meta or frame.size != self._known:
            self._known = frame.size
            self.send(frame.line)
        self.send(frame.pixels)

    def drained(self) -> None:
        """Called when nothing waits to be sent. Send the newest frame, if it is a later one."""
        if self._receipts >= _MOST_RECEIPTS:
            self.release()
        self._receipts = 0
        if self._isBehind and self._board.frame is not None:
            self.show(self._board.frame)
