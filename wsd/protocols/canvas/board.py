"""The canvases of a route: each has a picture, its newest frame, and the connections that take part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from wsd.connection import Refused, newId
from wsd.protocols.canvas.frame import CanvasFrame, Png
from wsd.protocols.canvas.picture import Picture, Region, Size


class Participant(Protocol):
    """A connection to a canvas, as a painter or as a viewer."""

    def show(self, frame: CanvasFrame) -> None:
        """Called with each new frame."""


class Board:
    """One canvas. Its frames are numbered from 1."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.id = newId()
        """Tells its frames from those of an earlier canvas of the same name."""
        self.participants: set[Participant] = set()
        self.frame: CanvasFrame | None = None
        self.png: Png | None = None
        """The newest frame as PNG, if it was asked for."""
        self.left = seconds()
        """When the last participant left; before the first one came, when the canvas was made."""
        self._picture: Picture | None = None
        self._seconds = seconds

    def join(self, participant: Participant) -> None:
        """Add a participant, and show it the newest frame."""
        self.participants.add(participant)
        if self.frame is not None:
            participant.show(self.frame)

    def leave(self, participant: Participant) -> None:
        """Remove a participant."""
        self.participants.discard(participant)
        self.left = self._seconds()

    def paint(self, size: Size, pixels: bytes) -> CanvasFrame:
        """Replace the picture. Returns the new frame, which `show` shows."""
        picture = self._drawn(size)
        picture.replace(size, pixels)
        return self._framed(picture)

    def paintRegion(self, region: Region, pixels: bytes, size: Size) -> CanvasFrame:
        """Put pixels into a region of the picture; if there is none yet, into an empty one of this size."""
        picture = self._drawn(size)
        picture.put(region, pixels)
        return self._framed(picture)

    def show(self, frame: CanvasFrame, painter: Participant, echo: bool) -> None:
        """Show a frame to all participants; to its painter only if `echo` is set."""
        for participant in list(self.participants):
            if echo or participant is not painter:
                participant.show(frame)

    def _drawn(self, size: Size) -> Picture:
        if self._picture is None:
            self._picture = Picture(size)
        return self._picture

    def _framed(self, picture: Picture) -> CanvasFrame:
        self.frame, self.png = CanvasFrame(self.frame, self._seconds(), picture.size, picture.pixels), None
        return self.frame


class Boards:
    """All canvases by name. One is kept from its first connection until nobody was connected for `idle` seconds."""

    def __init__(self, most: int, idle: float, seconds: Callable[[], float]) -> None:
        self._most = most
        self._idle = idle
        self._seconds = seconds
        self._boards: dict[str, Board] = {}

    def __len__(self) -> int:
        return len(self._boards)

    def find(self, name: str) -> Board | None:
        """The canvas of this name, if there is one."""
        self.dropIdle()
        return self._boards.get(name)

    def take(self, name: str) -> Board:
        """The canvas of this name, made if there is none. Raises `Refused` (503) if there are too many."""
        board = self.find(name)
        if board is None:
            if len(self._boards) >= self._most:
                raise Refused(
                    503,
                    f"there are {self._most} canvases, which is the most here; use one of those, or try again later",
                    [("Retry-After", "60")],
                )
            board = self._boards[name] = Board(self._seconds)
        return board

    def dropIdle(self) -> None:
        """Drop the canvases that were idle for too long. One without a frame is dropped as soon as it is idle."""
        now = self._seconds()
        for name, board in list(self._boards.items()):
            if not board.participants and (board.frame is None or now - board.left >= self._idle):
                del self._boards[name]
