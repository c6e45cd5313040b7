"""
A client that talks to a daemon all the time, and measures its waits: `python -m tests.process.neighbour PORT PID`.

It ends with its standard input, and prints two numbers as JSON: the longest wait for an answer in seconds, and the most
processor time that the daemon used during one wait, which is for how long others held its reactor.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_HELLO = b"\x81\x85\x00\x00\x00\x00hello"
_WARM = 20
"""Messages before the measured ones."""


def clockOf(pid: int) -> int:
    """The clock of the processor time of a process (clock_getcpuclockid(3) of Linux)."""
    return ~pid << 3 | 2


def main(port: int, pid: int) -> None:
    clock = clockOf(pid)
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(HANDSHAKE)
    assert client.recv(1000).startswith(b"HTTP/1.1 101 ")

    def wait() -> tuple[float, float]:
        began, worked = time.perf_counter(), time.clock_gettime(clock)
        client.sendall(_HELLO)
        assert client.recv(100) == b"\x81\x05hello"
        return time.perf_counter() - began, time.clock_gettime(clock) - worked

    for _ in range(_WARM):
        wait()
    print("open", flush=True)
    longest, most = wait()
    while not select.select([sys.stdin], [], [], 0)[0]:
        seconds, work = wait()
        longest, most = max(longest, seconds), max(most, work)
    print(json.dumps([longest, most]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
