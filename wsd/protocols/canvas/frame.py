"""A frame: the picture of a canvas at one moment, ready to be sent."""

from __future__ import annotations

from dataclasses import dataclass

from wsd.connection import Prepared
from wsd.protocols.canvas.messages import line
from wsd.protocols.canvas.picture import Size


class CanvasFrame:
    """A frame, which is prepared once and sent to many connections."""

    __slots__ = ("isFirstOfSecond", "line", "number", "pixels", "size", "time")

    def __init__(self, number: int, time: float, size: Size, pixels: bytes, isFirstOfSecond: bool) -> None:
        self.number = number
        self.time = time
        """Seconds since 1970."""
        self.isFirstOfSecond = isFirstOfSecond
        """Whether the preceding frame is of an earlier second, so that Last-Modified tells the two apart."""
        self.size = size
        self.pixels = Prepared(pixels, True)
        self.line = line(width=size.width, height=size.height, frame=self.number, time=int(time * 1000))

    @classmethod
    def after(cls, before: CanvasFrame | None, time: float, size: Size, pixels: bytes) -> CanvasFrame:
        """Returns the next frame of a canvas; `before` is the preceding one, if there is one."""
        if before is None:
            return cls(1, time, size, pixels, True)
        return cls(before.number + 1, time, size, pixels, int(before.time) != int(time))


@dataclass(frozen=True, slots=True)
class Png:
    """A frame as a PNG file."""

    frame: CanvasFrame
    content: bytes
