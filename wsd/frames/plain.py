"""plain: Autobahn reads the frames. Tests compare the other planes with this one."""

from __future__ import annotations

from typing import Any

from wsd.frames.handler import FrameHandler, FrameLimits
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
