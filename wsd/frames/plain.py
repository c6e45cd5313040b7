"""plain: frames are read by Autobahn; what the other planes are held against, and what they fall back to."""

from __future__ import annotations

from typing import Any

from wsd.frames.handler import FrameHandler, FrameLimits
from wsd.frames.writing import Writer


class Plain(Writer):
    """Passes on to Autobahn what arrives."""

    __slots__ = ()

    def __init__(self, handler: FrameHandler, transport: Any, limits: FrameLimits, deflater: Any, rest: bytes) -> None:
        """`rest` came before the connection was open."""
        super().__init__(handler, transport, limits, deflater)
        handler.fallBack(rest, 0, False, False, 0)

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the peer."""
        self.heard = True
        self._handler.readPlain(data)

    def resumeReading(self) -> None:
        """Reading is not held any more."""
        self._handler.consumeData()
