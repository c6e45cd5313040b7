"""The sending side of TLS. What is written while a read is delivered is collected, encrypted and sent together."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_JOINED = 64 * 1024
"""Corked pieces are joined up to this size. Beyond it they are sent, even while a read is being delivered."""

_PORTION = 256 * 1024
"""Bytes that are encrypted at a time."""


class Sealer:
    """
    The sending side of one connection. It is corked until the handshake is complete.

    `below` is the transport. `wire` is the same if it is our own: while its buffer is empty, data goes directly to the
    socket. `pulls` is set while a pull producer is registered.
    """

    __slots__ = ("_below", "_pieces", "_records", "_socket", "_tell", "_wire", "corked", "pulls")

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

    def attach(self, socket: Any) -> None:
        """Send directly to this socket while the transport's buffer is empty."""
        self._socket = socket

    def open(self, records: Any) -> None:
        """Called when the handshake is complete: send what was written before."""
        self._records = records
        self.uncork()

    @property
    def sent(self) -> int:
        """Bytes that went directly to the socket."""
        return int(self._records.sent) if self._records is not None else 0

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
        # A local variable, because the connection may be lost meanwhile, which sets `_records` to None.
        records = self._records
        try:
            if sum(map(len, pieces)) <= _PORTION:
                self._sealPortion(records, pieces)
                return
            for portion in _portions(pieces):
                self._sealPortion(records, portion)
        except ssl.SSLError:
            records.isOver = records.isBroken = True
            self._below.abortConnection()

    def _sealPortion(self, records: Any, pieces: list[Any]) -> None:
        """Encrypt and send: directly to the socket if nothing is buffered, and the rest through the transport."""
        if self._socket is None or self._wire.unsent or self.pulls:
            data = records.seal(pieces)
        else:
            data = records.send(self._socket, pieces)
            if not data:
                return
        self.pass_(data)

    def pass_(self, data: bytes) -> None:
        """Send encrypted bytes through the transport."""
        self._below.write(data)
        if self._tell is not None and self._wire.unsent:
            self._wire.tellUnsent(self._tell)

    # -- buffered bytes -----------------------------------------------------------------------------------------------

    def tellUnsent(self, tell: Callable[[int], None]) -> None:
        """Call `tell` with the number of unsent encrypted bytes: now, and each time that some cannot be sent."""
        self._tell = tell
        if self._wire.unsent:
            self._wire.tellUnsent(tell)


def _portions(pieces: Iterable[bytes]) -> Iterator[list[memoryview]]:
    """Split pieces into lists of at most `_PORTION` bytes."""
    portion, room = [], _PORTION
    for piece in pieces:
        view = memoryview(piece)
        while len(view) > room:
            portion.append(view[:room])
            yield portion
            view, portion, room = view[room:], [], _PORTION
        portion.append(view)
        room -= len(view)
    yield portion
