"""All canvases of a route, by name: as many as there may be, each for as long as somebody cares."""

from __future__ import annotations

from collections.abc import Callable

from wsd.connection import Refused
from wsd.protocols.canvas.board import Board


class Boards:
    """A canvas is there from its first connection until it has been left alone for `idle` seconds."""

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
        """The canvas of this name, a new one if there is none. Raises `Refused` (503) when there are too many."""
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
        """Forget those that nobody has been at for long enough, and at once those that nobody painted on."""
        now = self._seconds()
        for name, board in list(self._boards.items()):
            if not board.watchers and (board.frame is None or now - board.left >= self._idle):
                del self._boards[name]
