"""
TLS records of one connection: decrypts what is received, and encrypts what is sent (RFC 8446 5).

OpenSSL works on two memory BIOs. On a socket it would make three system calls instead of one recv and one send. Where
it is built, `wsd.listen._openssl` does the same at less cost, by OpenSSL's interface in C.
"""

from __future__ import annotations

import socket
import ssl

READ = 256 * 1024
"""Bytes read at a time, so that a large message arrives in few pieces."""

RECORD = 16384
"""Bytes of plaintext in the largest record (RFC 8446 5.1)."""

_HEAD = 5
"""Bytes of a record's header; the last two are its length."""

_plain = memoryview(bytearray(READ + 2 * RECORD))
"""The buffer into which all connections decrypt: room for one read, and for a record that began in an earlier one."""


class Records:
    """
    The server's side. `isOver` is set when the peer will send no more, `isBroken` too if a record was invalid.

    `sent` counts the bytes that a socket has taken from `send`.
    """

    __slots__ = ("_incoming", "_missing", "_outgoing", "_start", "_tls", "isBroken", "isOver", "sent")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._start = b""
        self._missing = 0
        self.isOver = self.isBroken = False
        self.sent = 0

    def takePending(self) -> bytes:
        """Returns the bytes that TLS itself has to send, such as an alert or a key update."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def handshake(self, data: bytes) -> bytes | None:
        """Continue the handshake. Returns the bytes after it, or None if it is not complete. Raises ssl.SSLError."""
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return None
        return self._incoming.read()

    # -- reading --------------------------------------------------------------------------------------------------

    def receive(self, connected: socket.socket) -> bytes | None:
        """Read once, and decrypt. Returns None if the peer has closed the connection. Raises OSError."""
        data = connected.recv(READ)
        return self.decrypt(data) if data else None

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
            plain: bytes = self._tls.read(size)
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
        incoming, read = self._incoming, self._tls.read
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

    # -- writing --------------------------------------------------------------------------------------------------

    def seal(self, pieces: list[bytes | memoryview]) -> bytes:
        """Encrypt pieces to send, in as few records as possible. Raises ssl.SSLError."""
        self._tls.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return self._outgoing.read()

    def send(self, connected: socket.socket, pieces: list[bytes | memoryview]) -> bytes:
        """Encrypt pieces, and send them to the socket. Returns what it does not take. Raises ssl.SSLError."""
        data = self.seal(pieces)
        try:
            sent = connected.send(data)
        except OSError:
            # The transport gets the same error, and reports it.
            sent = 0
        self.sent += sent
        return data[sent:]

    def closeNotify(self) -> bytes:
        """Returns our close_notify (RFC 8446 6.1). Sets `isOver` if the peer has already sent its own."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # The peer has not sent its close_notify yet.
            pass
        else:
            self.isOver = True
        return self._outgoing.read()

    # -- what was agreed on ---------------------------------------------------------------------------------------

    def version(self) -> str:
        """The version of TLS."""
        return self._tls.version() or ""

    def cipher(self) -> str:
        """The cipher, as OpenSSL calls it."""
        return (self._tls.cipher() or ("",))[0]

    def protocol(self) -> str | None:
        """The application protocol (RFC 7301); None without one."""
        return self._tls.selected_alpn_protocol()

    def isResumed(self) -> bool:
        """Whether an earlier session was resumed."""
        return bool(self._tls.session_reused)

    def certificate(self) -> bytes | None:
        """The client's certificate in DER; None without one."""
        return self._tls.getpeercert(True)


def reasonOf(error: ssl.SSLError) -> str:
    """The reason of an error, in OpenSSL's words."""
    reason = error.reason.replace("_", " ").lower() if error.reason else str(error)
    fault = getattr(error, "verify_message", None)
    return f"{reason}: {fault}" if fault else reason
