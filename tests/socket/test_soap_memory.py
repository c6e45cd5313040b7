"""What an idle connection of SOAP takes in memory: a binary session, with the strings of both sides, little more."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from tests.daemon import runningDaemon
from tests.protocols.soap.talk import add, addressed
from wsd.protocols.soap.encodings.nbfse import BinarySession

COUNT = 1000
MOST = 2048
"""Bytes that a session may take more than text."""
MESSAGE = addressed(add(1, 2), "urn:uuid:2495c693-e3b9-7c6f-3898-b7dd200bc110")
HELLO = (
    "GET /soap HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: soap\r\nsoap-content-type: {}\r\n\r\n"
)
CONFIG = f"[policies]\nmax_connections_per_address = {COUNT + 100}\n"


def frame(first: int, payload: bytes) -> bytes:
    """Returns a frame, masked with zeros."""
    size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes((first,)) + size + bytes(4) + payload


def memoryOf(contentType: str, message: bytes) -> float:
    """Returns the bytes that each of many connections takes, after a call of each."""
    with ExitStack() as stack:
        daemon = stack.enter_context(runningDaemon(config=CONFIG))

        def connect() -> None:
            each = stack.enter_context(socket.create_connection(("127.0.0.1", daemon.port()), timeout=60))
            each.sendall(HELLO.format(contentType).encode())
            assert each.recv(4096).startswith(b"HTTP/1.1 101")
            each.sendall(message)
            assert len(each.recv(4096)) > 50

        for _ in range(100):
            connect()
        before = daemon.memory
        for _ in range(COUNT):
            connect()
        return (daemon.memory - before) / COUNT


def test_a_session_takes_at_most_two_kib_more_than_text() -> None:
    text = memoryOf("application/soap+xml", frame(0x81, MESSAGE.encode()))
    binary = memoryOf("application/soap+msbinsession1", frame(0x82, BinarySession(0).write(MESSAGE)))
    print(f"{text:.0f} bytes a connection in text, {binary:.0f} in a binary session")
    assert binary - text <= MOST
