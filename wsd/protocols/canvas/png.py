"""Encodes pictures as PNG, with Pillow (the extra `canvas`) on the daemon's pool."""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from wsd.connection import Refused
from wsd.policies.pool import PoolShare
from wsd.protocols.canvas.board import Board
from wsd.protocols.canvas.frame import CanvasFrame, Png


def encode(frame: CanvasFrame) -> Png:
    """Encode a frame. Blocks for about a second with fifty million pixels of one colour, or five million of noise."""
    from PIL import Image

    to = BytesIO()
    Image.frombytes("RGBA", frame.size, frame.pixels.payload).save(to, "PNG", compress_level=3)
    return Png(frame, to.getvalue())


def canEncode() -> bool:
    """Whether pictures can be encoded: whether Pillow is installed."""
    return find_spec("PIL") is not None


class Encoder:
    """Encodes one frame of a canvas at a time, for all requests that want it."""

    def __init__(self, share: PoolShare) -> None:
        self._share = share
        self._waiting: dict[Board, list[Deferred[None]]] = {}

    def stop(self) -> Deferred[None]:
        """Fires when all work is done, or after a timeout."""
        return self._share.stop()

    async def png(self, board: Board, frame: CanvasFrame) -> Png:
        """Returns this frame or a newer one as PNG. Raises `Refused` (501) if Pillow is not installed."""
        if not canEncode():
            raise Refused(501, "a picture as PNG needs Pillow, which is not installed: pip install Pillow")
        while (png := board.png) is None or png.frame.number < frame.number:
            await self._made(board)
        return png

    def _made(self, board: Board) -> Deferred[None]:
        """Fires when the next PNG of a canvas is done. Begin with the newest frame, if none is being encoded."""
        done: Deferred[None] = Deferred()
        if board in self._waiting:
            self._waiting[board].append(done)
        else:
            self._waiting[board] = [done]
            self._share.run(encode, board.encoding()).addBoth(self._tell, board)
        return done

    def _tell(self, made: Png | Failure, board: Board) -> None:
        waiting = self._waiting.pop(board)
        board.encoded(made if isinstance(made, Png) else None)
        for each in waiting:
            if isinstance(made, Failure):
                each.errback(made)
            else:
                each.callback(None)
