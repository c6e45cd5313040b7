"""A WebSocket peer that does each step only when told: it shows a test the states that good servers hurry through."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import struct

PATIENCE = 10.0


class Peer:
    """Listens on loopback; accept(), answer() and the rest are one step each."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        # Little room, so that what is not read soon waits in the browser.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self.listener.settimeout(PATIENCE)
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.taken: list[socket.socket] = []

    def accept(self) -> bytes:
        """Takes the next connection, and gives the head of its request."""
        connection, _ = self.listener.accept()
        connection.settimeout(PATIENCE)
        self.taken.append(connection)
        self.head = b""
        while b"\r\n\r\n" not in self.head:
            self.head += connection.recv(4096)
        return self.head

    def answer(self) -> None:
        """Says 101 to the request taken last."""
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", self.head, re.IGNORECASE)
        assert key
        digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        self.taken[-1].sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )

    def message(self) -> tuple[int, bytes]:
        """The opcode and the payload of the next message, or control frame, that the browser sends."""
        last, opcode, payload = self._frame()
        pieces = [payload]
        while not last:
            last, _, payload = self._frame()
            pieces.append(payload)
        return opcode, b"".join(pieces)

    def close(self, code: int, reason: str) -> None:
        """Sends a close frame, waits for the browser's, and hangs up."""
        payload = struct.pack("!H", code) + reason.encode()
        self.taken[-1].sendall(bytes([0x88, len(payload)]) + payload)
        assert self.message() == (8, payload)
        self.drop()

    def closed(self) -> tuple[int, str]:
        """Waits for the browser's close frame, sends it back, hangs up, and gives its code and reason."""
        opcode, payload = self.message()
        assert opcode == 8
        self.taken[-1].sendall(bytes([0x88, len(payload)]) + payload)
        self.drop()
        return struct.unpack("!H", payload[:2])[0], payload[2:].decode()

    def open(self) -> None:
        """Takes the next connection and says 101 to it."""
        self.accept()
        self.answer()

    def _frame(self) -> tuple[bool, int, bytes]:
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self._exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._exactly(8))
        mask = self._exactly(4)
        masked = self._exactly(size)
        key = (mask * (size // 4 + 1))[:size]
        return first >= 0x80, first & 0x0F, (int.from_bytes(masked) ^ int.from_bytes(key)).to_bytes(size)

    def drop(self) -> None:
        """Cuts the connection taken last, with no close frame."""
        self.taken[-1].close()

    def stop(self) -> None:
        for connection in [*self.taken, self.listener]:
            connection.close()

    def _exactly(self, size: int) -> bytes:
        pieces = []
        while size:
            piece = self.taken[-1].recv(min(size, 1 << 20))
            assert piece, "the browser hung up"
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)
