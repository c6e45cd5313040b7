"""The sending side of TLS. What is written while a read is delivered is collected, encrypted and sent together."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from typing import Any

_JOINED = 64 * 1024
"""Corked pieces are joined up to this size. Beyond it they are sent, even while a read is being delivered."""

_PORTION = 256 * 1024
"""Bytes that are encrypted at a time."""


class Sealer:
    """
    The sending side of one connection. It is corked until the handshake is complete.

    `below` is the transport. `wire` is the same if it is our own: while its buffer is empty, data goes directly to the
    socket. `pulls` is set while a pull producer is registered, and `sent` counts the bytes that went to the socket.
    """

    __slots__ = ("_below", "_pieces", "_records", "_socket", "_tell", "_wire", "corked", "pulls", "sent")

    def __init__(self, below: Any, wire: Any) -> None:
        self._below = below
        self._wire = wire
        self._records: Any = None
        self._socket: Any = None
        self._tell: Any = None
        self._pieces: list[bytes] | None = []
        self.corked = 0
        """Bytes that are collected and not yet encrypted."""
        self.pulls = False
        self.sent = 0

    def attach(self, socket: Any) -> None:
        """Send directly to this socket while the transport's buffer is empty."""
        self._socket = socket

    def open(self, records: Any) -> None:
        """Called when the handshake is complete: send what was written before."""
        self._records = records
        self.uncork()

    def close(self) -> None:
        """Called when the connection is lost: drop everything."""
        self._records = self._socket = self._tell = self._pieces = None

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, pieces: Iterable[bytes], size: int) -> None:
        """Send these pieces, which have `size` bytes in all, or keep them while corked."""
        if self._pieces is None:
            self._seal(list(pieces))
            return
        self._pieces += pieces
        self.corked += size
        if self.corked > _JOINED and self._records is not None:
            self.uncork()
            self._pieces = []

    def cork(self) -> None:
        """Collect what is written from now on, until `uncork`."""
        self._pieces = []

    def uncork(self) -> None:
        """Send what was collected, and send at once from now on."""
        pieces, self._pieces, self.corked = self._pieces, None, 0
        if pieces:
            self._seal(pieces)

    def _seal(self, pieces: list[bytes]) -> None:
        """Encrypt and send."""
        if len(pieces) > 1 and sum(map(len, pieces)) <= _JOINED:
            pieces = [b"".join(pieces)]
        # A local variable, because `send` may lose the connection, which sets `_records` to None.
        records = self._records
        try:
            for piece in pieces:
                if len(piece) <= _PORTION:
                    self.send(records.seal(piece))
                    continue
                view = memoryview(piece)
                for start in range(0, len(piece), _PORTION):
                    self.send(records.seal(view[start : start + _PORTION]))
        except ssl.SSLError:
            records.isOver = records.isBroken = True
            self._below.abortConnection()

    def send(self, data: bytes) -> None:
        """Send encrypted bytes: directly to the socket if nothing is buffered, and the rest through the transport."""
        if self._socket is not None and not self._wire.unsent and not self.pulls:
            try:
                sent = self._socket.send(data)
            except OSError:
                # The transport gets the same error, and reports it.
                sent = 0
            self.sent += sent
            if sent == len(data):
                return
            data = data[sent:]
        self._below.write(data)
        if self._tell is not None and self._wire.unsent:
            self._wire.tellUnsent(self._tell)

    # -- buffered bytes -----------------------------------------------------------------------------------------------

    def tellUnsent(self, tell: Callable[[int], None]) -> None:
        """Call `tell` with the number of unsent encrypted bytes: now, and each time that some cannot be sent."""
        self._tell = tell
        if self._wire.unsent:
            self._wire.tellUnsent(tell)
