"""A picture of RGBA pixels, row by row. Regions are put into it as by putImageData (HTML standard, 4.12.5)."""

from __future__ import annotations

from typing import NamedTuple

_DEPTH = 4
"""Bytes of a pixel: red, green, blue, alpha."""


class Size(NamedTuple):
    """The size of a picture or of a region, in pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return self.width * self.height

    @property
    def bytes(self) -> int:
        """The number of bytes of the pixels."""
        return self.pixels * _DEPTH

    def __str__(self) -> str:
        return f"{self.width} x {self.height}"


USUAL = Size(400, 320)
"""The size of a frame unless the client announces another: 512,000 bytes."""


class Region(NamedTuple):
    """A region of a picture: its upper left corner, which may be outside the picture, and its size."""

    x: int
    y: int
    size: Size


class Picture:
    """A picture. It begins as transparent black, as an HTML canvas does."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self._canvas: bytearray | None = None
        self._whole: bytes | None = None

    @property
    def pixels(self) -> bytes:
        """The current pixels."""
        if self._whole is None:
            self._whole = bytes(self.size.bytes if self._canvas is None else self._canvas)
        return self._whole

    @property
    def memory(self) -> int:
        """Bytes of memory that it takes."""
        return sum(len(each) for each in (self._canvas, self._whole) if each is not None)

    def replace(self, size: Size, pixels: bytes) -> None:
        """Replace size and pixels. The length of `pixels` must be `size.bytes`; it is not copied."""
        self.size, self._whole, self._canvas = size, pixels, None

    def put(self, region: Region, pixels: bytes) -> None:
        """Put pixels into a region. Pixels outside the picture are ignored."""
        if self._canvas is None:
            self._canvas = bytearray(self.pixels)
        self._whole = None
        (x, y, size), (width, height) = region, self.size
        left, right = max(x, 0), min(x + size.width, width)
        if left >= right:
            return
        source = memoryview(pixels)
        length = (right - left) * _DEPTH
        for row in range(max(y, 0), min(y + size.height, height)):
            to = (row * width + left) * _DEPTH
            start = ((row - y) * size.width + left - x) * _DEPTH
            self._canvas[to : to + length] = source[start : start + length]
