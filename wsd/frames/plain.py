"""plain: frames are read by Autobahn; what the other planes are held against, and what they fall back to."""

from __future__ import annotations

from typing import Any

from wsd.frames.sink import Sink, Terms
from wsd.frames.writing import Writer


class Plain(Writer):
    """Passes on to Autobahn what arrives."""

    __slots__ = ()

    def __init__(self, connection: Sink, transport: Any, terms: Terms, deflater: Any, rest: bytes) -> None:
        """`rest` came before the connection was open."""
        super().__init__(connection, transport, terms, deflater)
        connection.fallBack(rest, 0, False, False, 0)

    def feed(self, data: bytes) -> None:
        """Bytes from the peer."""
        self.heard = True
        self._connection.readPlain(data)

    def goOn(self) -> None:
        """Reading is not held any more."""
        self._connection.consumeData()
