"""Pictures as PNG, made by Pillow (the extra `canvas`) on threads of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from wsd.connection import Refused
from wsd.policies.pool import Pool
from wsd.protocols.canvas.board import Board, Frame

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Png:
    """A frame as a file."""

    frame: Frame
    content: bytes


def encode(frame: Frame) -> Png:
    """Make one. It blocks, and takes about a second for fifty million pixels of nothing, or five million of noise."""
    from PIL import Image

    to = BytesIO()
    Image.frombytes("RGBA", frame.size, frame.pixels.payload).save(to, "PNG", compress_level=3)
    return Png(frame, to.getvalue())


class Encoder:
    """Makes one of a canvas at a time, for everyone who waits for it."""

    def __init__(self, reactor: Any, threads: int) -> None:
        self._reactor = reactor
        self._pool = Pool(reactor, threads, "canvas")
        self._waiting: dict[Board, list[Deferred[None]]] = {}

    def start(self) -> None:
        """Begin; threads are made when there is work."""
        self._pool.start()

    def stop(self) -> Deferred[None]:
        """Fires when the present work is done, or its time is over."""
        return self._pool.end()

    def run(self, work: Callable[..., _T], *arguments: Any) -> Deferred[_T]:
        """Do it on the pool."""
        done: Deferred[_T] = deferToThreadPool(self._reactor, self._pool, work, *arguments)
        return done

    async def png(self, board: Board, frame: Frame) -> Png:
        """Of this frame or a newer one of the canvas. Raises `Refused` (501) where Pillow is missing."""
        if find_spec("PIL") is None:
            raise Refused(501, 'a picture as PNG needs Pillow, which is not installed; pip install "wsd[canvas]"')
        while (png := board.png) is None or png.frame.number < frame.number:
            await self._made(board)
        return png

    def _made(self, board: Board) -> Deferred[None]:
        """Fires when the one that is being made, or else a new one, is there."""
        done: Deferred[None] = Deferred()
        if board in self._waiting:
            self._waiting[board].append(done)
        else:
            self._waiting[board] = [done]
            self.run(encode, board.frame).addBoth(self._tell, board)
        return done

    def _tell(self, made: Png | Failure, board: Board) -> None:
        waiting = self._waiting.pop(board)
        if isinstance(made, Png):
            board.png = made
        for each in waiting:
            if isinstance(made, Failure):
                each.errback(made)
            else:
                each.callback(None)
