"""Canvases: whatever a painter says is answered or closed, and the picture and its PNG are what a model has painted."""

from __future__ import annotations

import json
from io import BytesIO

from PIL import Image

from tests.fuzz.memory import Caller
from tests.fuzz.messages import framesIn, masked, open_
from tests.protocols.canvas.canvases import daemonOf
from wsd.protocols.canvas.messages import CanvasError, readLine
from wsd.protocols.canvas.picture import Region, Size
from wsd.protocols.canvas.png import encode

_MOST_PIXELS = 1000
_MOST_LINES = 32
_DEPTH = 4


def check(data: bytes) -> None:
    """Takes lines: one that begins with = is pixels, of the size that is due; any other is a text message."""
    daemon = daemonOf(max_pixels=_MOST_PIXELS)
    model = _Model()
    with Caller(daemon) as caller:
        open_(caller, "/canvas/a?width=4&height=4")
        for line in data.split(b"\n")[:_MOST_LINES]:
            if line[:1] == b"=":
                pixels = model.pixelsOf(line[1:])
                caller.send(masked(2, pixels))
                model.paint(pixels)
            else:
                caller.send(masked(1, line))
                model.read(line)
        for opcode, payload in framesIn(caller.take()):
            assert opcode != 1 or isinstance(json.loads(payload), dict)
        board = daemon.factories["/canvas/*"].boards.find("a")
        if board is not None and board.frame is not None:
            assert (board.frame.size, board.frame.pixels.payload) == (model.size, model.picture())
            with Image.open(BytesIO(encode(board.frame).content)) as image:
                assert (image.size, image.tobytes()) == (model.size, model.picture())
    daemon.factories["/canvas/*"].stopped()


class _Model:
    """A picture as a list of rows of pixels."""

    def __init__(self) -> None:
        self.size = self._announced = Size(4, 4)
        self._region: Region | None = None
        self._rows: list[list[bytes]] | None = None
        self._isClosed = False

    def read(self, line: bytes) -> None:
        """Take a text message."""
        if self._isClosed:
            return
        self._region = None
        try:
            found = readLine(line.decode(), _MOST_PIXELS)
        except CanvasError as error:
            self._isClosed = error.closeCode is not None
        except UnicodeDecodeError:
            self._isClosed = True
        else:
            if isinstance(found, Region):
                self._region = found
            else:
                self._announced = found

    def pixelsOf(self, pattern: bytes) -> bytes:
        """So many pixels as are due, unless the pattern begins with an exclamation mark."""
        due = (self._announced if self._region is None else self._region.size).bytes
        return pattern if pattern[:1] == b"!" else ((pattern or b"\0") * due)[:due]

    def paint(self, pixels: bytes) -> None:
        """Take a binary message."""
        region, self._region = self._region, None
        size = self._announced if region is None else region.size
        if self._isClosed or len(pixels) != size.bytes:
            self._isClosed = True
            return
        rows = [
            [pixels[at : at + _DEPTH] for at in range(start, start + size.width * _DEPTH, _DEPTH)]
            for start in range(0, len(pixels), size.width * _DEPTH)
        ]
        if region is None:
            self.size, self._rows = size, rows
            return
        if self._rows is None:
            self.size = self._announced
            self._rows = [[bytes(_DEPTH)] * self.size.width for _ in range(self.size.height)]
        for y, row in enumerate(rows, region.y):
            for x, pixel in enumerate(row, region.x):
                if 0 <= x < self.size.width and 0 <= y < self.size.height:
                    self._rows[y][x] = pixel

    def picture(self) -> bytes:
        """All pixels."""
        return b"".join(b"".join(row) for row in self._rows or ())
