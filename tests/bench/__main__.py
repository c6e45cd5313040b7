"""`python -m tests.bench`: what a request head, a connection and a message cost on this machine.

Client and daemon share the machine; the client sends frames that were made before, and only counts the bytes that come
back, so nearly all of what is measured is the daemon's.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from timeit import timeit

from tests.daemon import RunningDaemon, runningDaemon
from wsd.head import parseHead

HEAD = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Origin: http://localhost\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\nCache-Control: no-cache\r\n\r\n"
)
CONNECTIONS = 500
SIZES = {125: 20_000, 4096: 10_000, 65536: 1_000, 1 << 20: 100}
"""Bytes of a message -> how many are sent."""


def main() -> None:
    """Print one line for each measurement."""
    rounds = 20_000
    print(f"a browser's request head   {timeit(lambda: parseHead(HEAD[:-4]), number=rounds) / rounds * 1e6:9.1f} us")
    with runningDaemon() as daemon:
        seconds, size = connecting(daemon)
        print(f"a connection opened        {seconds * 1e6:9.1f} us")
        print(f"an idle connection         {size / 1024:9.1f} KiB")
        for size, count in SIZES.items():
            rate = echoing(daemon.port(), size, count)
            print(f"echo of {size:>8} bytes     {rate:9.0f} messages/s  {rate * size / 1e6:8.1f} MB/s each way")


def connecting(daemon: RunningDaemon) -> tuple[float, float]:
    """Seconds to open one of many connections, one after the other, and bytes of memory that each keeps."""
    opened(daemon.port()).close()
    before, began = daemon.memory, time.perf_counter()
    connections = [opened(daemon.port()) for _ in range(CONNECTIONS)]
    seconds, grown = time.perf_counter() - began, daemon.memory - before
    for connection in connections:
        connection.close()
    return seconds / CONNECTIONS, grown / CONNECTIONS


def echoing(port: int, size: int, count: int) -> float:
    """Messages of this size that one connection has echoed in a second, sent without waiting for the answers."""
    frame, answer = masked(os.urandom(size)), len(header(size, masked=False)) + size
    with opened(port) as connection:
        began = time.perf_counter()
        sender = threading.Thread(target=connection.sendall, args=(frame * count,))
        sender.start()
        left = count * answer
        while left:
            got = len(connection.recv(1 << 18))
            assert got, "the daemon closed the connection"
            left -= got
        sender.join()
        return count / (time.perf_counter() - began)


def opened(port: int) -> socket.socket:
    """A connection to /echo, past its handshake, without compression."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(HEAD)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(1)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return connection


def header(size: int, masked: bool) -> bytes:
    """The first bytes of a whole binary message (RFC 6455 5.2)."""
    bit = 0x80 if masked else 0
    if size < 126:
        return bytes((0x82, bit | size))
    if size < 65536:
        return bytes((0x82, bit | 126)) + size.to_bytes(2)
    return bytes((0x82, bit | 127)) + size.to_bytes(8)


def masked(payload: bytes) -> bytes:
    """A binary message as a client sends it."""
    size, key = len(payload), os.urandom(4)
    mask = (key * (size // 4 + 1))[:size]
    return header(size, masked=True) + key + (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(size)


if __name__ == "__main__":
    main()
