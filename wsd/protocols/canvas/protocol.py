"""
canvas: a picture that some paint and others watch.

A binary message is a frame of RGBA pixels, and everyone else at that name is sent it. Who reads slower than frames come
gets the newest when there is room, and never one that waited: a part of one frame waits here, and less in the kernel.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.web.resource import IResource

from wsd.config import Route
from wsd.connection import Accept, Connection, Factory, Request
from wsd.head import decodedPath
from wsd.protocols.canvas.asked import Asked, nameOf, readQuery
from wsd.protocols.canvas.board import Board, Frame
from wsd.protocols.canvas.boards import Boards
from wsd.protocols.canvas.messages import CanvasError, line, readLine
from wsd.protocols.canvas.options import CanvasOptions
from wsd.protocols.canvas.pages import Canvases
from wsd.protocols.canvas.picture import Part, Size
from wsd.protocols.canvas.png import Encoder

_SWEEP = 30.0
"""Seconds between two looks for canvases that nobody needs."""

_ROOM = 65536
"""Bytes of a message beside a picture's: a line is not longer."""

_KEPT = 262144
"""Bytes that the kernel may keep for who reads slowly: half a frame, where it would take eight that grow old."""

_RECEIPTS = 16
"""Receipts that may wait to be sent, behind a frame perhaps; then the painter has to wait."""


class CanvasConnection(Connection):
    """Somebody at a canvas."""

    factory: CanvasFactory
    _asked: Asked
    _board: Board
    _size: Size
    """Of the frames it sends."""
    _known: Size
    """Of the last frame it was sent, as far as it can tell."""
    _part: Part | None = None
    """Its next binary message is this part of the picture."""
    _isBehind = False
    """It has not been sent the newest frame."""
    _receipts = 0

    async def opening(self, request: Request) -> Accept:
        """Refuse what is no canvas, and what cannot be asked for."""
        options: CanvasOptions = self.options
        name = nameOf(decodedPath(request.head.path).removeprefix(decodedPath(self.factory.below)))
        self._asked = readQuery(request.queries, options.max_pixels)
        self._size = self._known = self._asked.size
        accept = Accept(self.factory.choose(request.subprotocols))
        self._board = self.factory.boards.take(name)
        return accept

    @property
    def isBusy(self) -> bool:
        """Whether a picture is being taken. Sending a watched one does not count, since there is always a next one."""
        return bool(self.held)

    def opened(self) -> None:
        """See what there is."""
        self.keepFresh(_KEPT)
        self._board.join(self)

    def closed(self, code: int, reason: str) -> None:
        """Gone."""
        self._board.leave(self)

    # -- it paints ------------------------------------------------------------------------------------------------

    def received(self, payload: bytes, isBinary: bool) -> None:
        """A frame, a part, or a line that says what the next one is."""
        try:
            if self._asked.isViewer:
                raise CanvasError("viewer", "a viewer only watches; open the canvas without role=viewer to paint")
            if isBinary:
                self._paint(payload)
            else:
                self._hear(payload.decode())
        except CanvasError as error:
            self.send(error.text)
            if error.closeCode is not None:
                self.close(error.closeCode, error.sentence)

    def _hear(self, text: str) -> None:
        self._part = None
        told = readLine(text, self.options.max_pixels)
        if isinstance(told, Part):
            self._part = told
        else:
            self._size = self._known = told

    def _paint(self, payload: bytes) -> None:
        board = self._board
        part, self._part = self._part, None
        expected = self._size if part is None else part.size
        if len(payload) != expected.bytes:
            raise CanvasError(
                "bad_length", f"expected {expected.bytes} bytes ({expected}, four a pixel), got {len(payload)}"
            )
        frame = board.paint(self._size, payload) if part is None else board.paintPart(part, payload, self._size)
        self._receipt(line(frame=frame.number, bytes=len(payload), viewers=len(board.watchers) - 1))
        board.show(frame, self, self._asked.echo)

    def _receipt(self, text: str) -> None:
        self.send(text)
        if self.isFull:
            self._receipts += 1
            if self._receipts == _RECEIPTS:
                self.hold()

    # -- it watches -----------------------------------------------------------------------------------------------

    def show(self, frame: Frame) -> None:
        """Send a frame, or keep in mind that there is one until what waits has gone."""
        if self.isFull:
            self.factory.counters.skipped += self._isBehind
            self._isBehind = True
            return
        self._isBehind = False
        if self._asked.meta or frame.size != self._known:
            self._known = frame.size
            self.send(frame.line)
        self.send(frame.pixels)

    def drained(self) -> None:
        """All has gone: now the newest frame, whichever that is by now."""
        if self._receipts >= _RECEIPTS:
            self.release()
        self._receipts = 0
        if self._isBehind and self._board.frame is not None:
            self.show(self._board.frame)


class CanvasFactory(Factory):
    """Canvases below a route."""

    connection = CanvasConnection
    Options = CanvasOptions

    def __init__(
        self, route: Route, options: CanvasOptions, clock: IReactorTime, *arguments: Any, **named: Any
    ) -> None:
        policies = route.policies
        # Full is who has anything left to be sent, so that nothing is put behind it.
        mine = replace(policies, high_water=0, low_water=0, max_unsent=max(policies.max_unsent, 2 * _largest(options)))
        super().__init__(replace(route, policies=mine), options, clock, *arguments, **named)
        self.below = f"{route.path.rstrip('/')}/"
        self.boards = Boards(options.max_canvases, options.idle, clock.seconds)
        self.pngs = Encoder(self.pool.share("canvas", self.route.path, threads=options.threads))
        self._sweeping = LoopingCall(self.boards.dropIdle)
        self._sweeping.clock = clock

    @property
    def maxMessage(self) -> int:
        """The largest picture, and no less than a line."""
        return _largest(self.options)

    def started(self) -> None:
        """Begin to look for canvases that nobody needs."""
        self._sweeping.start(_SWEEP)

    def stopped(self) -> Deferred[None]:
        """Set everything down."""
        if self._sweeping.running:
            self._sweeping.stop()
        return self.pngs.stop()

    def resource(self) -> IResource:
        """Their pages and pictures."""
        return Canvases(self.below, self.boards, self.pngs, self.options.max_pixels)


def _largest(options: CanvasOptions) -> int:
    """Bytes of the largest message."""
    return 4 * options.max_pixels + _ROOM
