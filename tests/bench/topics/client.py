"""A client that costs little: its frames are made once, and masked with zeros."""

from __future__ import annotations

import json
import socket

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: topics.wsd.v1\r\n\r\n"
)


def frame(name: str, **fields: object) -> bytes:
    """A message of the client's, as a frame."""
    payload = json.dumps({name: fields}).encode()
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + payload


class Client:
    """One connection in the enveloped form."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(HANDSHAKE.format(path="/topics/bench").encode())
        self._rest = b""
        while b"\r\n\r\n" not in self._rest:
            self._rest += self.socket.recv(65536)
        self._rest = self._rest.partition(b"\r\n\r\n")[2]

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()

    def answers(self, name: str, count: int) -> int:
        """Read until so many answers of this name have come, or more: how many they are."""
        begin = f'{{"{name}":'.encode()
        found = 0
        while found < count:
            data = self._rest + self.socket.recv(1 << 18)
            found += data.count(begin)
            # The last one may not be whole; what is kept of it does not count again.
            self._rest = data[-len(begin) + 1 :]
        return found

    def publish(self, message: bytes, count: int, most: int) -> None:
        """Publish this frame so many times, with at most `most` that are not acknowledged yet."""
        self.socket.sendall(message * min(most, count))
        acknowledged, sent = 0, min(most, count)
        while acknowledged < count:
            acknowledged += self.answers("published", 1)
            more = min(count - sent, acknowledged + most - sent)
            if more:
                self.socket.sendall(message * more)
                sent += more
