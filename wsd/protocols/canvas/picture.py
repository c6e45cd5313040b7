"""A picture of RGBA pixels, row by row: whole frames, and parts put into it as putImageData would (HTML 4.12.5)."""

from __future__ import annotations

from typing import NamedTuple

_DEPTH = 4
"""Bytes of a pixel: red, green, blue, alpha."""


class Size(NamedTuple):
    """Of a picture or a part of one, in pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.width * self.height

    @property
    def bytes(self) -> int:
        """How many those are."""
        return self.pixels * _DEPTH

    def __str__(self) -> str:
        return f"{self.width} x {self.height}"


USUAL = Size(400, 320)
"""The size of a frame about which nobody said anything: 512,000 bytes."""


class Part(NamedTuple):
    """Where a part lies: its left upper corner, which may be outside of the picture, and its size."""

    x: int
    y: int
    size: Size


class Picture:
    """Its size and its pixels; it begins as transparent black, as a canvas does."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self._canvas: bytearray | None = None
        self._whole: bytes | None = None

    @property
    def pixels(self) -> bytes:
        """As they are now; what is returned does not change any more."""
        if self._whole is None:
            self._whole = bytes(self.size.bytes if self._canvas is None else self._canvas)
        return self._whole

    def replace(self, size: Size, pixels: bytes) -> None:
        """Another picture, of another size perhaps; `pixels` are as many bytes as that has, and are not copied."""
        self.size, self._whole, self._canvas = size, pixels, None

    def put(self, part: Part, pixels: bytes) -> None:
        """Put a part into it; what lies outside is left out. `pixels` are as many bytes as the part has."""
        if self._canvas is None:
            self._canvas = bytearray(self.pixels)
        self._whole = None
        (x, y, size), (width, height) = part, self.size
        left, right = max(x, 0), min(x + size.width, width)
        if left >= right:
            return
        source = memoryview(pixels)
        length = (right - left) * _DEPTH
        for row in range(max(y, 0), min(y + size.height, height)):
            to = (row * width + left) * _DEPTH
            start = ((row - y) * size.width + left - x) * _DEPTH
            self._canvas[to : to + length] = source[start : start + length]
