"""Sends what is written to a TLS connection: gathered while a read is delivered, enciphered, and sent as one."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from typing import Any

_JOINED = 64 * 1024
"""Gathered bytes are joined up to this size; beyond it they are sent, though a read is still being delivered."""

_PORTION = 256 * 1024
"""Bytes that are enciphered at a time."""


class Sealer:
    """
    The sending side of one connection. Until the handshake is complete, everything is gathered.

    `below` is the transport; `wire` the same if it is our own, which may be sent past while nothing waits in it.
    `pulls` is whether a pull producer is registered, and `sent` counts the bytes that were sent past the transport.
    """

    __slots__ = ("_below", "_bytes", "_gathered", "_records", "_socket", "_tell", "_wire", "pulls", "sent")

    def __init__(self, below: Any, wire: Any) -> None:
        self._below = below
        self._wire = wire
        self._records: Any = None
        self._socket: Any = None
        self._tell: Any = None
        self._gathered: list[bytes] | None = []
        self._bytes = 0
        self.pulls = False
        self.sent = 0

    def attach(self, socket: Any) -> None:
        """Send to this socket while nothing waits in the transport."""
        self._socket = socket

    def open(self, records: Any) -> None:
        """The handshake is complete: send what was written meanwhile."""
        self._records = records
        self.flush()

    def close(self) -> None:
        """The connection is gone: drop everything."""
        self._records = self._socket = self._tell = self._gathered = None

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, pieces: Iterable[bytes], size: int) -> None:
        """Gather these pieces, which have `size` bytes in all, or send them."""
        if self._gathered is None:
            self._seal(list(pieces))
            return
        self._gathered += pieces
        self._bytes += size
        if self._bytes > _JOINED and self._records is not None:
            self.flush()
            self._gathered = []

    def gather(self) -> None:
        """Gather what is written from now on, until `flush`."""
        self._gathered = []

    def flush(self) -> None:
        """Send what was gathered, and gather no more."""
        gathered, self._gathered, self._bytes = self._gathered, None, 0
        if gathered:
            self._seal(gathered)

    def _seal(self, pieces: list[bytes]) -> None:
        """Encipher, and send."""
        if len(pieces) > 1 and sum(map(len, pieces)) <= _JOINED:
            pieces = [b"".join(pieces)]
        # Held in a local variable: reporting that too much waits may lose the connection.
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
        """Send enciphered bytes: at once if nothing waits before them, the rest through the transport."""
        if self._socket is not None and not self._wire.unsent and not self.pulls:
            try:
                sent = self._socket.send(data)
            except OSError:
                # The transport meets it again, and reports it.
                sent = 0
            self.sent += sent
            if sent == len(data):
                return
            data = data[sent:]
        self._below.write(data)
        if self._tell is not None and self._wire.unsent:
            self._wire.tellUnsent(self._tell)

    # -- what waits -----------------------------------------------------------------------------------------------

    @property
    def gathered(self) -> int:
        """Bytes that are gathered."""
        return self._bytes

    def tellUnsent(self, tell: Callable[[int], None]) -> None:
        """Tell how many enciphered bytes wait, now and each time that some must."""
        self._tell = tell
        if self._wire.unsent:
            self._wire.tellUnsent(tell)
