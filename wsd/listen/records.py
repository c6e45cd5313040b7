"""
TLS records of one connection, sans I/O: decrypts received bytes and encrypts bytes to send (RFC 8446 5).

OpenSSL works on two memory BIOs. On a socket it would make three system calls instead of one recv and one send.
"""

from __future__ import annotations

import ssl

RECORD = 16384
"""Bytes of plaintext in the largest record (RFC 8446 5.1)."""

_HEAD = 5
"""Bytes of a record's header; the last two are its length."""

_plain = memoryview(bytearray(256 * 1024 + 2 * RECORD))
"""The buffer into which all connections decrypt: room for one read, and for a record that began in an earlier one."""


class Records:
    """The server's side. `isOver` is set when the peer will send no more, `isBroken` too if a record was invalid."""

    __slots__ = ("_incoming", "_missing", "_outgoing", "_start", "isBroken", "isOver", "tls")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._start = b""
        self._missing = 0
        self.isOver = self.isBroken = False

    def takePending(self) -> bytes:
        """Returns the bytes that TLS itself has to send, such as an alert or a key update."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def handshake(self, data: bytes) -> bytes | None:
        """Continue the handshake. Returns the bytes after it, or None if it is not complete. Raises ssl.SSLError."""
        self._incoming.write(data)
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return None
        return self._incoming.read()

    def decrypt(self, data: bytes) -> bytes:
        """
        Returns the plaintext of the bytes that were read.

        OpenSSL is only asked for complete records. For an incomplete one it raises an exception, which is expensive.
        """
        if self._start:
            data, self._start = self._start + data, b""
        size = len(data)
        if not self._missing and _HEAD <= size == _HEAD + (data[3] << 8 | data[4]):
            self._incoming.write(data)
            return self._record(size)
        return self._several(data)

    def _record(self, size: int) -> bytes:
        """The plaintext of one record; it is shorter than the record."""
        try:
            plain: bytes = self.tls.read(size)
        except ssl.SSLWantReadError:
            # The record has no application data.
            return b""
        except ssl.SSLZeroReturnError:
            plain = b""
        except ssl.SSLError:
            self.isBroken = True
            plain = b""
        self.isOver = not plain
        return plain

    def _several(self, data: bytes) -> bytes:
        incoming, read = self._incoming, self.tls.read
        got, whole = 0, b""
        count = self._whole(data)
        incoming.write(memoryview(data)[: len(data) - len(self._start)])
        for _ in range(count):
            if got > len(_plain) - RECORD:
                whole, got = whole + bytes(_plain[:got]), 0
            try:
                size: int = read(RECORD, _plain[got:])  # type: ignore[assignment]
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLZeroReturnError:
                size = 0
            except ssl.SSLError:
                self.isBroken = True
                size = 0
            got += size
            self.isOver = not size
            if self.isOver:
                break
        return whole + bytes(_plain[:got])

    def _whole(self, data: bytes) -> int:
        """
        Count the records that end in these bytes.

        Sets `_missing` to the bytes that the last record still lacks, and `_start` to an incomplete header at the end.
        """
        size, at, count = len(data), self._missing, 0
        if at > size:
            self._missing = at - size
            return 0
        count = 1 if at else 0
        self._missing = 0
        while size - at >= _HEAD:
            at += _HEAD + (data[at + 3] << 8 | data[at + 4])
            if at > size:
                self._missing = at - size
                return count
            count += 1
        self._start = data[at:]
        return count

    def seal(self, data: bytes | memoryview) -> bytes:
        """Encrypt bytes to send, in as many records as they take. Raises ssl.SSLError."""
        self.tls.write(data)
        return self._outgoing.read()

    def closeNotify(self) -> bytes:
        """Returns our close_notify (RFC 8446 6.1). Sets `isOver` if the peer has already sent its own."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            # The peer has not sent its close_notify yet.
            pass
        else:
            self.isOver = True
        return self._outgoing.read()


def reasonOf(error: ssl.SSLError) -> str:
    """The reason of an error, in OpenSSL's words."""
    reason = error.reason.replace("_", " ").lower() if error.reason else str(error)
    fault = getattr(error, "verify_message", None)
    return f"{reason}: {fault}" if fault else reason
