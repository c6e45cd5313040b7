"""Clients that send what a page sends, and read everything without looking, so that one process can be 100 users."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable

_EXTENSIONS = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
"""As browsers offer it."""


class Client:
    """A connection to the daemon, after the head of its answer."""

    received = 0
    """Bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def _ask(cls, port: int, path: str, fields: str, status: bytes) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{fields}\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 " + status):
            raise ConnectionError(answer.decode())
        return cls(reader, writer)

    @classmethod
    async def open(cls, port: int, path: str, protocols: str = "") -> Client:
        """A WebSocket."""
        offered = f"Sec-WebSocket-Protocol: {protocols}\r\n" if protocols else ""
        key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        fields = f"Upgrade: websocket\r\nConnection: Upgrade\r\n{key}{offered}{_EXTENSIONS}"
        return await cls._ask(port, path, fields, b"101")

    @classmethod
    async def topics(cls, port: int, path: str, token: str = "") -> Client:
        """A WebSocket of the topics below a path."""
        return await cls.open(port, path, f"topics.wsd.v1, bearer.{token}" if token else "topics.wsd.v1")

    @classmethod
    async def events(cls, port: int, path: str) -> Client:
        """A stream of server-sent events."""
        return await cls._ask(port, path, "Accept: text/event-stream\r\n", b"200")

    def send(self, payload: object) -> None:
        """Send JSON as text, or bytes, in a frame whose mask is 0."""
        isBinary = isinstance(payload, bytes)
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        length = bytes([128 + len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        self._writer.write((b"\x82" if isBinary else b"\x81") + length + bytes(4) + data)

    def publish(self, topic: str, data: object, **more: object) -> None:
        """Publish, and ask for an acknowledgement."""
        self.send({"publish": {"id": 1, "topic": topic, "data": data, **more}})

    def subscribe(self, topic: str, **more: object) -> None:
        """Subscribe to a topic."""
        self.send({"subscribe": {"topic": topic, **more}})

    async def _read(self) -> None:
        while data := await self._reader.read(1 << 20):
            self.received += len(data)


async def every(seconds: float, act: Callable[[], None]) -> None:
    """Do something again and again, from a moment of its own on."""
    due = time.monotonic() + seconds * secrets.randbelow(1000) / 1000
    while True:
        await asyncio.sleep(due - time.monotonic())
        act()
        due = max(due + seconds, time.monotonic())
