"""plain: Autobahn reads the frames. Tests compare the other planes with this one."""

from __future__ import annotations

from typing import Any

from wsd.frames.handler import FrameHandler, FrameLimits
from wsd.frames.unread import Unread
from wsd.frames.writing import Writer


class Plain(Writer):
    """Passes on received data to Autobahn."""

    __slots__ = ()

    def __init__(self, handler: FrameHandler, transport: Any, limits: FrameLimits, deflater: Any, rest: bytes) -> None:
        """`rest` is what was received before the connection was open."""
        super().__init__(handler, transport, limits, deflater)
        handler.fallBack(rest, 0, False, False, 0)

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the peer."""
        self.heard = True
        self._handler.readPlain(data)

    def resumeReading(self) -> None:
        """Called when reading is no longer held."""
        self._handler.consumeData()

    @property
    def unread(self) -> Unread | None:
        """What was received and is not passed on, for another process; None within a message, which Autobahn keeps."""
        rest = self._handler.unreadPlain
        if rest is None:
            return None
        return Unread(rest, b"" if self._deflater is None else self._deflater.window)
