"""
TLS of one connection between two memory BIOs, sans I/O: what arrives is deciphered, what leaves is enciphered.

A socket's own BIO takes three calls of the system for what one recv and one send carry.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence

RECORD = 16384
"""Bytes of plain text in the largest record (RFC 8446 5.1)."""

_HEAD = 5
"""Bytes before each record, the last two of them its length."""

_JOINED = 64 * 1024
"""Pieces are joined up to this size; beyond, each begins a record of its own."""

_PORTION = 16
"""Records given out at a time."""

_plain = memoryview(bytearray(256 * 1024 + 2 * RECORD))
"""What every connection deciphers into: one read's worth, and a record that was only half there before."""


class Records:
    """The server's end. `isOver` is set when nothing will come any more, `isBroken` when it was no proper end."""

    __slots__ = ("_incoming", "_missing", "_outgoing", "_start", "isBroken", "isOver", "tls")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._start = b""
        self._missing = 0
        self.isOver = self.isBroken = False

    def said(self) -> bytes:
        """What TLS itself has to say: to be sent."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def shake(self, data: bytes) -> bytes | None:
        """Go on with the handshake: what came behind it when it is done, None before. Raises ssl.SSLError."""
        self._incoming.write(data)
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return None
        return self._incoming.read()

    def decipher(self, data: bytes) -> bytes:
        """
        The plain text of what was read.

        OpenSSL is asked for whole records alone: for half a one it would raise an error, which costs more than it.
        """
        if self._start:
            data, self._start = self._start + data, b""
        size = len(data)
        if not self._missing and _HEAD <= size == _HEAD + (data[3] << 8 | data[4]):
            self._incoming.write(data)
            return self._record(size)
        return self._several(data)

    def _record(self, size: int) -> bytes:
        """The plain text of one record, which is smaller than the record."""
        try:
            plain: bytes = self.tls.read(size)
        except ssl.SSLWantReadError:
            # A record for TLS itself.
            return b""
        except ssl.SSLZeroReturnError:
            plain = b""
        except ssl.SSLError:
            self.isBroken = True
            plain = b""
        self.isOver = not plain
        return plain

    def _several(self, data: bytes) -> bytes:
        view, incoming, read = memoryview(data), self._incoming, self.tls.read
        size, at, got, whole = len(data), 0, 0, b""
        while at < size and not self.isOver:
            end = at + self._missing
            if end == at:
                if size - at < _HEAD:
                    self._start = data[at:]
                    break
                end += _HEAD + (data[at + 3] << 8 | data[at + 4])
            incoming.write(view[at:end])
            self._missing = max(0, end - size)
            at = end
            if end > size:
                break
            if got > len(_plain) - RECORD:
                whole, got = whole + bytes(_plain[:got]), 0
            try:
                count: int = read(RECORD, _plain[got:])  # type: ignore[assignment]
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLZeroReturnError:
                count = 0
            except ssl.SSLError:
                self.isBroken = True
                count = 0
            got += count
            self.isOver = not count
        return whole + bytes(_plain[:got])

    def seal(self, pieces: Sequence[bytes]) -> Iterator[list[bytes]]:
        """Encipher pieces: the records, a portion at a time. Raises ssl.SSLError."""
        if len(pieces) > 1 and sum(map(len, pieces)) <= _JOINED:
            pieces = (b"".join(pieces),)
        write, read = self.tls.write, self._outgoing.read
        sealed = []
        for piece in pieces:
            view = memoryview(piece)
            for start in range(0, len(piece), RECORD):
                write(view[start : start + RECORD])
                sealed.append(read())
                if len(sealed) == _PORTION:
                    yield sealed
                    sealed = []
        yield sealed

    def sealOne(self, piece: bytes) -> bytes:
        """Encipher what fits into one record. Raises ssl.SSLError."""
        self.tls.write(piece)
        return self._outgoing.read()

    def sayGoodbye(self) -> bytes:
        """The close_notify (RFC 8446 6.1); `isOver` is set when the peer has said its own."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            # The peer has not said it yet.
            pass
        else:
            self.isOver = True
        return self._outgoing.read()


def reasonOf(error: ssl.SSLError) -> str:
    """OpenSSL's words."""
    return error.reason.replace("_", " ").lower() if error.reason else str(error)
