"""Pictures as PNG, made by Pillow (the extra `canvas`) on the daemon's pool."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from wsd.connection import Refused
from wsd.policies.pool import PoolShare
from wsd.protocols.canvas.board import Board, Frame


@dataclass(frozen=True, slots=True)
class Png:
    """A frame as a PNG file."""

    frame: Frame
    content: bytes


def encode(frame: Frame) -> Png:
    """Make a PNG. It blocks, for about a second with fifty million empty pixels or five million of noise."""
    from PIL import Image

    to = BytesIO()
    Image.frombytes("RGBA", frame.size, frame.pixels.payload).save(to, "PNG", compress_level=3)
    return Png(frame, to.getvalue())


class Encoder:
    """Makes one PNG of a canvas at a time, for everyone who waits for it."""

    def __init__(self, share: PoolShare) -> None:
        self._share = share
        self._waiting: dict[Board, list[Deferred[None]]] = {}

    def stop(self) -> Deferred[None]:
        """Fires when all work is done, or its time is over."""
        return self._share.stop()

    async def png(self, board: Board, frame: Frame) -> Png:
        """The PNG of this frame or of a newer one of the canvas. Raises `Refused` (501) without Pillow."""
        if find_spec("PIL") is None:
            raise Refused(501, 'a picture as PNG needs Pillow, which is not installed; pip install "wsd[canvas]"')
        while (png := board.png) is None or png.frame.number < frame.number:
            await self._made(board)
        return png

    def _made(self, board: Board) -> Deferred[None]:
        """Fires when the PNG that is being made is there, or a new one if none is being made."""
        done: Deferred[None] = Deferred()
        if board in self._waiting:
            self._waiting[board].append(done)
        else:
            self._waiting[board] = [done]
            self._share.run(encode, board.frame).addBoth(self._tell, board)
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
