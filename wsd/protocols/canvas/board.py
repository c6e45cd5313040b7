"""The canvases of a route. Each has a picture, its newest frame, and its connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime

from wsd.connection import Refused, newId
from wsd.policies.meter import Meter
from wsd.protocols.canvas.frame import CanvasFrame, Png
from wsd.protocols.canvas.picture import Picture, Region, Size

_PAUSE = 0.2
"""Seconds for which changes of the number of participants are gathered: many may come or go at a time."""


class Participant(Protocol):
    """A connection to a canvas, as a painter or as a viewer."""

    def show(self, frame: CanvasFrame) -> None:
        """Called with each new frame."""

    def showWatching(self, number: int) -> None:
        """Called with the number of participants after it has changed."""

    def lose(self) -> None:
        """Called when the canvas is dropped because memory is short: close."""


class Board:
    """One canvas. Its frames are numbered from 1."""

    def __init__(self, clock: IReactorTime, changed: Callable[[int], None] = lambda more: None) -> None:
        """`changed` is called when the board takes more bytes of memory, or fewer."""
        self._changed = changed
        self.memory = 0
        """Bytes of memory that it takes: its picture, the PNG, and an older frame that is being encoded."""
        self.id = newId()
        """Distinguishes its frames from those of an earlier canvas with the same name."""
        self.participants: set[Participant] = set()
        self.frame: CanvasFrame | None = None
        self.png: Png | None = None
        """The last frame that was encoded as PNG. A new frame sets it to None."""
        self.left = clock.seconds()
        """When the last participant left; until the first one has come, when the canvas was made."""
        self._picture: Picture | None = None
        self._encoding: CanvasFrame | None = None
        self._isDropped = False
        self._clock = clock
        self._isCounting = False

    def join(self, participant: Participant) -> None:
        """Add a participant, and show it the newest frame."""
        self.participants.add(participant)
        self._countSoon()
        if self.frame is not None:
            participant.show(self.frame)

    def leave(self, participant: Participant) -> None:
        """Remove a participant."""
        self.participants.discard(participant)
        self.left = self._clock.seconds()
        self._countSoon()

    def paint(self, size: Size, pixels: bytes) -> CanvasFrame:
        """Replace the picture. Returns the new frame, which `show` shows."""
        picture = self._drawn(size)
        picture.replace(size, pixels)
        return self._framed(picture)

    def paintRegion(self, region: Region, pixels: bytes, size: Size) -> CanvasFrame:
        """Put pixels into a region of the picture. If there is no picture yet, it begins empty with this size."""
        picture = self._drawn(size)
        picture.put(region, pixels)
        return self._framed(picture)

    def show(self, frame: CanvasFrame, painter: Participant, echo: bool) -> None:
        """Show a frame to all participants, but to its painter only with `echo`."""
        for participant in list(self.participants):
            if echo or participant is not painter:
                participant.show(frame)

    def saveState(self) -> dict[str, Any]:
        """What a new process needs in an upgrade: its frame, which is its picture."""
        frame = self.frame
        fields = None
        if frame is not None:
            fields = [frame.number, frame.time, frame.size, frame.pixels.payload, frame.isFirstOfSecond]
        return {"id": self.id, "left": self.left, "frame": fields}

    def restoreState(self, saved: dict[str, Any]) -> None:
        """Go on with what `saveState` has returned."""
        self.id, self.left = saved["id"], saved["left"]
        if saved["frame"] is not None:
            number, time, size, pixels, isFirst = saved["frame"]
            self.frame = CanvasFrame(number, time, Size(*size), pixels, isFirst)
            self._drawn(self.frame.size).replace(self.frame.size, pixels)
            self._weigh()

    def encoding(self) -> CanvasFrame | None:
        """Called when encoding begins. Returns the frame to encode, which is the newest."""
        self._encoding = self.frame
        return self.frame

    def encoded(self, png: Png | None) -> None:
        """Called when the frame is encoded, or could not be."""
        self._encoding = None
        if png is not None:
            self.png = png
        self._weigh()

    def dropped(self) -> None:
        """Called when the canvas is dropped. A frame that is being encoded still takes memory."""
        self._isDropped = True
        self._weigh()

    def _weigh(self) -> None:
        memory = self._sizeOf(self._encoding)
        if not self._isDropped:
            memory += 0 if self._picture is None else self._picture.memory
            if self.png is not None:
                memory += len(self.png.content) + self._sizeOf(self.png.frame)
        before, self.memory = self.memory, memory
        if memory != before:
            self._changed(memory - before)

    def _sizeOf(self, frame: CanvasFrame | None) -> int:
        """The bytes of a frame, unless they are those of the picture."""
        isCounted = frame is self.frame and not self._isDropped
        return 0 if frame is None or isCounted else len(frame.pixels.payload)

    def _countSoon(self) -> None:
        if not self._isCounting:
            self._isCounting = True
            self._clock.callLater(_PAUSE, self._showWatching)

    def _showWatching(self) -> None:
        self._isCounting = False
        for participant in list(self.participants):
            participant.showWatching(len(self.participants))

    def _drawn(self, size: Size) -> Picture:
        if self._picture is None:
            self._picture = Picture(size)
        return self._picture

    def _framed(self, picture: Picture) -> CanvasFrame:
        self.frame, self.png = CanvasFrame.after(self.frame, self._clock.seconds(), picture.size, picture.pixels), None
        self._weigh()
        return self.frame


class Boards:
    """All canvases by name. A canvas is kept until it has had no connection for `idle` seconds."""

    def __init__(self, most: int, idle: float, clock: IReactorTime, meter: Meter | None = None) -> None:
        self._meter = meter
        if meter is not None:
            meter.relieve = self._relieve
        self._memory = 0
        self._most = most
        self._idle = idle
        self._clock = clock
        self._boards: dict[str, Board] = {}

    def __len__(self) -> int:
        return len(self._boards)

    def __iter__(self) -> Iterator[tuple[str, Board]]:
        """All canvases with their names."""
        self.dropIdle()
        return iter(list(self._boards.items()))

    def find(self, name: str) -> Board | None:
        """Returns the canvas of this name, or None."""
        self.dropIdle()
        return self._boards.get(name)

    def take(self, name: str) -> Board:
        """Returns the canvas of this name, which is made if necessary. Raises `Refused` (503) if there are too many."""
        board = self.find(name)
        if board is None:
            if len(self._boards) >= self._most:
                raise Refused(
                    503,
                    f"this server keeps at most {self._most} canvases; use one of them, or try again later",
                    [("Retry-After", "60")],
                )
            board = self._boards[name] = Board(self._clock, self._count)
        return board

    def saveState(self) -> dict[str, Any]:
        """What a new process needs in an upgrade."""
        return {name: board.saveState() for name, board in self._boards.items()}

    def restoreState(self, saved: dict[str, Any]) -> None:
        """Go on with what `saveState` has returned."""
        for name, state in saved.items():
            self._boards[name] = board = Board(self._clock, self._count)
            board.restoreState(state)

    def dropIdle(self) -> None:
        """Drop canvases that were idle for too long. A canvas without a frame is dropped at once."""
        now = self._clock.seconds()
        for name, board in list(self._boards.items()):
            if not board.participants and (board.frame is None or now - board.left >= self._idle):
                self._boards.pop(name).dropped()

    def clear(self) -> None:
        """Drop all canvases."""
        for board in self._boards.values():
            board.dropped()
        self._boards.clear()

    def _count(self, more: int) -> None:
        self._memory += more
        if self._meter is not None:
            self._meter.put(self._memory)

    def _relieve(self, size: int) -> None:
        """Called when memory is short: drop the largest canvases, and close their connections."""
        for name, board in sorted(self._boards.items(), key=lambda item: item[1].memory, reverse=True):
            if self._memory <= size // 2:
                break
            self._boards.pop(name).dropped()
            for participant in list(board.participants):
                participant.lose()
