"""One canvas: its picture, its newest frame, and who is there to see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from wsd.connection import Prepared, newId
from wsd.protocols.canvas.messages import line
from wsd.protocols.canvas.picture import Part, Picture, Size

if TYPE_CHECKING:
    from wsd.protocols.canvas.png import Png


class Frame:
    """The picture as it was once: made ready for all who are sent it, one time."""

    __slots__ = ("isFirstOfSecond", "line", "number", "pixels", "size", "time")

    def __init__(self, before: Frame | None, time: float, size: Size, pixels: bytes) -> None:
        self.number: int = 1 if before is None else before.number + 1
        self.time = time
        """Seconds since 1970."""
        self.isFirstOfSecond = before is None or int(before.time) != int(time)
        """Whether its time in whole seconds tells it from those before."""
        self.size = size
        self.pixels = Prepared(pixels, True)
        self.line = line(width=size.width, height=size.height, frame=self.number, time=int(time * 1000))


class Watcher(Protocol):
    """Who is sent frames."""

    def show(self, frame: Frame) -> None:
        """There is a new frame."""


class Board:
    """A canvas. Frames are numbered from 1 on."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.id = newId()
        """Tells its frames from those of another canvas that had its name before."""
        self.watchers: set[Watcher] = set()
        self.frame: Frame | None = None
        self.png: Png | None = None
        """Of the newest frame, if one was asked for."""
        self.left = seconds()
        """When somebody was here last, while nobody is."""
        self._picture: Picture | None = None
        self._seconds = seconds

    def join(self, watcher: Watcher) -> None:
        """Be here, and see what there is."""
        self.watchers.add(watcher)
        if self.frame is not None:
            watcher.show(self.frame)

    def leave(self, watcher: Watcher) -> None:
        """Be here no longer."""
        self.watchers.discard(watcher)
        self.left = self._seconds()

    def paint(self, size: Size, pixels: bytes) -> Frame:
        """A whole frame: the newest from now on. `show` shows it."""
        picture = self._drawn(size)
        picture.replace(size, pixels)
        return self._framed(picture)

    def paintPart(self, part: Part, pixels: bytes, size: Size) -> Frame:
        """A part of the picture; one that is not there yet has this size."""
        picture = self._drawn(size)
        picture.put(part, pixels)
        return self._framed(picture)

    def show(self, frame: Frame, painter: Watcher, echo: bool) -> None:
        """To everyone else here; to its painter for an echo."""
        for watcher in list(self.watchers):
            if echo or watcher is not painter:
                watcher.show(frame)

    def _drawn(self, size: Size) -> Picture:
        if self._picture is None:
            self._picture = Picture(size)
        return self._picture

    def _framed(self, picture: Picture) -> Frame:
        self.frame, self.png = Frame(self.frame, self._seconds(), picture.size, picture.pixels), None
        return self.frame
