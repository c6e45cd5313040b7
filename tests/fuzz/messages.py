"""Conversations by messages: an input has one on each line, and every answer is a JSON object with one member."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from tests.fuzz.memory import Caller

MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
"""A file system in memory, on Linux."""

BROKEN = 1011
"""The close code of what the daemon has not foreseen."""

_UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: localhost:9998\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
)
_MOST_LINES = 64


def open_(caller: Caller, path: str, fields: str = "") -> None:
    """Open a WebSocket."""
    caller.send(_UPGRADE.format(path=path, fields=fields).encode())
    assert caller.take().startswith(b"HTTP/1.1 101 ")


def converse(caller: Caller, path: str, subprotocol: str, data: bytes) -> set[str]:
    """
    Say each line of an input, and check what is answered. Returns the names of the answers.

    A line that begins with = is a binary message, with + a chunk of an upload: its offset, a space and its bytes. A
    line that begins with ~ lets ten seconds pass. Any other is a text message.
    """
    open_(caller, path, f"Sec-WebSocket-Protocol: {subprotocol}\r\n")
    names: set[str] = set()
    for line in data.split(b"\n")[:_MOST_LINES]:
        if line[:1] == b"~":
            caller.daemon.reactor.advance(10)
        elif line[:1] == b"=":
            caller.send(masked(2, line[1:]))
        elif line[:1] == b"+":
            caller.send(masked(2, _chunk(line[1:])))
        else:
            caller.send(masked(1, line))
        names.update(_namesOf(caller.take()))
    return names


def _chunk(line: bytes) -> bytes:
    """A chunk of blob.wsd.v1, with the checksum that no fuzzer finds by changing bytes."""
    offset, _, content = line.partition(b" ")
    number = int(offset) % (1 << 64) if offset.isdigit() and len(offset) < 20 else 0
    return struct.pack(">QI", number, crc32(content)) + content


def masked(opcode: int, payload: bytes) -> bytes:
    """A frame of a client, masked with zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else struct.pack("!BH", 0x80 | 126, size)
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


def _namesOf(stream: bytes) -> Iterator[str]:
    """The names of messages in the frames of a daemon. Checks that a text has one member, and that nothing failed."""
    for opcode, payload in framesIn(stream):
        if opcode == 1:
            answer = json.loads(payload)
            assert isinstance(answer, dict)
            assert len(answer) == 1
            yield from answer


def framesIn(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """The opcodes and payloads in the frames of a daemon. Checks that nothing failed."""
    while stream:
        start, size = 2, stream[1]
        if size > 125:
            start, size = (4, int.from_bytes(stream[2:4])) if size == 126 else (10, int.from_bytes(stream[2:10]))
        opcode, payload = stream[0] & 15, stream[start : start + size]
        assert opcode != 8 or int.from_bytes(payload[:2]) != BROKEN, payload
        yield opcode, payload
        stream = stream[start + size :]
