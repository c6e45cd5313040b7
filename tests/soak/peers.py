"""Raw clients: what an attacker sends is not what a library would."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

HEAD = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)
FIN, DEFLATED = 0x80, 0x40
CONTINUATION, TEXT, BINARY, PING = 0, 1, 2, 9
_MASK = bytes(4)


def frame(payload: bytes = b"", first: int = FIN | BINARY, length: int | None = None) -> bytes:
    """A masked frame (RFC 6455 5.2). `length` is what its head declares, by default that of the payload."""
    size = len(payload) if length is None else length
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    return head + _MASK + payload


class RefusedOpening(Exception):
    """Raised when an opening handshake is refused for good: the attack does not do what it is meant to."""


class RawClient:
    """A connection that sends any bytes."""

    def __init__(
        self, port: int, path: str | None = "/echo", more: str = "", timeout: float = 10.0, reads: bool = True
    ) -> None:
        """
        With a path, the opening handshake is done; with None, nothing is sent.

        One that will not read has a small receive buffer, so that what is sent to it stays with the daemon.
        """
        self.socket = socket.socket()
        if not reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = memoryview(b"")
        if path is not None:
            self.socket.sendall(HEAD.format(path=path, more=more).encode())
            self.answer = b""
            while b"\r\n\r\n" not in self.answer:
                data = self.socket.recv(4096)
                if not data:
                    raise ConnectionError("closed during the opening handshake")
                self.answer += data
            status = self.answer[9:12].decode("latin-1")
            if status in ("503", "429"):
                self.socket.close()
                raise ConnectionError("the daemon is too busy")
            if status != "101":
                self.socket.close()
                raise RefusedOpening(f"{path} answers {status}")

    def send(self, data: bytes, seconds: float = 1.0) -> bool:
        """Send as much as the daemon takes in this time. Returns whether the connection is still there."""
        self.socket.settimeout(seconds)
        try:
            self.socket.sendall(data)
        except TimeoutError:
            return True
        except OSError:
            return False
        return True

    def push(self, data: bytes) -> bool:
        """
        Send at once what the kernel takes of this data, or of the rest of what was pushed before, if there is any.

        Never waits, so that one process can attack on many connections. Returns whether the connection is still there.
        """
        rest = self._rest or memoryview(data)
        self.socket.settimeout(0)
        try:
            self._rest = rest[self.socket.send(rest) :]
        except BlockingIOError:
            self._rest = rest
        except OSError:
            return False
        return True

    def drain(self, seconds: float = 0.0) -> bool:
        """Read and forget what has come. Returns whether the connection is still there."""
        self.socket.settimeout(seconds)
        try:
            while data := self.socket.recv(1 << 20):
                del data
        except (BlockingIOError, TimeoutError):
            return True
        except OSError:
            return False
        return False

    def startTls(self, hello: bytes | None = None) -> None:
        """Do the TLS handshake, or send `hello` instead."""
        if hello is not None:
            self.send(hello)
            return
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def close(self) -> None:
        """Close."""
        with suppress(OSError):
            self.socket.close()
