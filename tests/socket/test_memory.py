"""A client that sends and never reads does not fill the daemon's memory; measured, in a real process."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.daemon import RunningDaemon, runningDaemon

MIB = 1024 * 1024
TOTAL = 156 * 1000 * 1000
HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"
)


def frame(size: int) -> bytes:
    """A binary frame that does not deflate, under the mask of zeros."""
    return struct.pack("!BBQ", 0x82, 0x80 | 127, size) + bytes(4) + os.urandom(size)


@contextmanager
def reached(daemon: RunningDaemon, scheme: str) -> Iterator[socket.socket]:
    """A connection to the daemon; whose certificate it is makes no difference here."""
    with socket.create_connection(("127.0.0.1", daemon.port(scheme))) as plain:
        if scheme == "ws":
            yield plain
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) as client:
            yield client


def flood(daemon: RunningDaemon, size: int, scheme: str = "ws", fields: bytes = b"") -> tuple[int, int]:
    """Send up to 156 MB in messages of a size and read none: bytes taken, and the most that memory grew."""
    with reached(daemon, scheme) as client:
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
            except (BlockingIOError, ssl.SSLWantWriteError):
                idle += 1
                time.sleep(0.05)
            most = max(most, daemon.memory)
        return taken, most - before


DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


@pytest.mark.parametrize(
    ("size", "growth", "scheme", "fields"),
    [
        (65536, 16 * MIB, "ws", b""),
        (65536, 16 * MIB, "wss", b""),
        (65536, 16 * MIB, "ws", DEFLATE),
        (16 * MIB, 3 * 16 * MIB, "ws", b""),
        (16 * MIB, 3 * 16 * MIB, "wss", b""),
    ],
    ids=["small", "small over TLS", "small and deflated", "large", "large over TLS"],
)
def test_memory_stays_when_nobody_reads(size: int, growth: int, scheme: str, fields: bytes) -> None:
    with runningDaemon("--tls-port", "0", "--tls-self-signed") as daemon:
        taken, grown = flood(daemon, size, scheme, fields)
        print(f"{size} bytes a message: {taken} bytes taken, memory grew by {grown / MIB:.1f} MiB")
        assert taken < TOTAL
        assert grown < growth
