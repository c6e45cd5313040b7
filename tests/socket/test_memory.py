"""A client that sends and never reads does not fill the daemon's memory; measured, in a real process."""

from __future__ import annotations

import socket
import struct
import time

import pytest

from tests.daemon import RunningDaemon, runningDaemon

MIB = 1024 * 1024
TOTAL = 156 * 1000 * 1000
HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"
)


def frame(size: int) -> bytes:
    """A masked binary frame of zeros, under the mask of zeros."""
    return struct.pack("!BBQ", 0x82, 0x80 | 127, size) + bytes(4) + bytes(size)


def flood(daemon: RunningDaemon, size: int, fields: bytes = b"") -> tuple[int, int]:
    """Send up to 156 MB in messages of a size and read none: bytes taken, and the most that memory grew."""
    with socket.create_connection(("127.0.0.1", daemon.port())) as client:
        client.sendall(HANDSHAKE % fields)
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
        before = most = daemon.memory
        client.setblocking(False)
        message = memoryview(frame(size))
        taken, offset, idle = 0, 0, 0
        while taken < TOTAL and idle < 20:
            try:
                sent = client.send(message[offset : offset + 262144])
                taken, offset, idle = taken + sent, (offset + sent) % len(message), 0
            except BlockingIOError:
                idle += 1
                time.sleep(0.05)
            most = max(most, daemon.memory)
        return taken, most - before


@pytest.mark.parametrize(("size", "growth"), [(65536, 16 * MIB), (16 * MIB, 3 * 16 * MIB)])
def test_memory_stays_when_nobody_reads(size: int, growth: int) -> None:
    with runningDaemon() as daemon:
        taken, grown = flood(daemon, size)
        print(f"{size} bytes a message: {taken} bytes taken, memory grew by {grown / MIB:.1f} MiB")
        assert taken < TOTAL
        assert grown < growth
